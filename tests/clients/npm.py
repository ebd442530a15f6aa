"""Programs for Node.js that others' client libraries drive: each suite is a folder here with its own package.json.

What npm fetches is kept outside of the tree, once for each lock file. Nothing that a package brings is run while it is
installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from billfold.devservers import fetching
from billfold.devservers.fetching import Missing

ROOT = Path(__file__).parent
#: Engines that come by npm have 50 MB.
INSTALL_TIMEOUT_S = 600.0
#: Of a whole suite on a machine that is busy.
RUN_TIMEOUT_S = 180.0


def modules(suite: str) -> Path:
    """The folder `node_modules` of a suite.

    Raises: Missing, with a reason in one line.
    """
    _program("node")
    folder = ROOT / suite
    lock = (folder / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock + (folder / ".npmrc").read_bytes()).hexdigest()[:16]

    def make(empty: Path) -> Path:
        made = empty / "made"
        made.mkdir()
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(folder / name, made)
        command = (_program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(made))
        fetching.run(command, timeout_s=INSTALL_TIMEOUT_S, what=f"npm can't fetch the clients for {suite}")
        return made

    # Packages find each other only in a folder of this name.
    return fetching.cached(f"npm-{suite}-{digest}", make) / "node_modules"


def run(suite: str, script: str, told: Any, *, folder: Path) -> Any:
    """What a program of a suite prints as JSON, when it is told something as JSON on its standard input.

    `folder` is an empty one for its copy. A program that fails fails the test with all that it said.

    Raises: Missing.
    """
    (folder / "node_modules").symlink_to(modules(suite))
    for source in (ROOT / suite).glob("*.mjs"):
        shutil.copy(source, folder)
    process = subprocess.Popen(
        (_program("node"), script),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(json.dumps(told), timeout=RUN_TIMEOUT_S)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    assert process.returncode == 0, f"{suite}/{script} failed:\n{complained}\n{said}"
    return json.loads(said)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} (the Debian packages nodejs and npm) is not installed")
    return found
