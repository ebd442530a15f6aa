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
from billfold.identity.service.bearers import AccessTokens, ApiKeys
from billfold.identity.service.factors import FactorChanges
from billfold.identity.service.foreign import ForeignTokens
from billfold.identity.service.identities import Identities
from billfold.identity.service.keys import Keys
from billfold.identity.service.logins import Logins
from billfold.identity.service.notices import Notices
from billfold.identity.service.password_changes import PasswordChanges
from billfold.identity.service.passwords import Hashing, Passwords
from billfold.identity.service.proofs import Proofs
from billfold.identity.service.providers import Providers
from billfold.identity.service.provisioning import Provisioning
from billfold.identity.service.registrations import Registrations
from billfold.identity.service.second_factors import SecondFactors
from billfold.identity.service.secrets import Secrets
from billfold.identity.service.sessions import Post, Sessions
from billfold.identity.service.signing import Tokens
from billfold.identity.service.staff import Staff
from billfold.identity.service.step_up import StepUp
from billfold.identity.service.users import Leaving, Users, nothing_to_leave
from billfold.identity.service.uses import Uses
from billfold.identity.service.verified import Verifier
from billfold.kernel.clock import Clock, SystemClock
from billfold.platform.fetching import Fetcher
from billfold.platform.keys import Envelope, NoProvider
from billfold.platform.postgres.database import Database

if TYPE_CHECKING:
    from billfold.identity.adapters.issuers import Issuer

__all__ = ["AliasLimits", "Approvals", "Attempts", "Hashing", "Identity", "OtherProviders", "StepUp"]


class OtherProviders(msgspec.Struct, frozen=True, kw_only=True):
    """Who else says who somebody is, as the operator has set it up."""

    configured: Sequence[Provider]
    fetcher: Fetcher
    #: Where browsers reach us, to be sent back to.
    public_url: str


NO_PROVIDERS = OtherProviders(configured=(), fetcher=Fetcher(), public_url="")


class Identity:
    """Everything about who somebody is, by topic."""

    def __init__(
        self,
        *,
        database: Database,
        envelope: Envelope | None = None,
        mail: Post | None = None,
        issuer: str = "billfold",
        access_seconds: int = ACCESS_MAX_S,
        providers: OtherProviders = NO_PROVIDERS,
        clock: Clock | None = None,
        party: RelyingParty | None = None,
        alias_limits: AliasLimits | None = None,
        hashing: Hashing | None = None,
        attempts: Attempts | None = None,
        phone_region: str | None = None,
        leaving: Leaving | None = None,
    ) -> None:
        """`envelope` seals what the database keeps secret: without it nothing that needs a secret can be done.

        `issuer` is whose access tokens they are: the address of the API. They live for `access_seconds`. Phone numbers
        without a country code are of `phone_region`. `leaving` closes what people have elsewhere with their account.
        `party` is whom passkeys are for.
        `providers` are those who else say who somebody is.
        """
        clock = clock or SystemClock()
        envelope = envelope or Envelope(NoProvider())
        self.tokens = Tokens(
            database=database, envelope=envelope, clock=clock, issuer=issuer, access_seconds=access_seconds
        )
        issuers = _issuers(providers)
        provisioning = Provisioning(database=database, clock=clock)
        foreign = ForeignTokens(database=database, clock=clock, providers=issuers, provisioning=provisioning)
        bearers = (foreign, AccessTokens(database, clock, self.tokens), ApiKeys(database, clock))
        verifier = Verifier(bearers, clock)
        self.uses = Uses(database=database, verifier=verifier, clock=clock)
        party = party or RelyingParty(id="localhost", origins=())
        proofs = Proofs(database=database, clock=clock, envelope=envelope, party=party)
        self.step_up = StepUp(database=database, clock=clock, proofs=proofs)
        self.keys = Keys(database=database, verifier=verifier, clock=clock, step_up=self.step_up)
        self.approvals = Approvals(database=database, clock=clock)
        if mail is not None:
            self.sessions = Sessions(
                database=database, clock=clock, tokens=self.tokens, mail=mail, forget=verifier.forget
            )
            self.providers = Providers(
                database=database,
                clock=clock,
                sessions=self.sessions,
                provisioning=provisioning,
                providers=issuers,
                public_url=providers.public_url,
            )
        self.staff = Staff(
            database=database,
            clock=clock,
            approvals=self.approvals,
            sessions=self.sessions if mail is not None else None,
            mail=mail,
        )
        self.aliases = Aliases(database=database, clock=clock, mail=mail, limits=alias_limits or AliasLimits())
        self.identities = Identities(database=database, clock=clock)
        secrets = Secrets(database=database, envelope=envelope, clock=clock)
        self.passwords = Passwords(pepper=partial(secrets.named, "password_pepper"), hashing=hashing)
        if mail is not None:
            self._put_people_together(
                database=database,
                clock=clock,
                mail=mail,
                attempts=attempts or Attempts(),
                region=phone_region,
                leaving=leaving,
                envelope=envelope,
                party=party,
                proofs=proofs,
            )
        #: Whose credentials a token is, if that was found out within the last second.
        self.remembered = verifier.remembered
        #: Whose credentials a token is. Raises CredentialsInvalid or Unavailable.
        self.authenticate = verifier.authenticate

    def _put_people_together(
        self,
        *,
        database: Database,
        clock: Clock,
        mail: Post,
        attempts: Attempts,
        region: str | None,
        leaving: Leaving | None,
        envelope: Envelope,
        party: RelyingParty,
        proofs: Proofs,
    ) -> None:
        notices = Notices(mail=mail, clock=clock)
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
            region=region,
        )
        self.factors = FactorChanges(
            database=database,
            clock=clock,
            envelope=envelope,
            party=party,
            proofs=proofs,
            step_up=self.step_up,
            passwords=self.logins,
            mail=mail,
        )
        self.registrations = Registrations(
            database=database,
            clock=clock,
            passwords=self.passwords,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            region=region,
        )
        self.password_changes = PasswordChanges(
            database=database,
            clock=clock,
            passwords=self.passwords,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            logins=self.logins,
            region=region,
        )
        self.users = Users(
            database=database,
            clock=clock,
            attempts=attempts,
            notices=notices,
            sessions=self.sessions,
            logins=self.logins,
            factors=proofs,
            leaving=leaving or nothing_to_leave,
            removing=[
                self.keys.revoke_all,
                self.aliases.release_all,
                self.factors.forget,
                self.identities.unlink_all,
            ],
            region=region,
        )

    def close(self) -> None:
        """End the threads that hash passwords."""
        self.passwords.close()

    @staticmethod
    def id_in_key(text: str) -> UUID | None:
        """The id of the key of this text; None if it is no text of a key."""
        return domain.id_in(text.encode())


def _issuers(providers: OtherProviders) -> list[tuple[Provider, Issuer]]:
    if not providers.configured:
        return []
    from billfold.identity.adapters.issuers import Issuer  # noqa: PLC0415 - its library is loaded where it is needed.

    return [(provider, Issuer(provider, providers.fetcher)) for provider in providers.configured]
