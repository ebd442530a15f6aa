"""The facade of identity: people, their credentials, and whose credentials a request bears. One file for each topic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import ACCESS_MAX_S, Provider, RelyingParty
from billfold.identity.domain import keys as domain
from billfold.identity.service.aliases import Aliases, AliasLimits
from billfold.identity.service.approvals import Approvals
from billfold.identity.service.attempts import Attempts
from billfold.identity.service.bearers import AccessTokens, ApiKeys, Bearer
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.factors import FactorChanges
from billfold.identity.service.identities import Identities
from billfold.identity.service.keys import Keys
from billfold.identity.service.logins import Logins
from billfold.identity.service.notices import Notices, Post
from billfold.identity.service.password_changes import PasswordChanges
from billfold.identity.service.passwords import Hashing, Passwords
from billfold.identity.service.proofs import Proofs
from billfold.identity.service.providers import Providers
from billfold.identity.service.provisioning import Provisioning
from billfold.identity.service.registrations import Registrations
from billfold.identity.service.second_factors import SecondFactors
from billfold.identity.service.secrets import Secrets
from billfold.identity.service.sessions import Sessions
from billfold.identity.service.signing import Tokens
from billfold.identity.service.staff import Staff
from billfold.identity.service.standing import Standing
from billfold.identity.service.step_up import StepUp
from billfold.identity.service.users import Leaving, Users, nothing_to_leave
from billfold.identity.service.uses import Uses
from billfold.identity.service.verified import Verifier
from billfold.kernel.clock import Clock, SystemClock
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Database

if TYPE_CHECKING:
    from billfold.identity.adapters.issuers import Issuer
    from billfold.platform.fetching import Fetcher

__all__ = ["AliasLimits", "Approvals", "Attempts", "Hashing", "Identity", "OtherProviders", "StepUp"]


class OtherProviders(msgspec.Struct, frozen=True, kw_only=True):
    """Who else says who somebody is, as the operator has set it up."""

    configured: Sequence[Provider]
    #: Needed where there are any.
    fetcher: Fetcher | None
    #: Where browsers reach us, to be sent back to.
    public_url: str


NO_PROVIDERS = OtherProviders(configured=(), fetcher=None, public_url="")


class Identity:
    """Everything about who somebody is, by topic."""

    def __init__(
        self,
        *,
        database: Database,
        envelope: Envelope,
        mail: Post,
        issuer: str = "billfold",
        access_seconds: int = ACCESS_MAX_S,
        providers: OtherProviders = NO_PROVIDERS,
        clock: Clock | None = None,
        party: RelyingParty | None = None,
        alias_limits: AliasLimits | None = None,
        hashing: Hashing | None = None,
        attempts: Attempts | None = None,
        phone_region: str | None = None,
        leaving: Leaving = nothing_to_leave,
    ) -> None:
        """`envelope` seals what the database keeps secret, and `mail` is how people are told.

        `issuer` is whose access tokens they are: the address of the API. They live for `access_seconds`. Phone numbers
        without a country code are of `phone_region`. `leaving` closes what people have elsewhere with their account.
        `party` is whom passkeys are for.
        `providers` are those who else say who somebody is.
        """
        clock = clock or SystemClock()
        party = party or RelyingParty(id="localhost", origins=())
        attempts = attempts or Attempts()
        notices = Notices(mail=mail, clock=clock)
        secrets = Secrets(database=database, envelope=envelope, clock=clock)
        code_key = partial(secrets.named, "code_key")
        issuers = _issuers(providers)
        provisioning = Provisioning(database=database, clock=clock)

        # Whose credentials a request bears.
        self.tokens = Tokens(
            database=database, envelope=envelope, clock=clock, issuer=issuer, access_seconds=access_seconds
        )
        bearers: list[Bearer] = [AccessTokens(database, clock, self.tokens), ApiKeys(database, clock)]
        if issuers:
            # It knows what it may refuse by the same library: see `_issuers`.
            from billfold.identity.service.foreign import ForeignTokens  # noqa: PLC0415

            foreign = ForeignTokens(database=database, clock=clock, providers=issuers, provisioning=provisioning)
            bearers.insert(0, foreign)
        verifier = Verifier(bearers, clock)
        #: Whose credentials a token is, if that was found out within the last second.
        self.remembered = verifier.remembered
        #: Whose credentials a token is. Raises CredentialsInvalid or Unavailable.
        self.authenticate = verifier.authenticate
        self.standing = Standing(database)
        self.uses = Uses(database=database, verifier=verifier, clock=clock)

        # What takes more than credentials.
        proofs = Proofs(database=database, clock=clock, envelope=envelope, party=party)
        self.step_up = StepUp(database=database, clock=clock, proofs=proofs)
        self.approvals = Approvals(database=database, clock=clock)

        # Logging in.
        self.sessions = Sessions(
            database=database, clock=clock, tokens=self.tokens, notices=notices, forget=verifier.forget
        )
        self.passwords = Passwords(pepper=partial(secrets.named, "password_pepper"), hashing=hashing)
        self.second_factors = SecondFactors(
            database=database, clock=clock, party=party, proofs=proofs, sessions=self.sessions
        )
        self.logins = Logins(
            database=database,
            clock=clock,
            passwords=self.passwords,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            second_factors=self.second_factors,
            region=phone_region,
        )
        confirmations = Confirmations(
            database=database, clock=clock, proofs=proofs, step_up=self.step_up, passwords=self.logins
        )
        self.providers = Providers(
            database=database,
            clock=clock,
            sessions=self.sessions,
            second_factors=self.second_factors,
            provisioning=provisioning,
            confirmations=confirmations,
            notices=notices,
            providers=issuers,
            public_url=providers.public_url,
        )

        # What people have.
        self.keys = Keys(database=database, verifier=verifier, clock=clock, step_up=self.step_up)
        self.aliases = Aliases(
            database=database, clock=clock, notices=notices, code_key=code_key, limits=alias_limits or AliasLimits()
        )
        self.identities = Identities(database=database, clock=clock, confirmations=confirmations, notices=notices)
        self.factors = FactorChanges(
            database=database,
            clock=clock,
            envelope=envelope,
            party=party,
            proofs=proofs,
            step_up=self.step_up,
            confirmations=confirmations,
            notices=notices,
        )

        # People themselves.
        self.registrations = Registrations(
            database=database,
            clock=clock,
            passwords=self.passwords,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            code_key=code_key,
            region=phone_region,
        )
        self.password_changes = PasswordChanges(
            database=database,
            clock=clock,
            passwords=self.passwords,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            logins=self.logins,
            region=phone_region,
        )
        self.users = Users(
            database=database,
            clock=clock,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            confirmations=confirmations,
            factors=proofs,
            code_key=code_key,
            leaving=leaving,
            removing=[self.keys.revoke_all, self.aliases.release_all, self.factors.forget, self.identities.unlink_all],
            region=phone_region,
        )
        self.staff = Staff(
            database=database, clock=clock, approvals=self.approvals, sessions=self.sessions, notices=notices
        )

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.passwords.close()

    @staticmethod
    def id_in_key(text: str) -> UUID | None:
        """The id of the key of this text; None if it is no text of a key."""
        return domain.id_in(text.encode())


def _issuers(providers: OtherProviders) -> list[tuple[Provider, Issuer]]:
    if providers.fetcher is None or not providers.configured:
        return []
    from billfold.identity.adapters.issuers import Issuer  # noqa: PLC0415 - its library is loaded where it is needed.

    return [(provider, Issuer(provider, providers.fetcher)) for provider in providers.configured]
