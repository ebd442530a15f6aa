"""/account: the page on which people register, log in, and see to what proves that it is them.

It is an example of what can be built on this API as much as it is of use: it calls what everybody can, with cookies.
Its scripts and styles are files of their own, because the policy of its answers runs no others.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

PATH = "/account"
_SCRIPT = "text/javascript"
_STATIC = {
    "account.css": "text/css",
    **{
        f"{name}.js": _SCRIPT
        for name in ("account", "aliases", "api", "approval", "devices", "dom", "factors", "identities", "proofs")
    },
}
#: The files are part of the program: they change when it does.
_CACHED = {"Cache-Control": "public, max-age=300"}


def handlers() -> Sequence[HTTPRouteHandler]:
    """The handlers for the root of the API's address."""

    @get(PATH, sync_to_thread=False)
    def page() -> Response[bytes]:
        return Response(_file("account.html"), media_type="text/html", headers=_CACHED)

    @get([f"{PATH}/{name}" for name in _STATIC], sync_to_thread=False)
    def static(request: Request[Any, Any, Any]) -> Response[bytes]:
        name = request.url.path.rpartition("/")[2]
        return Response(_file(name), media_type=_STATIC[name], headers=_CACHED)

    return [page, static]


@cache
def _file(name: str) -> bytes:
    return (resources.files("billfold.identity.rest") / "pages" / name).read_bytes()
