"""Operations that need a fresh factor of their user's, whatever credentials ask for them.

An approval is bound to one user, one operation and all of its content, and is used up by one request. A passkey even
signs the content's digest.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from uuid import UUID

from billfold.identity import errors
from billfold.identity.contracts import ATTEMPTS_MAX, WAITS, StepUpChallenge
from billfold.identity.contracts.factors import Proof
from billfold.identity.domain import step_up as domain
from billfold.identity.service.proofs import Claim, Proofs, tell
from billfold.identity.store import keys as owners
from billfold.identity.store import step_up as store
from billfold.identity.store.step_up import Waiting
from billfold.kernel import clock as clocks
from billfold.kernel import idempotency, ids
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database

#: Operations of one user that wait to be approved; of more, the oldest are forgotten.
WAITING_MAX = 20
_NONCE_BYTES = 32


class StepUp:
    """Demands approvals, shows what is to be approved, and takes the factor that does it."""

    def __init__(self, *, database: Database, clock: Clock, proofs: Proofs) -> None:
        self._database = database
        self._clock = clock
        self._proofs = proofs

    async def demand(
        self,
        *,
        principal: Principal,
        operation: str,
        content: Mapping[str, str],
        key: idempotency.Key | None,
        proof: UUID | None,
    ) -> None:
        """Go on only if the person behind `principal` has approved this; a program without a person always goes on.

        `content` is everything that must not change between the approval and its use. An approval is used up by the
        request with this idempotency `key`, which may come again, also without naming it; without a key it is good for
        a single request.

        Raises:
            StepUpRequired: `proof` is no approval of this; what to do is in its extensions.
            SecondFactorMissing: they have nothing to approve it with.
        """
        user_id = principal.user_id
        if user_id is None:
            return
        now, digest = self._clock.now(), domain.digest(operation, content)
        async with self._database.transaction() as connection:
            given = None
            if proof is not None:
                if await store.use(connection, proof, user_id=user_id, digest=digest, key=key, now=now):
                    return
                given = await store.find(connection, proof, user_id=user_id)
            if key is not None and await store.was_used(connection, user_id=user_id, digest=digest, key=key):
                return
            methods = await self._proofs.methods(connection, user_id)
            if not methods:
                raise errors.SecondFactorMissing
            waiting = given if given is not None and _still_good(given, digest, self._clock) else None
            if waiting is None:
                waiting = await store.insert(
                    connection,
                    step_up_id=ids.new(),
                    user_id=user_id,
                    operation=operation,
                    content=content,
                    digest=digest,
                    nonce=secrets.token_bytes(_NONCE_BYTES),
                    now=now,
                    until=now + WAITS,
                    most=WAITING_MAX,
                )
        error = errors.StepUpRequired(_why(proof, given, digest))
        error.extensions = {
            "step_up": {
                "id": str(waiting.id),
                "operation": operation,
                "content": dict(content),
                "methods": methods,
                "expires_at": clocks.format(waiting.expires_at),
            }
        }
        raise error

    async def show(self, *, by: Principal, step_up_id: UUID) -> StepUpChallenge:
        """What waits for one's own approval.

        Raises:
            StepUpUnknown: there is none that waits, or it is somebody else's.
        """
        async with self._database.connection() as connection:
            waiting = await store.find(connection, step_up_id, user_id=by.owner_id)
            if waiting is None or waiting.used_at is not None or waiting.expires_at <= self._clock.now():
                raise errors.StepUpUnknown
            return await self._shown(connection, waiting)

    async def approve(self, *, by: Principal, step_up_id: UUID, proof: Proof) -> StepUpChallenge:
        """Approve what waits with a factor of one's own.

        Raises:
            StepUpUnknown: there is none, it is somebody else's, it has been approved, or there were too many attempts.
            OneFactorWanted, SecondFactorWrong, TooManyAttempts.
        """
        user_id, now = by.owner_id, self._clock.now()
        async with self._database.transaction() as connection:
            waiting = await store.attempt(connection, step_up_id, user_id=user_id, most=ATTEMPTS_MAX, now=now)
        if waiting is None:
            raise errors.StepUpUnknown
        try:
            claim = await self._proofs.examine(user_id, proof, challenge=domain.signed(waiting.nonce, waiting.digest))
            return await self._approve(waiting, claim)
        except errors.SecondFactorWrong as error:
            await self._proofs.refused(user_id, error, purpose=waiting.operation)
            raise

    async def _approve(self, waiting: Waiting, claim: Claim) -> StepUpChallenge:
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await owners.lock_owner(connection, waiting.user_id)
            await self._proofs.use(connection, claim)
            approved = await store.approve(connection, waiting.id, method=claim.method, now=now, until=now + WAITS)
            if approved is None:
                raise errors.StepUpUnknown
            data = {"step_up_id": str(waiting.id), "operation": waiting.operation, "method": claim.method}
            await tell(connection, "step_up.approved.v1", waiting.user_id, self._clock, data)
            return await self._shown(connection, approved)

    async def _shown(self, connection: Connection, waiting: Waiting) -> StepUpChallenge:
        methods = await self._proofs.methods(connection, waiting.user_id)
        options = None
        if "passkey" in methods and waiting.approved_at is None:
            challenge = domain.signed(waiting.nonce, waiting.digest)
            options = await self._proofs.options(connection, waiting.user_id, challenge=challenge)
        return StepUpChallenge(
            id=str(waiting.id),
            operation=waiting.operation,
            content=waiting.content,
            methods=methods,
            expires_at=waiting.expires_at,
            approved_at=waiting.approved_at,
            passkey_options=options,
        )


def _still_good(given: Waiting, digest: bytes, clock: Clock) -> bool:
    """Whether what the caller has named is still to be approved, so that nothing else needs to wait."""
    return given.digest == digest and given.approved_at is None and given.expires_at > clock.now()


def _why(proof: UUID | None, given: Waiting | None, digest: bytes) -> str | None:
    """What is wrong with the approval that was sent, if one was."""
    if proof is None:
        return None
    if given is None:
        return "The header Step-Up names no approval of yours; approve this one, and send its id."
    if given.digest != digest:
        return "The header Step-Up names the approval of something else; approve this one, and send its id."
    if given.used_at is not None:
        return "This approval was used for another request; approve it again, and send the new id."
    if given.approved_at is None:
        return "It is not approved yet; approve it with a factor of yours, and send this again."
    return "The approval came too long ago; approve it again, and send the new id."
