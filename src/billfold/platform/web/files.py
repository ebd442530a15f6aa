"""Pages, and the scripts and styles that are part of them: files of a package, served as they are.

A page runs its own script and style and talks to this API, and to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: The files are part of the program: they change when it does.
_HEADERS = {"cache-control": "public, max-age=300", "content-security-policy": POLICY}


class Files:
    """The files of a folder in a package."""

    def __init__(self, package: str, folder: str) -> None:
        self._folder = resources.files(package) / folder
        self.read = cache(self._read)

    def _read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def handler(self, path: str, types: Mapping[str, str]) -> HTTPRouteHandler:
        """Serves each file of `types`, name → media type, below `path`."""

        @get([f"{path}/{name}" for name in types], sync_to_thread=False)
        def file(request: Request[Any, Any, Any]) -> Response[bytes]:
            name = request.url.path.rpartition("/")[2]
            return Response(self.read(name), media_type=types[name], headers=_HEADERS)

        return file


def page(content: bytes) -> Response[bytes]:
    """The answer that a browser shows as a page."""
    return Response(content, media_type="text/html", headers=_HEADERS)
