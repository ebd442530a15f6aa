"""RabbitMQ, Debian's, as a node of its own: its own epmd, its own cookie and one user with a random password.

Erlang's nodes find each other through epmd, which by itself is started in the background, listens on all addresses and
stays for ever. Here it runs in the foreground on a port of its own, and ends with the server.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

from billfold.devservers import wire
from billfold.devservers.fetching import Missing
from billfold.devservers.server import DevServer, environment
from billfold.platform import children, host

_LIBRARY = Path("/usr/lib/rabbitmq")
#: Debian's /usr/sbin/rabbitmq-server is a wrapper that wants to be its own user.
_PROGRAM = _LIBRARY / "bin" / "rabbitmq-server"
#: Its epmd is its own, so no other node is in the way.
_NODE = "billfold@localhost"
USER = "billfold"

_SETTINGS = """\
# Written by billfold at every start.
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
loopback_users.{user} = true
log.console = true
log.console.level = warning
log.file = false
# Beside its memory limit others need memory too, and a full disk is the tests' own business.
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""

#: One scheduler that sleeps when there is nothing to do, and no listening for other nodes but on this machine.
_ERLANG = "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMQ(DevServer):
    """One node with the plugins that it has by itself."""

    name = "rabbitmq"
    title = "RabbitMQ"
    usual_port = 5672

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self._epmd_port = host.free_port(besides=[self.port])
        self._nodes_port = host.free_port(besides=[self.port, self._epmd_port])
        self._epmd: children.Child | None = None
        self.password = secrets.token_urlsafe(32)

    @classmethod
    def fetch(cls) -> None:
        if not _PROGRAM.exists() or shutil.which("epmd") is None:
            raise Missing("RabbitMQ is the Debian package rabbitmq-server, which is not installed")

    @classmethod
    def version(cls) -> str:
        cls.fetch()
        (home,) = (_LIBRARY / "lib").glob("rabbitmq_server-*")
        return home.name.removeprefix("rabbitmq_server-")

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/"

    async def start(self) -> None:
        self.fetch()
        if self._epmd is None or not self._epmd.running:
            self._epmd = await children.start(self._finder(), on_line=self._on_line)
        try:
            await super().start()
        except BaseException:
            await self._epmd.stop()
            raise

    async def stop(self) -> None:
        await super().stop()
        await self._without_epmd()

    async def kill(self) -> None:
        await super().kill()
        await self._without_epmd()

    def written(self) -> bool:
        """Whether all quorum queues, and what coordinates the streams, have been made for good.

        This version writes the name of a new one to its disk some time later, and whoever kills it before that finds a
        queue without a leader, or streams that nobody can read.
        """
        return all(
            self._all_named(self.folder / "data" / _NODE / system / _NODE) for system in ("quorum", "coordination")
        )

    def _all_named(self, folder: Path) -> bool:
        names = folder / "names.dets"
        known = names.read_bytes() if names.exists() else b""
        return all(log.name.encode() in known for log in folder.iterdir() if log.is_dir())

    def queues(self) -> dict[str, int]:
        """Its queues, and how many messages of each are in somebody's hands, which AMQP tells nobody."""
        rows = (line.split("\t") for line in self._told("list_queues", "name", "messages_unacknowledged"))
        return {name: int(count) for name, count in rows}

    def clients(self) -> list[str]:
        """What those who are connected say of themselves, their names among it."""
        return self._told("list_connections", "client_properties")

    def set(self, **settings: int) -> None:
        """Settings of its application `rabbit`, for new channels, until they are set anew or it ends."""
        calls = (f"application:set_env(rabbit, {name}, {value})" for name, value in settings.items())
        self._run("eval", f"{', '.join(calls)}.")

    def _told(self, what: str, *columns: str) -> list[str]:
        return self._run(what, "--no-table-headers", *columns).splitlines()

    def _run(self, *command: str) -> str:
        env = environment() | self._environment()
        program = (str(_LIBRARY / "bin" / "rabbitmqctl"), "-q", "-n", _NODE, *command)
        return subprocess.run(program, env=env, capture_output=True, text=True, check=True).stdout

    async def _without_epmd(self) -> None:
        if self._epmd is not None:
            await self._epmd.stop()

    def _finder(self) -> children.Program:
        epmd = shutil.which("epmd")
        assert epmd is not None, "fetch has looked for it"
        return children.Program(
            name="epmd",
            command=(epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"),
            lock=self.folder / "epmd.lock",
            env=environment(),
        )

    async def _program(self) -> children.Program:
        settings = _SETTINGS.format(port=self.port, user=USER, password=self.password)
        host.write_private(self.folder / "rabbitmq.conf", settings)
        host.write_private(self.folder / "enabled_plugins", "[].\n")
        return self._as_program(str(_PROGRAM), env=self._environment())

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            # Its cookie lies there.
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._nodes_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            # Then the script becomes the server, so that its pid is the server's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    async def _answers(self) -> bool:
        return await wire.rabbitmq(self.port)
