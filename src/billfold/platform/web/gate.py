"""Who gets in, and how often: by owner behind a valid key, by address without one.

A request with a valid key is never counted for its address, so nobody is kept out by what others do at the same one.
The limits of owners are theirs and not those of single keys: whoever may create keys could otherwise create limits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
import structlog
from litestar.types import HTTPScope, WebSocketScope
from prometheus_client import Counter

from billfold.kernel import origin
from billfold.kernel.errors import BillfoldError, Denied, Unauthenticated
from billfold.kernel.looks import Look
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal
from billfold.platform.limiting.exceeded import Exceeded, Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.messaging.notary import RefusedPart
from billfold.platform.web import errors
from billfold.platform.web.addresses import Addresses
from billfold.platform.web.authentication import Authenticator, principal_of
from billfold.platform.web.cookies import Cookies
from billfold.platform.web.operations import Operation
from billfold.platform.web.witness import Witness

#: Whoever keeps this process running asks often, and from one address.
_HEALTH = frozenset({"/healthz", "/readyz"})
#: Refusals of one owner that are logged, so that nobody fills the disk with theirs.
TOLD = Window(60, 60)
_REFUSED = Counter("billfold_http_limited", "Requests that were refused because there were too many.", ["limit"])

log = structlog.get_logger(__name__)


#: Asks again whose credentials those are that somebody has shown. Raises BillfoldError when they are nobody's any more.
Again = Callable[[], Awaitable[Principal]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted; None is not."""

    #: Requests of an owner, with any of their keys.
    owner: Limiter | None = None
    #: Requests of an address without valid credentials.
    anonymous: Limiter | None = None
    #: Wrong credentials from an address.
    credentials: Limiter | None = None


NO_LIMITS = Limits()


class Gate:
    """Lets requests in."""

    def __init__(
        self,
        authenticator: Authenticator,
        limits: Limits,
        addresses: Addresses,
        cookies: Cookies,
        witness: Witness | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self._owner = limits.owner
        self._addresses = addresses
        self._cookies = cookies
        self._told = Limiter("denied", [TOLD])
        self._witness = witness
        #: Where a request comes from.
        self.client = addresses.client

    async def caller(self, headers: Mapping[bytes, bytes], method: str) -> Principal:
        """Whose request this is. It counts.

        Raises:
            Unauthorized: nobody's.
            CrossSite, CsrfTokenWrong, TooManyRequests.
        """
        principal = await principal_of(headers, self._authenticator, self._cookies, method=method)
        if self._owner is not None:
            exceeded = await self._owner.hit(principal.owner_id.hex)
            if exceeded is not None:
                raise _too_many(exceeded)
        origin.identified(principal)
        return principal

    async def again(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Whose request this is by now, for an answer that goes on. It does not count.

        Raises:
            Unauthorized: nobody's any more.
            Unavailable: that can't be found out now.
        """
        return await principal_of(headers, self._authenticator, self._cookies, method="GET")

    def begin(self, scope: HTTPScope, request_id: bytes) -> None:
        """From here on it is known where the request comes from, if an audit is kept."""
        if self._witness is not None:
            address = self._addresses.address(scope)
            origin.begin(Origin(channel="api", address=address, request_id=request_id.decode()))

    def looking(self, principal: Principal, operation: Operation, *, method: str) -> Look | None:
        """Watch whose things an operation shows, for a caller who may see everybody's and where an audit is kept."""
        return None if self._witness is None else self._witness.looking(principal, operation, method=method)

    async def looked(self, look: Look | None, operation: Operation, *, path: str, query: bytes) -> None:
        """Let a caller see what an operation has found, once the audit knows of it where it is to.

        Raises:
            DatabaseUnavailable: it can't be written down now.
        """
        if look is not None and self._witness is not None:
            await self._witness.looked(look, operation, path=path, query=query.decode("latin-1"))

    async def enter(self, scope: HTTPScope | WebSocketScope, headers: Mapping[bytes, bytes]) -> None:
        """Count a request that may be anybody's, unless its credentials are valid.

        Raises:
            TooManyRequests.
        """
        limiter = self._limits.anonymous
        if limiter is None or scope["path"] in _HEALTH or await self._is_known(headers):
            return
        exceeded = await limiter.hit(self._addresses.of(scope))
        if exceeded is not None:
            raise _too_many(exceeded)

    async def answered(
        self, error: BaseException, scope: HTTPScope | WebSocketScope, headers: Mapping[bytes, bytes]
    ) -> BaseException:
        """The error to answer with: wrong credentials count, and too many of them have an error of their own."""
        limiter = self._limits.credentials
        if limiter is None or not isinstance(error, errors.Unauthorized) or not self._has_credentials(headers):
            return error
        exceeded = await limiter.hit(self._addresses.of(scope))
        return error if exceeded is None else _too_many(exceeded, errors.TooManyWrongCredentials)

    async def tell_refused(self, error: BaseException, scope: HTTPScope, *, route: str) -> None:
        """Have the audit keep that a known caller was refused."""
        if self._witness is not None:
            await self._witness.refused(error, method=scope["method"], route=route, path=scope["path"])

    async def tell_refused_parts(self, parts: Iterable[RefusedPart], *, method: str, route: str, path: str) -> None:
        """Have the audit keep what a known caller was refused of a request that is answered."""
        if self._witness is not None:
            await self._witness.refused_parts(parts, method=method, route=route, path=path)

    async def tell_denied(self, error: Denied, headers: Mapping[bytes, bytes], *, route: str) -> None:
        """Log that a known caller wanted what they may not have; strangers are counted instead."""
        if isinstance(error, Unauthenticated):
            return
        try:
            by = await principal_of(headers, self._authenticator, self._cookies, method="GET")
        except BillfoldError:
            return
        if await self._told.hit(by.owner_id.hex) is None:
            log.info("denied", code=error.code, route=route, owner=str(by.owner_id), by=str(by.credential_id))

    def _has_credentials(self, headers: Mapping[bytes, bytes]) -> bool:
        return b"authorization" in headers or self._cookies.access_in(headers) is not None

    async def _is_known(self, headers: Mapping[bytes, bytes]) -> bool:
        if not self._has_credentials(headers):
            return False
        try:
            await principal_of(headers, self._authenticator, self._cookies, method="GET")
        except BillfoldError:
            return False
        return True


def _too_many(
    exceeded: Exceeded, kind: type[errors.TooManyRequests] = errors.TooManyRequests
) -> errors.TooManyRequests:
    _REFUSED.labels(exceeded.name).inc()
    error = kind()
    error.exceeded = exceeded
    return error
