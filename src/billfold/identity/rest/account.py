"""/account: the page on which people register, log in, and see to what proves that it is them.

It is an example of what can be built on this API as much as it is of use: it calls what everybody can, with cookies.
Its scripts and styles are files of their own, because the policy of its answers runs no others.
"""

from collections.abc import Sequence

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from billfold.platform.web import files
from billfold.platform.web.files import Files

PATH = "/account"
_SCRIPT = "text/javascript"
_STATIC = {
    "account.css": "text/css",
    **{
        f"{name}.js": _SCRIPT
        for name in ("account", "aliases", "api", "approval", "devices", "dom", "factors", "identities", "proofs")
    },
}
_FILES = Files("billfold.identity.rest", "pages")


def handlers() -> Sequence[HTTPRouteHandler]:
    """The handlers for the root of the API's address."""

    @get(PATH, sync_to_thread=False)
    def page() -> Response[bytes]:
        return files.page(_FILES.read("account.html"))

    return [page, _FILES.handler(PATH, _STATIC)]
