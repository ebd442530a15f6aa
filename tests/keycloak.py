"""A real Keycloak for tests: fetched from Maven Central once, built once, kept in a cache, and run from a copy.

It imports `deploy/keycloak/realm.json`, the realm that the documentation tells people to use.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from billfold.devservers import fetching
from billfold.platform import children, host
from tests import servers

VERSION = "26.7.3"
REALM_FILE = Path(__file__).parents[1] / "deploy" / "keycloak" / "realm.json"
REALM = "billfold"
#: The people of the realm, with their passwords.
ADA, MALLORY = ("ada", "the analytical engine"), ("mallory", "not what it seems")
CLIENT, CLIENT_SECRET = "billfold", "only-for-the-sandbox"
SERVICE, SERVICE_SECRET = "billfold-service", "only-for-the-sandbox-too"

#: What a Billfold is told that takes tokens of its people and of its program.
_PROVIDER = """
[[provider]]
name = "keycloak"
title = "Keycloak"
issuer = "{issuer}"
client_id = "billfold"
client_secret = "only-for-the-sandbox"
login = true
accept_tokens = true
audience = "billfold"
services = ["billfold-service"]
roles_claim = "realm_access.roles"

[provider.roles]
auditor = "auditor"
"""

_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
#: On a busy machine, where two that were started at once took 290 s.
_BUILD_TIMEOUT_S = 900
_START_TIMEOUT_S = 900.0
#: Keycloak answers slowly while other tests have the processors.
CALL_TIMEOUT_S = 60.0
_ADMIN = "admin"
#: Little memory, and no time spent on making code faster that runs for a minute.
_JAVA = {"JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m", "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}


class KeycloakServer:
    """A running Keycloak with the realm of `deploy/`."""

    def __init__(self, thread: servers.LoopThread, folder: Path, log: deque[str]) -> None:
        self._thread = thread
        self._folder = folder
        self.port, self._management_port = host.free_port(), host.free_port()
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it, also after `kill`, at the same address and with the same keys, and return when it is ready."""
        self.child = self._thread.run(self._spawned())
        self._wait_ready()

    def kill(self) -> None:
        """SIGKILL it: its script, which can't hand that on, and the Java that the script has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self._thread.run(self.child.wait())

    @property
    def url(self) -> str:
        """Its root. It calls itself by whichever name it is called by, so `localhost` is another site and issuer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """The issuer of the realm's tokens, when they are asked for at `url`."""
        return f"{self.url}/realms/{REALM}"

    def provider_file(self, folder: Path) -> Path:
        """A file in `folder` by which a Billfold trusts it: the setting `oidc.file`."""
        file = folder / "providers.toml"
        file.write_text(_PROVIDER.format(issuer=self.issuer), encoding="utf-8")
        return file

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
            server.kill()
    finally:
        thread.close()


def installed() -> Path:
    """The folder of a built Keycloak, which is made when it is missing. Whoever comes meanwhile waits.

    Raises:
        Missing: it can't be had on this machine.
    """
    fetching.java("Keycloak")
    return fetching.cached(f"keycloak-{VERSION}-alone", _made)


def _made(folder: Path) -> Path:
    fetching.maven("copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder}", what=f"Keycloak {VERSION}")
    with zipfile.ZipFile(folder / f"keycloak-quarkus-dist-{VERSION}.zip") as archive:
        archive.extractall(folder)
    home = folder / f"keycloak-{VERSION}"
    (home / "bin" / "kc.sh").chmod(0o755)
    fetching.run(
        # One that looks for no others: their channel, with keys of its own, takes a third of a start.
        [str(home / "bin" / "kc.sh"), "build", "--db=dev-file", "--health-enabled=true", "--cache=local"],
        timeout_s=_BUILD_TIMEOUT_S,
        what=f"Keycloak {VERSION} can't be built",
        env=_environment(),
    )
    return home


def _environment() -> dict[str, str]:
    """Ours, without what somebody has set for a Keycloak of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KC_")} | _JAVA


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
