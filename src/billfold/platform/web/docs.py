"""/docs: the API's reference and a page of all error codes, served by this process alone, without any third party."""

import html
import re
from collections.abc import Sequence

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from billfold.kernel import errors
from billfold.platform.web import files
from billfold.platform.web.files import Files
from billfold.platform.web.problems import status_of, title_of

ERRORS_PATH = "/docs/errors"
#: Under the prefix of the API that it describes.
OPENAPI_PATH = "/openapi.json"
_STATIC = {"docs.css": "text/css", "docs.js": "text/javascript", "icon.svg": "image/svg+xml; charset=utf-8"}
_FILES = Files("billfold.platform.web", "static")


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
        return files.page(_FILES.read("docs.html").replace(b"{openapi}", (prefix + OPENAPI_PATH).encode()))

    @get(ERRORS_PATH, sync_to_thread=False)
    def errors_page() -> Response[bytes]:
        return files.page(_errors_html(prefix + OPENAPI_PATH))

    return [openapi_json, root, page, errors_page, _FILES.handler("/docs", _STATIC)]


def _errors_html(openapi: str) -> bytes:
    rows = "".join(
        f'<tr id="{error.code}"><td><a href="#{error.code}"><code>{error.code}</code></a></td>'
        f"<td>{status_of(error):d}</td>"
        f"<td>{'yes' if error.retryable else 'no'}</td><td><b>{html.escape(title_of(error))}.</b> "
        f"{_marked(error.sentence())}</td></tr>"
        for error in errors.catalogue()
    )
    page = _FILES.read("errors.html").replace(b"{openapi}", openapi.encode())
    return page.replace(b"{rows}", rows.encode())


def _marked(sentence: str) -> str:
    """A sentence in which what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(sentence))
