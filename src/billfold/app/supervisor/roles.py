"""Our own processes: the command that runs a role, its environment, and how it is found ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from billfold.app import settings
from billfold.platform import children, host, tls

#: Python and all imports on a slow machine, or many processes at once.
READY_TIMEOUT_S = 60.0
#: Requests in flight are answered and batches committed before a role ends.
STOP_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What to run, the address that answers 200 when it is ready, and the ports it listens on."""

    name: str
    command: Sequence[str]
    ready_url: Callable[[settings.Settings], str]
    ports: Callable[[settings.Settings], Sequence[int]]


API = Role(
    name="api",
    command=(sys.executable, "-m", "billfold.app.roles", "api"),
    ready_url=lambda tree: f"{tree.api.local_url}/readyz",
    ports=lambda tree: (tree.api.port, tree.api.metrics_port),
)
WORKER = Role(
    name="worker",
    command=(sys.executable, "-m", "billfold.app.roles", "worker"),
    ready_url=lambda tree: tree.metrics.local_url(tree.worker.metrics_port),
    ports=lambda tree: (tree.worker.metrics_port,),
)
LEDGER = Role(
    name="ledger",
    command=(sys.executable, "-m", "billfold.app.roles", "ledger"),
    # It answers there when it listens, and not before.
    ready_url=lambda tree: tree.metrics.local_url(tree.ledger.metrics_port),
    ports=lambda tree: (tree.ledger.metrics_port,),
)
SIGNER = Role(
    name="signer",
    command=(sys.executable, "-m", "billfold.app.roles", "signer"),
    # It answers there when it listens, and not before.
    ready_url=lambda tree: tree.metrics.local_url(tree.signer.metrics_port),
    ports=lambda tree: (tree.signer.metrics_port,),
)
MAIL_SINK = Role(
    name="mail-sink",
    command=(sys.executable, "-m", "billfold.app.roles", "mail-sink"),
    ready_url=lambda tree: f"{tree.mail_sink.url}/healthz",
    ports=lambda tree: (tree.mail_sink.port, tree.mail_sink.smtp_port),
)


class RoleProcess:
    """A role under the stack's settings."""

    def __init__(
        self, role: Role, tree: settings.Settings, *, on_line: children.LogLine, name: str | None = None
    ) -> None:
        """`name` tells replicas apart."""
        self.name = name or role.name
        self._command = role.command
        self._settings = tree
        self._told = _of_signer(tree) if role is SIGNER else _of_others(tree)
        self._ready_url = role.ready_url(tree)
        self._certificate = tree.api.tls_certificate
        self._ports = role.ports(tree)
        self._on_line = on_line

    async def start(self) -> children.Child:
        """Start the role and return when its address answers.

        Raises: ChildFailed, LeftoverProcess.
            PortTaken: another program would answer in its place, or has taken its port while it started.
        """
        self._check_ports()
        program = children.Program(
            name=self.name,
            command=self._command,
            lock=self._settings.data_dir / f"{self.name}.lock",
            stop_timeout_s=STOP_TIMEOUT_S,
            env=environment(self._told, os.environ),
        )
        child = await children.start(program, on_line=self._on_line)
        try:
            await self._wait_ready(child)
        except BaseException as error:
            await child.stop()
            if isinstance(error, children.ChildFailed):
                self._check_ports()
            raise
        return child

    def _check_ports(self) -> None:
        for port in self._ports:
            host.checked_port(port)

    async def _wait_ready(self, child: children.Child) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not await answers(self._ready_url, self._certificate):
            if not child.running:
                raise child.failure(f"ended with exit code {await child.wait()}")
            if asyncio.get_running_loop().time() > deadline:
                raise child.failure(f"was not ready within {READY_TIMEOUT_S:.0f} seconds")
            await asyncio.sleep(POLL_S)


def environment(tree: settings.Settings, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of a role: ours, with these settings in place of those we were started with."""
    kept = {name: value for name, value in outer.items() if not name.startswith(settings.PREFIX)}
    return kept | settings.as_environment(tree) | {"PYTHONUNBUFFERED": "1"}


def _of_others(tree: settings.Settings) -> settings.Settings:
    """What every role but the signer is told.

    The databases' owner is not among it: a role can neither change a schema nor what the journal and the audit have.
    Nor is what opens the signer's database and its seeds.
    """
    given = tree.signer
    signer = settings.Signer(
        address=given.address,
        tls_certificate=given.tls_certificate,
        tls_key=given.tls_key,
        tls_authority=given.tls_authority,
        token=given.token,
        timeout_s=given.timeout_s,
    )
    return settings.replaced(tree, {"postgres.owner_dsn": None, "audit.owner_dsn": None, "signer": signer})


def _of_signer(tree: settings.Settings) -> settings.Settings:
    """What the signer is told: of itself, and nothing of the rest."""
    signer = settings.replaced(tree.signer, {"owner_dsn": None, "address": None})
    return settings.Settings(
        data_dir=tree.data_dir, signer=signer, log=tree.log, metrics=tree.metrics, traces=tree.traces
    )


async def answers(url: str, certificate: Path | str | None = None) -> bool:
    """Whether the address answers 200 now; by HTTPS only to whoever shows this very certificate."""
    return await _status(url, certificate) == b"200"


async def refuses_key(api_url: str, key: str, certificate: Path | str | None = None) -> bool:
    """Whether the API answers that it does not take the key."""
    return await _status(f"{api_url}/api/v1/assets", certificate, f"Authorization: Bearer {key}\r\n") == b"401"


async def _status(url: str, certificate: Path | str | None, header: str = "") -> bytes | None:
    parts = urlsplit(url)
    assert parts.hostname is not None, url
    assert parts.port is not None, url
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            trust = (
                tls.known_context(Path(certificate)) if certificate is not None and parts.scheme == "https" else None
            )
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=trust)
            try:
                request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{header}Connection: close\r\n\r\n"
                writer.write(request.encode("ascii"))
                status = await reader.readline()
            finally:
                # What else the server has to say does not matter, and its farewell in TLS neither.
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, tls.CertificateUnusable):
        return None
    return next(iter(status.split()[1:2]), None)
