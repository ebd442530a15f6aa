"""Adding and removing what somebody can prove with that it is them.

The first factor needs the password again; every later change needs a factor that is there. Its owner is told by mail.
What was begun with other factors than there are in the end was allowed by something else than is asked for now, and is
begun again: of two first factors, that of a thief and that of the owner, only one comes about.
"""

from __future__ import annotations

import secrets
from typing import Literal
from uuid import UUID

from billfold.identity import errors
from billfold.identity.adapters import passkeys, totp
from billfold.identity.contracts import (
    PASSKEYS_MAX,
    RECOVERY_CODES,
    WAITS,
    AddedFactor,
    Factors,
    NewCredential,
    NewTotp,
    PasskeyChallenge,
    RecoveryCodes,
    RelyingParty,
)
from billfold.identity.domain import factors as domain
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.notices import Notices
from billfold.identity.service.proofs import Proofs, tell, totp_context
from billfold.identity.service.step_up import StepUp
from billfold.identity.store import factors as store
from billfold.identity.store import keys as owners
from billfold.identity.store import pending
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Connection, Database

CHALLENGE_BYTES = 32

Kind = Literal["totp", "passkey", "recovery_codes"]


class FactorChanges:
    """What somebody does with their own factors. `by` is a session of theirs."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        envelope: Envelope,
        party: RelyingParty,
        proofs: Proofs,
        step_up: StepUp,
        confirmations: Confirmations,
        notices: Notices,
    ) -> None:
        self._database = database
        self._clock = clock
        self._envelope = envelope
        self._party = party
        self._proofs = proofs
        self._step_up = step_up
        self._confirmations = confirmations
        self._notices = notices

    async def show(self, *, by: Principal) -> Factors:
        """One's own factors."""
        async with self._database.connection() as connection:
            return await _factors(connection, by.owner_id)

    async def start_totp(self, *, by: Principal, password: str | None, proof: UUID | None) -> NewTotp:
        """The secret of a new authenticator app, instead of one that was never confirmed.

        Raises:
            TotpExists, PasswordWrong, LoginTooOld, TooManyAttempts, StepUpRequired.
        """
        beside = await self._beside(by)
        person = await self._confirmations.by_factor(
            by=by, operation="factor.add", content={"factor": "totp"}, password=password, proof=proof
        )
        secret, now = secrets.token_bytes(domain.TOTP_SECRET_BYTES), self._clock.now()
        sealed = await self._envelope.seal(secret, context=totp_context(by.owner_id))
        async with self._database.transaction() as connection:
            if not await store.put_totp(connection, by.owner_id, sealed, beside=beside, now=now):
                raise errors.TotpExists
        account = person.email or person.phone or person.display_name
        return NewTotp(
            secret=totp.text(secret),
            uri=totp.uri(secret, account=account, issuer=self._party.name),
            expires_at=now + domain.TOTP_CONFIRM_WITHIN,
        )

    async def confirm_totp(self, *, by: Principal, code: str) -> AddedFactor:
        """Let a new authenticator app count, now that it has shown a code.

        Raises:
            TotpUnknown: none waits for its first code.
            FactorsChanged, SecondFactorWrong, TooManyAttempts.
        """
        user_id, since = by.owner_id, self._clock.now() - domain.TOTP_CONFIRM_WITHIN
        async with self._database.connection() as connection:
            waiting = await store.pending_totp(connection, user_id, since=since)
        if waiting is None:
            raise errors.TotpUnknown
        step = await self._proofs.step(user_id, code, confirmed=False)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, user_id)
            first = await _is_first(connection, user_id, beside=waiting.beside)
            # Meanwhile another one may have taken its place, whose secret is not that of the code.
            if await store.pending_totp(connection, user_id, since=since) != waiting:
                raise errors.TotpUnknown
            if not await store.use_step(connection, user_id, step, now=self._clock.now()):
                raise errors.SecondFactorWrong
            return await self._added(connection, by, "totp", first=first, told={})

    async def remove_totp(self, *, by: Principal, proof: UUID | None) -> Factors:
        """Remove the authenticator app.

        Raises:
            TotpUnknown, StepUpRequired.
        """
        async with self._database.connection() as connection:
            if await store.totp(connection, by.owner_id) is None:
                raise errors.TotpUnknown
        await self._demand(by, "factor.remove", {"factor": "totp"}, proof)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            if not await store.delete_totp(connection, by.owner_id):
                raise errors.TotpUnknown
            return await self._removed(connection, by, "totp", {})

    async def start_passkey(self, *, by: Principal, password: str | None, proof: UUID | None) -> PasskeyChallenge:
        """What a new passkey is made with, by this session.

        Raises:
            TooManyPasskeys, PasswordWrong, LoginTooOld, TooManyAttempts, StepUpRequired.
        """
        beside = await self._beside(by)
        person = await self._confirmations.by_factor(
            by=by, operation="factor.add", content={"factor": "passkey"}, password=password, proof=proof
        )
        challenge_id, challenge, now = ids.new(), secrets.token_bytes(CHALLENGE_BYTES), self._clock.now()
        async with self._database.transaction() as connection:
            known = await store.known_credentials(connection, by.owner_id)
            if len(known) >= PASSKEYS_MAX:
                raise errors.TooManyPasskeys
            await pending.insert_challenge(
                connection,
                challenge_id=challenge_id,
                session_id=by.credential_id,
                challenge=challenge,
                now=now,
                until=now + WAITS,
                beside=beside,
            )
        options = passkeys.creation_options(
            self._party,
            challenge=challenge,
            user_id=by.owner_id.bytes,
            account=person.email or person.phone or person.display_name,
            name=person.display_name,
            known=[passkeys.Known(id=id_, transports=by_) for id_, by_ in known],
        )
        return PasskeyChallenge(challenge_id=str(challenge_id), expires_at=now + WAITS, options=options)

    async def finish_passkey(
        self, *, by: Principal, challenge_id: UUID, name: str, credential: NewCredential
    ) -> AddedFactor:
        """Add the passkey that was made for the challenge.

        Raises:
            ChallengeUnknown, FactorsChanged, PasskeyInvalid, PasskeyExists, TooManyPasskeys.
        """
        # In a transaction of its own: a challenge is good for one attempt.
        async with self._database.transaction() as connection:
            begun = await pending.take_challenge(
                connection, challenge_id, session_id=by.credential_id, now=self._clock.now()
            )
        if begun is None:
            raise errors.ChallengeUnknown
        made = passkeys.register(self._party, credential, challenge=begun.challenge)
        passkey_id = ids.new()
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            first = await _is_first(connection, by.owner_id, beside=begun.beside)
            if len(await store.passkeys(connection, by.owner_id)) >= PASSKEYS_MAX:
                raise errors.TooManyPasskeys
            added = await store.insert_passkey(
                connection,
                passkey_id=passkey_id,
                user_id=by.owner_id,
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                name=name,
                synced=made.synced,
                transports=made.transports,
                now=self._clock.now(),
            )
            if not added:
                raise errors.PasskeyExists
            told = {"passkey_id": str(passkey_id), "name": name}
            return await self._added(connection, by, "passkey", first=first, told=told)

    async def remove_passkey(self, *, by: Principal, passkey_id: UUID, proof: UUID | None) -> Factors:
        """Remove one of one's own passkeys.

        Raises:
            PasskeyUnknown, StepUpRequired.
        """
        async with self._database.connection() as connection:
            named = {passkey.id: passkey.name for passkey in await store.passkeys(connection, by.owner_id)}
        name = named.get(str(passkey_id))
        if name is None:
            raise errors.PasskeyUnknown
        told = {"passkey_id": str(passkey_id), "name": name}
        await self._demand(by, "factor.remove", {"factor": "passkey", **told}, proof)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            if await store.delete_passkey(connection, by.owner_id, passkey_id) is None:
                raise errors.PasskeyUnknown
            return await self._removed(connection, by, "passkey", told)

    async def renew_recovery_codes(self, *, by: Principal, proof: UUID | None) -> RecoveryCodes:
        """New recovery codes instead of all earlier ones.

        Raises:
            StepUpRequired, SecondFactorMissing.
        """
        await self._demand(by, "recovery_codes.renew", {}, proof)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, by.owner_id)
            codes = await self._new_recovery_codes(connection, by.owner_id)
            await tell(connection, "recovery_codes.renewed.v1", by.owner_id, self._clock, {}, by=by)
            await self._write(connection, by.owner_id, "recovery_codes", "added")
        return RecoveryCodes(recovery_codes=codes)

    async def forget(self, connection: Connection, *, owner: UUID, by: Principal | None) -> None:  # noqa: ARG002
        """Remove all factors of an account that closes, in the caller's transaction: its end is told elsewhere."""
        await store.delete_all(connection, owner)

    async def _beside(self, by: Principal) -> list[str]:
        """The factors that there are, looked at before anything is asked for: which they are decides what that is."""
        async with self._database.connection() as connection:
            return await store.counting(connection, by.owner_id)

    async def _demand(self, by: Principal, operation: str, content: dict[str, str], proof: UUID | None) -> None:
        await self._step_up.demand(principal=by, operation=operation, content=content, key=None, proof=proof)

    async def _added(
        self, connection: Connection, by: Principal, factor: Kind, *, first: bool, told: dict[str, str]
    ) -> AddedFactor:
        codes = await self._new_recovery_codes(connection, by.owner_id) if first else None
        await tell(connection, "factor.added.v1", by.owner_id, self._clock, {"factor": factor, **told}, by=by)
        await self._write(connection, by.owner_id, factor, "added")
        return AddedFactor(factors=await _factors(connection, by.owner_id), recovery_codes=codes)

    async def _removed(self, connection: Connection, by: Principal, factor: Kind, told: dict[str, str]) -> Factors:
        if not await self._proofs.methods(connection, by.owner_id):
            await store.replace_recovery_codes(connection, by.owner_id, [], now=self._clock.now())
        await tell(connection, "factor.removed.v1", by.owner_id, self._clock, {"factor": factor, **told}, by=by)
        await self._write(connection, by.owner_id, factor, "removed")
        return await _factors(connection, by.owner_id)

    async def _new_recovery_codes(self, connection: Connection, user_id: UUID) -> list[str]:
        codes = [domain.recovery_text(secrets.token_bytes(domain.RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
        hashes = [domain.recovery_hash(code) for code in codes]
        await store.replace_recovery_codes(connection, user_id, hashes, now=self._clock.now())
        return codes

    async def _write(self, connection: Connection, user_id: UUID, factor: Kind, change: str) -> None:
        await self._notices.write_to(connection, user_id, template="factor_changed", factor=factor, change=change)


async def _is_first(connection: Connection, user_id: UUID, *, beside: list[str]) -> bool:
    """Whether somebody, whose row is locked, has no factor; go on only if they have those that they began with.

    Raises:
        FactorsChanged.
    """
    if (now := await store.counting(connection, user_id)) != beside:
        raise errors.FactorsChanged
    return not now


async def _factors(connection: Connection, user_id: UUID) -> Factors:
    return Factors(
        totp=await store.totp(connection, user_id),
        passkeys=await store.passkeys(connection, user_id),
        recovery_codes=await store.count_recovery_codes(connection, user_id),
    )
