"""Logging in at an OpenID Connect provider, and linking an account there: the authorization code flow with PKCE.

A login is bound to the browser that began it by a secret in a cookie. The state in the address, that secret and the
code must come together; any one or two of them are worth nothing, wherever they were stolen.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
import structlog

from billfold.identity import errors
from billfold.identity.contracts import LoginProvider, LoginReturn, Method, Provider, SecondFactor, SessionTokens
from billfold.identity.domain import providers as domain
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.notices import Notices
from billfold.identity.service.provisioning import Provisioning
from billfold.identity.service.second_factors import SecondFactors
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.identity.store import providers as store
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database, UniqueViolation

if TYPE_CHECKING:
    from billfold.identity.adapters.issuers import Issuer

#: Under it, `<provider>/start` and `<provider>/callback`.
PATH = "/api/v1/auth/oidc"
#: How such a login is called among a session's methods, and with a second factor that was checked there.
METHODS: Sequence[Method] = ("fed",)
METHODS_WITH_FACTOR: Sequence[Method] = ("fed", "mfa")

log = structlog.get_logger(__name__)


class Begun(msgspec.Struct, frozen=True):
    """Where to send the browser, and what it must come back with."""

    url: str
    state: str
    browser: str


class Finished(msgspec.Struct, frozen=True):
    """The end of a login: a new session, or what it still needs; none of these when an account was linked."""

    return_to: str
    outcome: SessionTokens | SecondFactor | None


class Providers:
    """Other places to log in at."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        sessions: Sessions,
        second_factors: SecondFactors,
        provisioning: Provisioning,
        confirmations: Confirmations,
        notices: Notices,
        providers: Sequence[tuple[Provider, Issuer]],
        public_url: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._second_factors = second_factors
        self._provisioning = provisioning
        self._confirmations = confirmations
        self._notices = notices
        self._providers = {provider.name: (provider, issuer) for provider, issuer in providers if provider.login}
        self._public_url = public_url.rstrip("/")

    def available(self) -> list[LoginProvider]:
        """Where one can log in."""
        return [
            LoginProvider(name=name, title=provider.title, start_url=f"{PATH}/{name}/start")
            for name, (provider, _) in self._providers.items()
        ]

    def home(self, *, name: str, host: str) -> str | None:
        """Where a login has to begin, if that is not at this `host`: the provider sends people back to our own name.

        Ports don't matter to cookies, and a proxy may change them.

        Raises:
            ProviderUnknown.
        """
        provider, _ = self._find(name)
        if _hostname(f"//{host}") == _hostname(self._public_url):
            return None
        return f"{self._public_url}{PATH}/{provider.name}/start"

    async def begin(self, *, name: str, return_to: str) -> Begun:
        """Begin a login.

        Raises:
            ProviderUnknown, ReturnToInvalid, ProviderUnavailable.
        """
        provider, endpoint = await self._checked(name, return_to)
        return await self._begun(provider, endpoint, return_to, session_id=None)

    async def begin_link(
        self, *, by: Principal, name: str, return_to: str, password: str | None, proof: UUID | None
    ) -> Begun:
        """Begin a login that links the account to whoever's session `by` is. From then on it logs them in here.

        Raises:
            ProviderUnknown, ReturnToInvalid, ProviderUnavailable.
            StepUpRequired, PasswordWrong, LoginTooOld, TooManyAttempts, PasswordTooLong, PasswordsBusy.
        """
        provider, endpoint = await self._checked(name, return_to)
        await self._confirmations.by_factor(
            by=by, operation="identity.link", content={"provider": name}, password=password, proof=proof
        )
        return await self._begun(provider, endpoint, return_to, session_id=by.credential_id)

    async def _checked(self, name: str, return_to: str) -> tuple[Provider, str]:
        """The provider, and where to log in at it."""
        provider, issuer = self._find(name)
        domain.check_return_to(return_to)
        endpoint = (await issuer.metadata()).authorization_endpoint
        if endpoint is None or not _is_safe(endpoint, provider.issuer):
            log.error("the provider names no address to log in at that is safe", provider=name, address=endpoint)
            raise errors.ProviderUnavailable
        return provider, endpoint

    async def _begun(self, provider: Provider, endpoint: str, return_to: str, *, session_id: UUID | None) -> Begun:
        state, browser = (domain.secret_text(secrets.token_bytes(domain.SECRET_BYTES)) for _ in range(2))
        state_hash, browser_hash = domain.secret_hash(state), domain.secret_hash(browser)
        assert state_hash is not None and browser_hash is not None, "they were just made"
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.insert_login(
                connection,
                state_hash=state_hash,
                browser_hash=browser_hash,
                provider=provider.name,
                return_to=return_to,
                session_id=session_id,
                now=now,
                expires_at=now + domain.LOGIN_LASTS,
            )
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._redirect_uri(provider),
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": domain.nonce(state, browser),
            "code_challenge": domain.challenge(domain.verifier(state, browser)),
            "code_challenge_method": "S256",
        }
        return Begun(f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}", state, browser)

    async def finish(
        self, *, name: str, returned: LoginReturn, browser: str | None, device: str, address: str
    ) -> Finished:
        """End a login: a session for whoever logged in, or the account linked to whoever wanted that.

        Whoever has a second factor here shows it here, unless the provider says that it has checked one.

        Raises:
            ProviderUnknown, ProviderUnavailable
            LoginStateInvalid: it is nobody's, was used, is too old, or of another browser.
            LoginDeclined: the provider says so.
            LoginAnswerInvalid: what came does not belong to this login.
            AccountExists, IdentityTaken: the account can't be used to log in as it is.
        """
        provider, issuer = self._find(name)
        begun = await self._taken(name, returned.state, browser)
        assert returned.state is not None and browser is not None, "without them nothing is taken"
        await self._check_answer(provider, issuer, returned)
        if returned.code is None:
            raise errors.LoginAnswerInvalid
        tokens = await issuer.exchange(
            code=returned.code,
            redirect_uri=self._redirect_uri(provider),
            verifier=domain.verifier(returned.state, browser),
        )
        signed = await issuer.verified(tokens.id_token, error=errors.LoginAnswerInvalid)
        domain.check_id_token(
            provider,
            signed.claims,
            kind=signed.header.typ,
            algorithm=signed.header.alg,
            nonce=domain.nonce(returned.state, browser),
            access_token=tokens.access_token,
            now=self._clock.now().timestamp(),
        )
        person = domain.person(signed.claims)
        if begun.links:
            await self._linked(provider, person, begun.user_id)
            return Finished(begun.return_to, None)
        checked = domain.has_second_factor(provider, signed.claims)
        outcome = await self._logged_in(provider, person, checked=checked, device=device, address=address)
        return Finished(begun.return_to, outcome)

    async def _taken(self, name: str, state: str | None, browser: str | None) -> store.Begun:
        state_hash, browser_hash = domain.secret_hash(state), domain.secret_hash(browser)
        if state_hash is None or browser_hash is None:
            raise errors.LoginStateInvalid
        async with self._database.connection() as connection:
            begun = await store.take_login(
                connection, state_hash=state_hash, browser_hash=browser_hash, provider=name, now=self._clock.now()
            )
        if begun is None:
            raise errors.LoginStateInvalid
        return begun

    async def _check_answer(self, provider: Provider, issuer: Issuer, returned: LoginReturn) -> None:
        """Go on only if this provider has answered (RFC 9207), and with no error."""
        says_who = (await issuer.metadata()).authorization_response_iss_parameter_supported
        if (says_who or returned.issuer is not None) and returned.issuer != provider.issuer:
            raise errors.LoginAnswerInvalid
        if returned.error is not None:
            # Whoever has made the browser come here may have written this.
            log.info("a provider declined a login", provider=provider.name, error=returned.error[:100])
            raise errors.LoginDeclined(_explained(returned.error))

    async def _logged_in(
        self, provider: Provider, person: domain.Person, *, checked: bool, device: str, address: str
    ) -> SessionTokens | SecondFactor:
        for _ in range(2):
            try:
                async with self._database.transaction() as connection:
                    user_id, is_new = await self._user(connection, provider, person)
                    if not checked:
                        needed = await self._second_factors.needed(connection, user_id=user_id, methods=METHODS)
                        if needed is not None:
                            return needed
                    methods = METHODS_WITH_FACTOR if checked else METHODS
                    return await self._sessions.start(
                        connection,
                        user_id=user_id,
                        methods=methods,
                        device=device,
                        address=address,
                        new_account=is_new,
                    )
            except UniqueViolation:
                raise errors.AccountExists from None
            except errors.IdentityTaken:
                continue  # The same person was faster in another window: is known now, or is not any more.
        raise errors.LoginStateInvalid

    async def _user(self, connection: Connection, provider: Provider, person: domain.Person) -> tuple[UUID, bool]:
        """Whose the account is, and whether that is somebody new. Their owner's row is locked."""
        linked = await store.find(connection, issuer=provider.issuer, subject=person.subject)
        if linked is not None and linked.is_closed:
            # Whoever has closed their account may begin anew, and with nothing of what they had.
            await store.delete(connection, linked.id)
            linked = None
        is_new = linked is None
        if linked is None:
            user_id = await self._provisioning.new_person(connection, provider, person)
            linked = await store.find(connection, issuer=provider.issuer, subject=person.subject)
            assert linked is not None and linked.owner_id == user_id, "it was just made"
        elif not linked.is_person:
            raise errors.LoginAnswerInvalid("This is a program's account.")
        await owners.lock_owner(connection, linked.owner_id)
        if not await store.touch(connection, linked.id, now=self._clock.now()):
            raise errors.IdentityTaken
        return linked.owner_id, is_new

    async def _linked(self, provider: Provider, person: domain.Person, user_id: UUID | None) -> None:
        if user_id is None:
            raise errors.LoginStateInvalid("You have been logged out meanwhile; log in and begin again.")
        async with self._database.transaction() as connection:
            linked = await store.find(connection, issuer=provider.issuer, subject=person.subject)
            if linked is not None and linked.owner_id == user_id:
                return
            await self._provisioning.link(connection, provider, person, user_id=user_id)
            await self._notices.write_of_identity(connection, user_id, provider=provider.name, change="added")

    def _find(self, name: str) -> tuple[Provider, Issuer]:
        if name not in self._providers:
            raise errors.ProviderUnknown
        return self._providers[name]

    def _redirect_uri(self, provider: Provider) -> str:
        return f"{self._public_url}{PATH}/{provider.name}/callback"


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_safe(endpoint: str, issuer: str) -> bool:
    """Whether a browser may be sent there: by https, or as plainly as the operator has named the issuer."""
    scheme = urlsplit(endpoint).scheme
    return scheme == "https" or (scheme == "http" and urlsplit(issuer).scheme == "http")


def _explained(error: str) -> str:
    """What an error of the authorization endpoint means (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6)."""
    if error == "access_denied":
        return "The login was broken off at the provider, or it did not let you in."
    if error in {"login_required", "interaction_required", "consent_required", "account_selection_required"}:
        return "The provider wants you to log in there first; begin again."
    if error in {"temporarily_unavailable", "server_error"}:
        return "The provider can't log anybody in now; try again later."
    return "The provider did not accept the request to log you in; tell whoever runs this server."
