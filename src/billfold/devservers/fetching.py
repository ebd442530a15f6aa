"""What Java runs: fetched once by Maven from its central repository, checked by it, and kept in a cache.

A cache entry has its name only when it is complete, and whoever comes while it is made waits for it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from billfold.kernel import errors

_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
_JAVA_MIN = 17
#: The largest, Keycloak, has 180 MB, and lines can be slow.
FETCH_TIMEOUT_S = 900.0


class Missing(errors.BillfoldError):
    """A server can't be had on this machine."""

    code = "dev_server_missing"


def cached(name: str, make: Callable[[Path], Path]) -> Path:
    """The folder `name` of the cache. Where it is missing, `make` makes it in an empty folder and says where.

    Raises: Missing, from `make`.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "billfold-tests"
    cache.mkdir(parents=True, exist_ok=True)
    ready = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as folder:
                make(Path(folder)).rename(ready)
    return ready


def jars(name: str, version: str, *artifacts: str) -> Path:
    """The folder with the jars of `artifacts` (`group:name:version`) and of everything that they need to run.

    Raises: Missing.
    """

    def make(folder: Path) -> Path:
        made = folder / "jars"
        made.mkdir()
        (folder / "pom.xml").write_text(_project(artifacts), encoding="utf-8")
        options = ("-f", str(folder / "pom.xml"), "-DincludeScope=runtime", f"-DoutputDirectory={made}")
        maven("copy-dependencies", *options, what=f"{name} {version}")
        return made

    return cached(f"{name.lower()}-{version}", make)


def maven(goal: str, *options: str, what: str) -> None:
    """Let Maven's dependency plugin fetch `what`. A file with a wrong checksum is an error.

    Raises: Missing.
    """
    program = shutil.which("mvn")
    if program is None:
        raise Missing(f"{what} is fetched by Maven (the Debian package maven), which is not installed")
    command = (program, "-B", "-q", "-C", f"{_DEPENDENCY_PLUGIN}:{goal}", *options)
    run(command, timeout_s=FETCH_TIMEOUT_S, what=f"Maven can't fetch {what}")


def compiler(wanted_by: str) -> str:
    """The program that compiles Java, which not every Java has.

    Raises: Missing.
    """
    found = shutil.which("javac")
    if found is None:
        raise Missing(f"{wanted_by} needs javac (the Debian package default-jdk-headless), which is not installed")
    return found


def java(wanted_by: str) -> str:
    """The program Java.

    Raises: Missing.
    """
    found = shutil.which("java")
    if found is None:
        raise Missing(
            f"{wanted_by} needs Java {_JAVA_MIN} (the Debian package default-jre-headless), which is not installed"
        )
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA_MIN:
        raise Missing(
            f"{wanted_by} needs Java {_JAVA_MIN}; there is {said.splitlines()[0] if said else 'none that runs'}"
        )
    return found


def run(command: Sequence[str], *, timeout_s: float, what: str, env: Mapping[str, str] | None = None) -> None:
    """Run a program to its end, in a process group of its own that goes with it.

    Raises: Missing, which says that `what` is so and what the program said first.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Missing(f"{what} within {timeout_s:.0f} s") from None
        raise
    if process.returncode != 0:
        raise Missing(f"{what}: {said.strip().splitlines()[0] if said.strip() else process.returncode}")


def _project(artifacts: Sequence[str]) -> str:
    """A project of Maven's that depends on `artifacts`."""
    wanted = (zip(("groupId", "artifactId", "version"), artifact.split(":"), strict=True) for artifact in artifacts)
    dependencies = "".join(
        f"<dependency>{''.join(f'<{tag}>{escape(text)}</{tag}>' for tag, text in parts)}</dependency>"
        for parts in wanted
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>billfold</groupId><artifactId>servers</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )
