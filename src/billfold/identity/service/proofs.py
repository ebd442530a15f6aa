"""Somebody's proof that it is them: whether a factor is right, and using it up.

The two are apart: a proof is examined before the database transaction in which it is used up together with what it was
for. What can be guessed is counted before it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from billfold.identity import errors, events
from billfold.identity.adapters import passkeys, totp
from billfold.identity.contracts import Assertion, FactorMethod, Method, Options, Proof, RelyingParty
from billfold.identity.domain import factors as domain
from billfold.identity.store import factors as store
from billfold.identity.store import keys as owners
from billfold.kernel import facts, ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.keys import Envelope
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

#: What each factor says of a session that was begun with it.
SESSION_METHODS: dict[FactorMethod, tuple[Method, ...]] = {
    "totp": ("otp",),
    "recovery_code": ("recovery",),
    "passkey": ("hwk", "user"),
}


class Claim(msgspec.Struct, frozen=True):
    """A proof that is right, and not used up yet."""

    user_id: UUID
    method: FactorMethod
    step: int = 0
    code_hash: bytes = b""
    passkey: UUID = UUID(int=0)
    sign_count: int = 0


class Proofs:
    """Examines proofs and uses them up."""

    def __init__(self, *, database: Database, clock: Clock, envelope: Envelope, party: RelyingParty) -> None:
        self._database = database
        self._clock = clock
        self._envelope = envelope
        self._party = party

    async def methods(self, connection: Connection, user_id: UUID) -> list[FactorMethod]:
        """By what somebody can prove that it is them; nothing if they have no second factor."""
        found: list[FactorMethod] = []
        if await store.passkeys(connection, user_id):
            found.append("passkey")
        if await store.totp(connection, user_id) is not None:
            found.append("totp")
        if found and await store.count_recovery_codes(connection, user_id):
            found.append("recovery_code")
        return found

    async def options(self, connection: Connection, user_id: UUID, *, challenge: bytes) -> Options:
        """What one of somebody's passkeys is to sign."""
        known = [
            passkeys.Known(id=id_, transports=by) for id_, by in await store.known_credentials(connection, user_id)
        ]
        return passkeys.request_options(self._party, challenge=challenge, known=known)

    async def examine(self, user_id: UUID, proof: Proof, *, challenge: bytes) -> Claim:
        """Whether the proof is right. Only `use` says whether it was used before.

        Raises:
            OneFactorWanted, SecondFactorWrong, TooManyAttempts.
        """
        match domain.method_of(proof):
            case "totp":
                assert proof.totp is not None
                return Claim(user_id, "totp", step=await self.step(user_id, proof.totp))
            case "recovery_code":
                assert proof.recovery_code is not None
                return await self._recovery_code(user_id, proof.recovery_code)
            case "passkey":
                assert proof.passkey is not None
                claim = await self.passkey(proof.passkey, challenge=challenge)
                if claim.user_id != user_id:
                    raise errors.SecondFactorWrong
                return claim

    async def step(self, user_id: UUID, code: str, *, confirmed: bool = True) -> int:
        """The step of which somebody's app shows this code; `confirmed` is whether the app counts already.

        Raises:
            SecondFactorWrong, TooManyAttempts.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            attempt = await store.attempt_totp(
                connection,
                user_id,
                confirmed=confirmed,
                now=now,
                free=domain.TOTP_FREE_ATTEMPTS,
                first=domain.TOTP_DELAY_FIRST,
                longest=domain.TOTP_DELAY_MAX,
            )
        if attempt is None:
            raise errors.SecondFactorWrong
        if not isinstance(attempt, store.Attempt):
            raise errors.TooManyAttempts(math.ceil((attempt - now).total_seconds()))
        secret = await self._envelope.open(attempt.sealed, context=totp_context(user_id))
        step = domain.matching_step(code, totp.codes(secret, domain.steps_around(now)))
        if step is None or step <= attempt.last_step:
            raise errors.SecondFactorWrong
        return step

    async def passkey(self, assertion: Assertion, *, challenge: bytes) -> Claim:
        """Whose passkey was used for this challenge.

        Raises:
            SecondFactorWrong: nobody's.
        """
        async with self._database.connection() as connection:
            known = await store.credential(connection, passkeys.credential_id(assertion))
        if known is None:
            raise errors.SecondFactorWrong
        handle = passkeys.user_handle(assertion)
        if handle is not None and handle != known.user_id.bytes:
            raise errors.SecondFactorWrong
        count = passkeys.verify(self._party, assertion, challenge=challenge, public_key=known.public_key)
        return Claim(known.user_id, "passkey", passkey=known.id, sign_count=count)

    async def use(self, connection: Connection, claim: Claim) -> None:
        """Use the proof up, in the caller's transaction. The owner's row is to be locked by now.

        Raises:
            SecondFactorWrong: it was used before, or its factor is gone.
            PasskeyCloned: its passkey is used in two places.
        """
        now, user_id, used = self._clock.now(), claim.user_id, False
        match claim.method:
            case "totp":
                used = await store.use_step(connection, user_id, claim.step, now=now)
            case "recovery_code":
                used = await store.use_recovery_code(connection, user_id, claim.code_hash, now=now)
                if used:
                    left = await store.count_recovery_codes(connection, user_id)
                    await tell(connection, "recovery_code.used.v1", user_id, self._clock, {"left": left})
            case "passkey":
                used = await store.use_passkey(connection, claim.passkey, claim.sign_count, now=now)
        if not used:
            raise errors.PasskeyCloned if claim.method == "passkey" else errors.SecondFactorWrong

    async def refused(self, user_id: UUID, error: errors.SecondFactorWrong, *, purpose: str) -> None:
        """Tell that a proof was wrong, in a transaction of its own: what it was for is undone."""
        cloned = isinstance(error, errors.PasskeyCloned)
        kind: events.FactorEventType = "passkey.cloned.v1" if cloned else "second_factor.refused.v1"
        async with self._database.transaction() as connection:
            if await owners.lock_owner(connection, user_id):
                await tell(connection, kind, user_id, self._clock, {"purpose": purpose})

    async def _recovery_code(self, user_id: UUID, text: str) -> Claim:
        code_hash = domain.recovery_hash(text)
        async with self._database.connection() as connection:
            if not await store.recovery_code_left(connection, user_id, code_hash):
                raise errors.SecondFactorWrong
        return Claim(user_id, "recovery_code", code_hash=code_hash)


def totp_context(user_id: UUID) -> str:
    """What the secret of somebody's app is sealed for."""
    return f"totp of {user_id}"


async def tell(
    connection: Connection,
    kind: events.FactorEventType,
    user_id: UUID,
    clock: Clock,
    data: Mapping[str, Any],
    *,
    by: Principal | None = None,
) -> None:
    """Write an event about somebody's factors."""
    event = events.person_event(
        event_id=str(ids.new()), kind=kind, user_id=str(user_id), by=by, time=clock.now(), data=data
    )
    refused = kind in {"second_factor.refused.v1", "passkey.cloned.v1"}
    await outbox.append(connection, event, outcome="second_factor_wrong" if refused else facts.DONE)


def session_methods(begun: Sequence[str], method: FactorMethod) -> list[str]:
    """How somebody has proved who they are, with what they had shown before."""
    return [*begun, *(name for name in SESSION_METHODS[method] if name not in begun)]
