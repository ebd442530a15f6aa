"""The public keys that check our access tokens, where everybody looks for them (RFC 8615)."""

from collections.abc import Sequence

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from billfold.identity import Identity
from billfold.identity.contracts import PUBLISHED_MAX_AGE_S

_HEADERS = {"Cache-Control": f"public, max-age={PUBLISHED_MAX_AGE_S}"}


def handlers(identity: Identity) -> Sequence[HTTPRouteHandler]:
    """The handlers for the root of the API's address."""

    @get("/.well-known/jwks.json")
    async def jwks() -> Response[bytes]:
        found = msgspec.json.encode({"keys": await identity.tokens.published()})
        return Response(found, media_type="application/json", headers=_HEADERS)

    return [jwks]
