"""What all servers here have in common: a folder, ports that stay, a start that ends when the server answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from billfold.platform import children, host

#: A Java that starts takes ten seconds of processor time, of which it may get little.
READY_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05

#: For Log4j 2: what goes wrong, on the console. Servers that use it need such a file to have a log.
LOG4J = """\
status=error
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=C
"""
#: The same for Logback.
LOGBACK = """\
<configuration>
  <appender name="C" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>[%d] %p %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="C"/></root>
</configuration>
"""


class DevServer(ABC):
    """One server with its files in `folder`. It can be started again after it has ended; its ports stay."""

    #: As it is called on the command line.
    name: ClassVar[str]
    #: As people call it.
    title: ClassVar[str]
    #: Where people expect it.
    usual_port: ClassVar[int]

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        self.folder = host.private_folder(folder)
        self.port = host.free_port() if port is None else host.checked_port(port)
        self._on_line = on_line
        self._child: children.Child | None = None

    @classmethod
    @abstractmethod
    def fetch(cls) -> None:
        """Get what is missing to run it; what is there already costs nothing. It may take minutes, and blocks.

        Raises: Missing.
        """

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """The version that `fetch` has got."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect to, with the credentials where it asks for any."""

    @property
    def address(self) -> str:
        """Where it listens, for everybody to see."""
        return f"127.0.0.1:{self.port}"

    @property
    def child(self) -> children.Child:
        """Its process, which may have ended."""
        assert self._child is not None, "the server has not been started"
        return self._child

    async def start(self) -> None:
        """Start it and return when it answers.

        Raises: ChildFailed, LeftoverProcess, Missing.
        """
        self._child = await children.start(await self._program(), on_line=self._on_line)
        try:
            await self._ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop it cleanly."""
        await self.child.stop()

    async def kill(self) -> None:
        """End it as a power cut of its process would."""
        with contextlib.suppress(ProcessLookupError):
            self.child.process.kill()
        await self.child.wait()

    def hang(self) -> None:
        """Let it accept connections and answer none."""
        self.child.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self.child.process.send_signal(signal.SIGCONT)

    async def _ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not await self._answers():
            if not self.child.running:
                raise self.child.failure(f"ended with exit code {await self.child.wait()}")
            if asyncio.get_running_loop().time() > deadline:
                raise self.child.failure(f"was not ready within {READY_TIMEOUT_S:.0f} seconds")
            await asyncio.sleep(POLL_S)

    @abstractmethod
    async def _program(self) -> children.Program:
        """What to run, once its files are written."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether it answers a client."""

    def _as_program(self, *command: str, env: Mapping[str, str] | None = None) -> children.Program:
        return children.Program(
            name=self.name,
            command=command,
            lock=self.folder / f"{self.name}.lock",
            stop_timeout_s=STOP_TIMEOUT_S,
            env=environment() | dict(env or {}),
            folder=self.folder,
        )


def environment() -> dict[str, str]:
    """Ours, without what somebody has set for servers of their own."""
    wanted = ("PATH", "JAVA_HOME", "TMPDIR")
    return {"LANG": "C.UTF-8", "TZ": "UTC"} | {name: os.environ[name] for name in wanted if name in os.environ}
