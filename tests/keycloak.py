"""A real Keycloak for tests: fetched from Maven Central once, built once, kept in a cache, and run from a copy.

It imports `deploy/keycloak/realm.json`, the realm that the documentation tells people to use.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from billfold.platform import children, host
from tests import servers

VERSION = "26.7.3"
REALM_FILE = Path(__file__).parents[1] / "deploy" / "keycloak" / "realm.json"
REALM = "billfold"
#: The people of the realm, with their passwords.
ADA, MALLORY = ("ada", "the analytical engine"), ("mallory", "not what it seems")
CLIENT, CLIENT_SECRET = "billfold", "only-for-the-sandbox"
SERVICE, SERVICE_SECRET = "billfold-service", "only-for-the-sandbox-too"

_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_COPY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_JAVA_MIN = 17
#: 180 MB over a slow line, and a build on a busy machine.
_FETCH_TIMEOUT_S = 900
_BUILD_TIMEOUT_S = 600
_START_TIMEOUT_S = 300.0
#: Keycloak answers slowly while other tests have the processors.
CALL_TIMEOUT_S = 60.0
_ADMIN = "admin"
#: Little memory, and no time spent on making code faster that runs for a minute.
_JAVA = {"JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m", "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}


class Missing(Exception):
    """There can be no Keycloak on this machine; the message says why."""


class KeycloakServer:
    """A running Keycloak with the realm of `deploy/`."""

    def __init__(self, thread: servers.LoopThread, folder: Path, log: deque[str]) -> None:
        self._thread = thread
        self._folder = folder
        self.port, self._management_port = host.free_port(), host.free_port()
        self.log = log
        self.child = thread.run(self._spawned())
        self._wait_ready()

    @property
    def url(self) -> str:
        """Its root. It calls itself by whichever name it is called by, so `localhost` is another site and issuer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """The issuer of the realm's tokens, when they are asked for at `url`."""
        return f"{self.url}/realms/{REALM}"

    def service_token(self, *, issuer: str | None = None) -> str:
        """An access token of the client that is a program."""
        return str(self._token(issuer or self.issuer, SERVICE, SERVICE_SECRET, grant_type="client_credentials"))

    def admin(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Call the admin API of the realm as its administrator."""
        token = self._token(
            f"{self.url}/realms/master", "admin-cli", None, grant_type="password", username=_ADMIN, password=_ADMIN
        )
        answer = httpx2.request(
            method,
            f"{self.url}/admin/realms/{REALM}{path}",
            json=body,
            headers={"authorization": f"Bearer {token}"},
            timeout=CALL_TIMEOUT_S,
        )
        answer.raise_for_status()
        return answer

    def _token(self, issuer: str, client: str, secret: str | None, **form: str) -> Any:
        form |= {"client_id": client} | ({} if secret is None else {"client_secret": secret})
        answer = httpx2.post(f"{issuer}/protocol/openid-connect/token", data=form, timeout=CALL_TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()["access_token"]

    async def _spawned(self) -> children.Child:
        options = {
            "http-enabled": "true",
            "http-host": "127.0.0.1",
            "http-port": str(self.port),
            "http-management-port": str(self._management_port),
            "hostname-strict": "false",
        }
        program = children.Program(
            name="keycloak",
            command=(
                *(str(self._folder / "bin" / "kc.sh"), "start", "--optimized", "--import-realm"),
                *(f"--{name}={value}" for name, value in options.items()),
            ),
            lock=self._folder / "keycloak.lock",
            # Nobody wants its files afterwards, and on a busy machine a clean end takes as long as a start.
            stop_signal=signal.SIGKILL,
            env=_environment() | {"KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN},
        )
        return await children.start(program, on_line=self.log.append)

    def _wait_ready(self) -> None:
        """It says that it has started long before it is ready, so its health is asked."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            assert self.child.running, list(self.log)
            assert time.monotonic() < deadline, list(self.log)
            try:
                health = httpx2.get(f"http://127.0.0.1:{self._management_port}/health/ready", timeout=CALL_TIMEOUT_S)
            except httpx2.TransportError:
                health = None
            if health is not None and health.is_success:
                return
            time.sleep(0.2)


@contextmanager
def running_keycloak(installed: Path, folder: Path) -> Iterator[KeycloakServer]:
    """The Keycloak that was `installed`, with files of its own in `folder`, until the block ends."""
    home = folder / "keycloak"
    # Links to the files that never change, where the file system allows it: a copy has 190 MB.
    shutil.copytree(installed, home, copy_function=_linked)
    imported = home / "data" / "import"
    imported.mkdir(parents=True)
    shutil.copy(REALM_FILE, imported)
    thread = servers.LoopThread()
    try:
        server = KeycloakServer(thread, home, deque(maxlen=200))
        try:
            yield server
        finally:
            thread.run(server.child.stop())
            # That was its script, which can't hand on such an end to the Java that it has started.
            with suppress(ProcessLookupError):
                os.killpg(server.child.process.pid, signal.SIGKILL)
    finally:
        thread.close()


def installed() -> Path:
    """The folder of a built Keycloak, which is made when it is missing. Whoever comes meanwhile waits.

    Raises:
        Missing: it can't be had on this machine.
    """
    _check_java()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "billfold-tests"
    cache.mkdir(parents=True, exist_ok=True)
    ready = cache / f"keycloak-{VERSION}"
    with (cache / f"keycloak-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as folder:
                # Only what is complete gets the name.
                _made(Path(folder)).rename(ready)
    return ready


def _made(folder: Path) -> Path:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("Keycloak is fetched by Maven (the Debian package maven), which is not installed")
    _run(
        [maven, "-B", "-q", _COPY_PLUGIN, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder}"],
        timeout_s=_FETCH_TIMEOUT_S,
        what=f"Maven can't fetch Keycloak {VERSION}",
    )
    with zipfile.ZipFile(folder / f"keycloak-quarkus-dist-{VERSION}.zip") as archive:
        archive.extractall(folder)
    home = folder / f"keycloak-{VERSION}"
    (home / "bin" / "kc.sh").chmod(0o755)
    _run(
        [str(home / "bin" / "kc.sh"), "build", "--db=dev-file", "--health-enabled=true"],
        timeout_s=_BUILD_TIMEOUT_S,
        what=f"Keycloak {VERSION} can't be built",
    )
    return home


def _check_java() -> None:
    java = shutil.which("java")
    if java is None:
        raise Missing("Keycloak needs Java 17 (the Debian package default-jre-headless), which is not installed")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < _JAVA_MIN:
        raise Missing(f"Keycloak needs Java {_JAVA_MIN}; there is {said.splitlines()[0] if said else 'none that runs'}")


def _run(command: list[str], *, timeout_s: float, what: str) -> None:
    """Run a program to its end, in a process group of its own that goes with it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, 9)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Missing(f"{what} within {timeout_s:.0f} s") from None
        raise
    if process.returncode != 0:
        raise Missing(f"{what}: {said.strip().splitlines()[0] if said.strip() else process.returncode}")


def _environment() -> dict[str, str]:
    """Ours, without what somebody has set for a Keycloak of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KC_")} | _JAVA


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
