"""S3Proxy: a real server of the S3 protocol, over the files of a folder instead of a cloud's disks.

It checks signatures of version 4 and conditions such as `If-None-Match`, keeps what it has acknowledged, and answers
with the error codes of S3. It knows no users beside the one, no versions and no locks, and here no TLS.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from billfold.devservers import fetching, server, wire
from billfold.devservers.server import DevServer
from billfold.platform import children, host

VERSION = "4.1.0"
#: It names these annotations by a version that Maven takes from whoever else asks for them, and that one is too old.
_ARTIFACTS = (f"org.gaul:s3proxy:{VERSION}", "com.fasterxml.jackson.core:jackson-annotations:2.22")

_SETTINGS = """\
# Written by billfold at every start.
s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.authorization=aws-v4
s3proxy.identity={access_key}
s3proxy.credential={secret_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={buckets}
"""


class S3(DevServer):
    """One store with one user and the bucket `billfold`. A bucket is a folder of `buckets`."""

    name = "s3"
    title = "S3Proxy"
    usual_port = 9000
    access_key = "billfold"

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self.secret_key = secrets.token_urlsafe(24)
        self.buckets = host.private_folder(folder / "buckets")
        host.private_folder(self.buckets / "billfold")

    @classmethod
    def fetch(cls) -> None:
        fetching.java(cls.title)
        _jars()

    @classmethod
    def version(cls) -> str:
        return VERSION

    @property
    def endpoint(self) -> str:
        """Its address without the credentials, as settings want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.access_key}:{self.secret_key}@127.0.0.1:{self.port}"

    async def _program(self) -> children.Program:
        settings, logback = self.folder / "s3proxy.conf", self.folder / "logback.xml"
        filled = _SETTINGS.format(
            port=self.port, access_key=self.access_key, secret_key=self.secret_key, buckets=self.buckets
        )
        host.write_private(settings, filled)
        host.write_private(logback, server.LOGBACK)
        options = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlogback.configurationFile={logback}")
        return self._as_program(
            *(fetching.java(self.title), *options, "-cp", f"{_jars()}/*"),
            *("org.gaul.s3proxy.Main", "--properties", str(settings)),
        )

    async def _answers(self) -> bool:
        return await wire.s3(self.port)


def _jars() -> Path:
    """Raises: Missing."""
    return fetching.jars("s3proxy", VERSION, *_ARTIFACTS)
