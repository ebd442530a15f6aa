"""Redis, Debian's, which keeps nothing on its disk."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from pathlib import Path

from billfold.devservers import wire
from billfold.devservers.fetching import Missing
from billfold.devservers.server import DevServer
from billfold.platform import children, host

_SETTINGS = """\
# Written by billfold at every start.
port {port}
bind 127.0.0.1
save ""
appendonly no
requirepass {password}
"""


class Redis(DevServer):
    """A server that is empty after each start, and whose password nobody else knows."""

    name = "redis"
    title = "Redis"
    usual_port = 6379

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self.password = secrets.token_urlsafe(32)

    @classmethod
    def fetch(cls) -> None:
        _installed()

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_installed(), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"v=(\S+)", said)
        return found[1] if found else said.strip()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    async def _program(self) -> children.Program:
        # On the command line every user of the machine could read the password.
        settings = self.folder / "redis.conf"
        host.write_private(settings, _SETTINGS.format(port=self.port, password=self.password))
        return self._as_program(_installed(), str(settings))

    async def _answers(self) -> bool:
        return await wire.redis(self.port)


def _installed() -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("Redis is the Debian package redis-server, which is not installed")
    return program
