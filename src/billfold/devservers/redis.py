"""Redis, Debian's, which keeps nothing on its disk."""

from __future__ import annotations

import re
import shutil
import subprocess

from billfold.devservers import wire
from billfold.devservers.fetching import Missing
from billfold.devservers.server import DevServer
from billfold.platform import children


class Redis(DevServer):
    """A server that is empty after each start."""

    name = "redis"
    title = "Redis"
    usual_port = 6379

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
        return f"redis://127.0.0.1:{self.port}/0"

    async def _program(self) -> children.Program:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
        }
        return self._as_program(
            _installed(), *(word for name, value in options.items() for word in (f"--{name}", value))
        )

    async def _answers(self) -> bool:
        return await wire.redis(self.port)


def _installed() -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("Redis is the Debian package redis-server, which is not installed")
    return program
