"""Anvil: fetched once by npm, checked by the hashes of the lock file, and kept in a cache.

The package's own command is a program of Node.js that starts the real one and, when it is killed, leaves it running.
So the real one is started, from the package of this machine's kind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from billfold.devnet.serving import DevnetError

_LOCK = Path(__file__).parent / "npm"
_FILES = ("package.json", "package-lock.json")
#: What the lock file has a hash for.
_PACKAGE = "anvil-linux-amd64"
_MACHINE = ("linux", "x86_64")
#: 44 MB, and lines can be slow.
_TIMEOUT_S = 600.0


class Missing(DevnetError):
    """The node for a local chain of Ethereum can't be had on this machine."""

    code = "devnet_ethereum_missing"


def anvil() -> Path:
    """The program. Blocks for as long as it takes to fetch it the first time; whoever comes meanwhile waits.

    Raises:
        Missing: with one line that says why.
    """
    if (platform.system().lower(), platform.machine()) != _MACHINE:
        raise Missing("Anvil is pinned for Linux on x86_64 alone")
    locked = hashlib.sha256((_LOCK / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "billfold-devnet"
    cache.mkdir(parents=True, exist_ok=True)
    ready = cache / f"ethereum-{locked}"
    with (cache / f"{ready.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as folder:
                _install(Path(folder)).rename(ready)
    return ready / "node_modules" / "@foundry-rs" / _PACKAGE / "bin" / "anvil"


def _install(folder: Path) -> Path:
    """Let npm fetch what the lock file names. Scripts of packages are not run.

    Raises:
        Missing.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("Anvil is fetched by npm (the Debian package npm), which is not installed")
    made = folder / "made"
    made.mkdir()
    for file in _FILES:
        shutil.copy(_LOCK / file, made)
    command = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    process = subprocess.Popen(
        command,
        cwd=made,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_TIMEOUT_S)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Missing(f"npm can't fetch Anvil within {_TIMEOUT_S:.0f} s") from None
        raise
    if process.returncode != 0:
        raise Missing(f"npm can't fetch Anvil: {(said.strip().splitlines() or [str(process.returncode)])[0]}")
    return made
