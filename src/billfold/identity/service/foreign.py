"""Access tokens of other issuers: whose they are here, and what they may do.

A token is looked at once, with its signature or at its issuer, and believed for a minute at most. Whom it is of is
looked up every time that this is asked, so that whoever is closed or unlinked is refused as soon as with a key of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from billfold.identity import errors
from billfold.identity.adapters import unread
from billfold.identity.contracts import Provider
from billfold.identity.domain import providers as domain
from billfold.identity.service import remembering
from billfold.identity.service.bearers import Found
from billfold.identity.service.provisioning import Provisioning
from billfold.identity.store import providers as store
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database

if TYPE_CHECKING:
    from billfold.identity.adapters.issuers import Issuer

#: A token that its issuer has taken back is still believed for so long.
BELIEVED = timedelta(seconds=60)
#: What begins so is ours, however it is misspelt, and no other server's business.
_OURS = ("bf_", "bfr_")
#: Tokens in use within a minute, in one process.
KEPT_MAX = 10_000


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """What a good token says."""

    provider: Provider
    claims: Mapping[str, object]
    #: The client, if the token is a program's.
    program: str | None
    good_until: datetime
    believed_until: datetime


class ForeignTokens:
    """Access tokens that are not ours."""

    asks_others = True

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        providers: Sequence[tuple[Provider, Issuer]],
        provisioning: Provisioning,
    ) -> None:
        self._database = database
        self._clock = clock
        self._provisioning = provisioning
        self._by_issuer = {
            provider.issuer: (provider, issuer) for provider, issuer in providers if provider.accept_tokens
        }
        self._asked = next((one for one in self._by_issuer.values() if one[0].introspect), None)
        self._claimed: dict[bytes, Claimed] = {}

    def knows(self, token: bytes) -> bool:
        """Whether it names a configured issuer, or is one that an issuer can be asked about; it is not believed yet."""
        return self._whose(token.decode("ascii", errors="replace")) is not None

    async def look_up(self, token: bytes, token_hash: bytes) -> Found:
        """Whose token it is, and until when it is good. Whoever is seen for the first time gets an account.

        Raises:
            ProviderTokenInvalid, ProviderUnavailable, DatabaseUnavailable.
        """
        claimed = await self._looked_at(token, token_hash)
        provider, subject = claimed.provider, str(claimed.claims["sub"])
        linked = await self._find(provider, subject)
        if linked is None:
            if claimed.program is not None:
                await self._provisioned_program(provider, claimed.program, subject)
            else:
                await self._provisioning.person(provider, domain.person(claimed.claims))
            linked = await self._find(provider, subject)
        if linked is None or linked.is_closed or linked.is_person != (claimed.program is None):
            raise errors.ProviderTokenInvalid("This token is of an account that can't be used here.")
        return Found(self._principal(claimed, linked), claimed.good_until)

    def _principal(self, claimed: Claimed, linked: store.Linked) -> Principal:
        """No session of ours is behind it, so what needs one is refused, as with an API key of the same person."""
        if claimed.program is not None:
            return Principal(linked.id, linked.owner_id, domain.scopes_of_program())
        scopes = domain.scopes_of_person(claimed.provider, claimed.claims)
        return Principal(linked.id, linked.owner_id, scopes, user_id=linked.owner_id)

    async def _looked_at(self, token: bytes, token_hash: bytes) -> Claimed:
        now = self._clock.now()
        known = self._claimed.get(token_hash)
        if known is not None and now < known.believed_until:
            return known
        claimed = await self._claims(token.decode("ascii", errors="replace"), now)
        remembering.keep(self._claimed, token_hash, claimed, KEPT_MAX)
        return claimed

    async def _claims(self, text: str, now: datetime) -> Claimed:
        found = self._whose(text)
        if found is None:
            raise errors.ProviderTokenInvalid("This token is of no issuer that is known here.")
        provider, issuer = found
        if unread.read_header(text) is not None:
            signed = await issuer.verified(text, error=errors.ProviderTokenInvalid)
            claims, kind = signed.claims, signed.header.typ
        else:
            # The issuer has been asked what it is, so it is an access token by the question.
            claims, kind = await issuer.introspected(text), "at+jwt"
        domain.check_access_token(provider, claims, kind=kind, now=now.timestamp())
        program = domain.is_program(provider, claims)
        # The clocks' difference was granted once; a token is not kept beyond its end.
        good_until = max(datetime.fromtimestamp(min(claims["exp"], _FAR), UTC), now + timedelta(seconds=1))
        return Claimed(provider, claims, program, good_until, min(good_until, now + BELIEVED))

    def _whose(self, text: str) -> tuple[Provider, Issuer] | None:
        if not text.isascii() or len(text) > unread.TOKEN_MAX or text.startswith(_OURS):
            return None
        if unread.read_header(text) is None:
            return self._asked
        return self._by_issuer.get(unread.issuer_in(text) or "")

    async def _find(self, provider: Provider, subject: str) -> store.Linked | None:
        async with self._database.connection() as connection:
            return await store.find(connection, issuer=provider.issuer, subject=subject)

    async def _provisioned_program(self, provider: Provider, client: str, subject: str) -> None:
        try:
            await self._provisioning.program(provider, client=client, subject=subject)
        except errors.IdentityTaken:
            return  # Another request of this program was faster; what it made is found.


#: Beyond it no calendar of ours goes; a token may say that it never ends.
_FAR = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
