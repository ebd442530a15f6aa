"""Logins that need more than a password, and logins by passkey, which need no password at all."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billfold.identity import errors
from billfold.identity.adapters import passkeys
from billfold.identity.contracts import (
    ATTEMPTS_MAX,
    WAITS,
    Assertion,
    PasskeyChallenge,
    Proof,
    RelyingParty,
    SecondFactor,
    SessionTokens,
)
from billfold.identity.domain import factors as domain
from billfold.identity.service.factors import CHALLENGE_BYTES
from billfold.identity.service.proofs import Claim, Proofs, session_methods
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.identity.store import pending
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Connection, Database


class SecondFactors:
    """The second half of logins."""

    def __init__(
        self, *, database: Database, clock: Clock, party: RelyingParty, proofs: Proofs, sessions: Sessions
    ) -> None:
        self._database = database
        self._clock = clock
        self._party = party
        self._proofs = proofs
        self._sessions = sessions

    async def needed(self, connection: Connection, *, user_id: UUID, methods: Sequence[str]) -> SecondFactor | None:
        """What the login of somebody who has proved who they are by `methods` still needs; None if nothing.

        It is written in the caller's transaction. `complete` goes on.
        """
        if not await self._proofs.methods(connection, user_id):
            return None
        token, challenge = secrets.token_urlsafe(domain.TOKEN_BYTES), secrets.token_bytes(CHALLENGE_BYTES)
        now = self._clock.now()
        await pending.insert_login(
            connection,
            token_hash=domain.token_hash(token),
            user_id=user_id,
            methods=methods,
            challenge=challenge,
            now=now,
            until=now + WAITS,
        )
        return await self._shown(connection, user_id, token, challenge, now + WAITS)

    async def show(self, *, token: str) -> SecondFactor:
        """What the login of this token still needs, for a page that has only that.

        Raises:
            LoginNotPending: it took too long, there were too many attempts, or it has been completed.
        """
        token_hash, now = domain.token_hash(token), self._clock.now()
        async with self._database.connection() as connection:
            found = await pending.find_login(connection, token_hash, most=ATTEMPTS_MAX, now=now)
            if found is None:
                raise errors.LoginNotPending
            login, until = found
            return await self._shown(connection, login.user_id, token, login.challenge, until)

    async def complete(self, *, token: str, proof: Proof, device: str, address: str) -> SessionTokens:
        """The session of a login that has its second factor now.

        Raises:
            LoginNotPending: it took too long, there were too many attempts, or it has been completed.
            OneFactorWanted, SecondFactorWrong, TooManyAttempts.
        """
        token_hash = domain.token_hash(token)
        async with self._database.transaction() as connection:
            login = await pending.attempt_login(connection, token_hash, most=ATTEMPTS_MAX, now=self._clock.now())
        if login is None:
            raise errors.LoginNotPending
        try:
            claim = await self._proofs.examine(login.user_id, proof, challenge=login.challenge)
            return await self._start(
                claim, session_methods(login.methods, claim.method), device, address, login=token_hash
            )
        except errors.SecondFactorWrong as error:
            await self._proofs.refused(login.user_id, error, purpose="login")
            raise

    async def start_passkey(self) -> PasskeyChallenge:
        """What a passkey is to sign for a login, whosesoever it is."""
        challenge_id, challenge, now = ids.new(), secrets.token_bytes(CHALLENGE_BYTES), self._clock.now()
        async with self._database.transaction() as connection:
            await pending.insert_challenge(
                connection, challenge_id=challenge_id, session_id=None, challenge=challenge, now=now, until=now + WAITS
            )
        return PasskeyChallenge(
            challenge_id=str(challenge_id),
            expires_at=now + WAITS,
            options=passkeys.request_options(self._party, challenge=challenge),
        )

    async def finish_passkey(
        self, *, challenge_id: UUID, assertion: Assertion, device: str, address: str
    ) -> SessionTokens:
        """The session of whoever's passkey has signed the challenge. It counts as two factors: it knew its owner.

        Raises:
            ChallengeUnknown, SecondFactorWrong.
        """
        # In a transaction of its own: a challenge is good for one attempt.
        async with self._database.transaction() as connection:
            begun = await pending.take_challenge(connection, challenge_id, session_id=None, now=self._clock.now())
        if begun is None:
            raise errors.ChallengeUnknown
        if assertion.response.user_handle is None:
            # Nobody has said who they are, so the authenticator has to.
            raise errors.SecondFactorWrong
        claim = await self._proofs.passkey(assertion, challenge=begun.challenge)
        try:
            return await self._start(claim, session_methods([], claim.method), device, address)
        except errors.SecondFactorWrong as error:
            await self._proofs.refused(claim.user_id, error, purpose="login")
            raise

    async def _shown(
        self, connection: Connection, user_id: UUID, token: str, challenge: bytes, until: datetime
    ) -> SecondFactor:
        factors, options = await self._proofs.methods(connection, user_id), None
        if "passkey" in factors:
            options = await self._proofs.options(connection, user_id, challenge=challenge)
        return SecondFactor(token=token, methods=factors, expires_at=until, passkey_options=options)

    async def _start(
        self, claim: Claim, methods: list[str], device: str, address: str, *, login: bytes | None = None
    ) -> SessionTokens:
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, claim.user_id)
            if login is not None and not await pending.take_login(connection, login):
                raise errors.LoginNotPending
            await self._proofs.use(connection, claim)
            return await self._sessions.start(
                connection, user_id=claim.user_id, methods=methods, device=device, address=address
            )
