"""/docs: the API's reference and a page of all error codes, served by this process alone, without any third party."""

import html
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from billfold.kernel import errors
from billfold.platform.web.problems import status_of, title_of

ERRORS_PATH = "/docs/errors"
#: Under the prefix of the API that it describes.
OPENAPI_PATH = "/openapi.json"
_STATIC = {"docs.css": "text/css", "docs.js": "text/javascript", "icon.svg": "image/svg+xml; charset=utf-8"}
#: The files are part of the program: they change when it does.
_CACHED = {"cache-control": "public, max-age=300"}


def handlers(document: bytes, *, prefix: str) -> Sequence[HTTPRouteHandler]:
    """The handlers of the OpenAPI document of the API under `prefix`, and of the pages that show it."""

    @get(prefix + OPENAPI_PATH, sync_to_thread=False)
    def openapi_json() -> Response[bytes]:
        return Response(document, media_type="application/json")

    @get("/", sync_to_thread=False)
    def root() -> Redirect:
        return Redirect("/docs")

    @get("/docs", sync_to_thread=False)
    def page() -> Response[bytes]:
        content = _file("docs.html").replace(b"{openapi}", (prefix + OPENAPI_PATH).encode())
        return Response(content, media_type="text/html", headers=_CACHED)

    @get(ERRORS_PATH, sync_to_thread=False)
    def errors_page() -> Response[bytes]:
        return Response(_errors_html(), media_type="text/html", headers=_CACHED)

    @get([f"/docs/{name}" for name in _STATIC], sync_to_thread=False)
    def static(request: Request[Any, Any, Any]) -> Response[bytes]:
        name = request.url.path.rpartition("/")[2]
        return Response(_file(name), media_type=_STATIC[name], headers=_CACHED)

    return [openapi_json, root, page, errors_page, static]


@cache
def _file(name: str) -> bytes:
    return (resources.files("billfold.platform.web") / "static" / name).read_bytes()


def _errors_html() -> bytes:
    rows = "".join(
        f'<tr id="{error.code}"><td><a href="#{error.code}"><code>{error.code}</code></a></td>'
        f"<td>{status_of(error):d}</td>"
        f"<td>{'yes' if error.retryable else 'no'}</td><td><b>{html.escape(title_of(error))}.</b> "
        f"{html.escape(error.sentence())}</td></tr>"
        for error in errors.catalogue()
    )
    return _file("errors.html").replace(b"{rows}", rows.encode())
