"""What takes two people: one who asks for it and another one who approves it. Nobody is both, by any path.

A request waits as a row. The decision is committed first, with what the maker may do at that moment; only then is it
carried out, as the maker, with no more rights than it takes, and with the maker's own idempotency key. So it does not
matter how often that is tried, by whom, or whether a process dies in between: the effect is there once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from billfold.identity import errors, events
from billfold.identity.contracts import Approval, ApprovalStatus, Approved, Demand, Executor, scopes_of
from billfold.identity.domain import approvals as domain
from billfold.identity.store import approvals as store
from billfold.identity.store import keys as owners
from billfold.identity.store.approvals import Stored
from billfold.kernel import idempotency, ids, origin, paging
from billfold.kernel.clock import Clock
from billfold.kernel.deferred import Deferred
from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.kernel.principal import MissingScope, Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

#: Whoever has approved carries it out within this time; after it the worker does.
CARRIED_OUT_WITHIN = timedelta(seconds=5)
#: What one round of the worker takes on.
_AT_ONCE = 100
#: What is kept of why something has failed.
_REASON_MAX = 1_000

log = structlog.get_logger(__name__)


class Approvals:
    """Requests of people that wait for another person."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._executors: dict[str, Executor] = {}

    def carried_out_by(self, executors: Mapping[str, Executor]) -> None:
        """Who carries out what was approved, by its kind."""
        self._executors |= executors

    async def demand(self, *, principal: Principal, demand: Demand) -> None:
        """Go on only if another person has approved this.

        A request with an idempotency key goes on for ever then: what it does has the same key, and happens once. One
        without a key never goes on here: it is carried out by its executor alone.

        Raises:
            Deferred: nobody has decided yet.
            ApprovalEnded: it was rejected or cancelled, has failed, or has expired.
            ApprovalStale: what was approved named something that stands for something else by now.
            IdempotencyKeyReused, TooManyApprovals.
        """
        assert principal.user_id is not None, "programs don't ask people"
        has_key = bool(demand.key_text)
        async with self._database.transaction() as connection:
            await owners.lock_owner(connection, principal.user_id)
            stored = await store.of_key(connection, demand.key.digest, open_only=not has_key)
            if stored is not None:
                stored = await self._expired_if_so(connection, stored)
            if stored is None or (stored.approval.status == "expired" and not has_key):
                stored = await self._insert(connection, principal, demand)
        if stored.key_fingerprint != demand.key.fingerprint:
            raise idempotency.IdempotencyKeyReused
        if has_key and stored.approval.status in domain.CARRIED_OUT:
            # What has an answer already leads nowhere any more, and nobody's things may have come in since.
            if not (demand.resolved <= set(stored.approval.resolved) and demand.concerns <= stored.concerns):
                raise errors.ApprovalStale
            return
        if stored.approval.ended_at is not None:
            raise domain.ended(stored.approval)
        raise Deferred(stored.approval, path=f"/approvals/{stored.approval.id}")

    async def is_program(self, user_id: UUID) -> bool:
        """Whether somebody is a program that logs in as people do, and nobody who works here."""
        async with self._database.connection() as connection:
            roles = await store.roles_of(connection, [user_id])
        return domain.is_program(roles.get(user_id, frozenset()))

    async def list(
        self,
        *,
        by: Principal,
        status: ApprovalStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> paging.Page[Approval]:
        """One's own requests, or everybody's for those who may see them; the newest first.

        Raises:
            InvalidLimit, InvalidCursor.
        """
        size = paging.check_limit(limit)
        before = paging.decode(cursor, UUID) if cursor is not None else None
        async with self._database.connection() as connection:
            found = await store.page(connection, maker=_seen_by(by), status=status, before=before, limit=size + 1)
        return paging.cut(found, size, place=lambda approval: approval.id)

    async def find(self, *, by: Principal, approval_id: UUID) -> Approval:
        """A request.

        Raises:
            ApprovalUnknown: there is none, or `by` may not see it.
        """
        async with self._database.connection() as connection:
            stored = await store.find(connection, approval_id, maker=_seen_by(by))
        if stored is None:
            raise errors.ApprovalUnknown
        return stored.approval

    async def approve(self, *, by: Principal, approval_id: UUID) -> Approval:
        """Approve it and carry it out. Again, by the same person, it only carries out what was not.

        Raises:
            SessionNeeded, MissingScope, ApprovalUnknown, OwnApproval, ApprovalConcernsYou
            ApprovalEnded: it was decided before by somebody else, or is over.
        """
        stored = await self._decide(by, approval_id, "approved", None)
        if stored.approval.status == "approved":
            await self._carry_out(stored)
        return await self.find(by=by, approval_id=approval_id)

    async def reject(self, *, by: Principal, approval_id: UUID, reason: str) -> Approval:
        """Let it come to nothing.

        Raises: as `approve`.
        """
        return (await self._decide(by, approval_id, "rejected", reason)).approval

    async def cancel(self, *, by: Principal, approval_id: UUID) -> Approval:
        """Take one's own request back. Again it changes nothing.

        Raises:
            ApprovalUnknown: there is none, or it is not one's own.
            ApprovalEnded: it was decided, or is over.
        """
        async with self._database.transaction() as connection:
            stored = await self._locked(connection, approval_id, maker=by.user_id or by.owner_id)
            if stored.approval.status == "pending":
                return (await self._settle(connection, stored, "cancelled", by=by)).approval
        if stored.approval.status != "cancelled":
            raise domain.ended(stored.approval)
        return stored.approval

    async def conclude(self, connection: Connection, approval_id: UUID) -> bool:
        """Whether what was approved is to be done now, in this database transaction, with which it is done.

        An executor asks that has no idempotency key of its own: of any number who do at once one may go on.
        """
        stored = await self._locked(connection, approval_id)
        return await self._end(connection, stored, "executed", None)

    async def tend(self) -> bool:
        """Carry out what was approved and not carried out, end what is overdue, and say whether there may be more."""
        now = self._clock.now()
        async with self._database.connection() as connection:
            unfinished = await store.unfinished(connection, decided_before=now - CARRIED_OUT_WITHIN, limit=_AT_ONCE)
            overdue = await store.overdue(connection, now=now, limit=_AT_ONCE)
        for approval_id in unfinished:
            async with self._database.connection() as connection:
                stored = await store.find(connection, approval_id)
            assert stored is not None, "an approval is never deleted"
            try:
                await self._carry_out(stored)
            except Unavailable:
                raise
            except Exception:
                # A bug, and others wait too.
                log.exception("an approved request could not be carried out", approval=stored.approval.id)
        for approval_id in overdue:
            async with self._database.transaction() as connection:
                await self._expired_if_so(connection, await self._locked(connection, approval_id))
        return len(overdue) == _AT_ONCE

    async def _insert(self, connection: Connection, principal: Principal, demand: Demand) -> Stored:
        assert principal.user_id is not None
        if await store.count_pending(connection, principal.user_id) >= domain.PENDING_MAX:
            raise errors.TooManyApprovals
        now = self._clock.now()
        stored = await store.insert(
            connection,
            approval_id=ids.new(),
            by=principal,
            demand=demand,
            now=now,
            expires_at=now + domain.OPEN_FOR,
        )
        await self._tell(connection, "approval.requested.v1", stored, principal)
        return stored

    async def _decide(self, by: Principal, approval_id: UUID, status: ApprovalStatus, reason: str | None) -> Stored:
        checker = by.require_person()
        by.require(domain.DECIDES)
        async with self._database.transaction() as connection:
            stored = await self._locked(connection, approval_id)
            domain.check_checker(checker, stored.approval, concerns=stored.concerns)
            roles = await store.roles_of(connection, [checker, stored.maker_id])
            # Credentials may be minutes older than a change of roles.
            if domain.DECIDES not in scopes_of(roles.get(checker, frozenset())):
                raise MissingScope(f"You lack the scope {domain.DECIDES} by now.")
            stored = await self._expired_if_so(connection, stored)
            if stored.approval.status == "pending":
                lacking = domain.lacking(stored.needs, roles.get(stored.maker_id, frozenset()))
                if status == "approved" and lacking:
                    status, reason = "failed", lacking
                return await self._settle(connection, stored, status, by=by, reason=reason)
        decided_so = (stored.approval.status == "rejected") == (status == "rejected")
        if stored.approval.checker_id == str(checker) and decided_so:
            return stored
        raise domain.ended(stored.approval)

    async def _carry_out(self, stored: Stored) -> None:
        """Carry out what was approved. What is not possible just now stays approved, and is tried again."""
        approval_id = UUID(stored.approval.id)
        maker = Principal(
            credential_id=stored.credential_id, owner_id=stored.maker_id, scopes=stored.needs, user_id=stored.maker_id
        )
        approved = Approved(approval_id, maker, stored.approval.content, stored.key_text)
        status: ApprovalStatus = "executed"
        reason = None
        try:
            with origin.on_behalf_of(stored.maker_id):
                await self._executors[stored.approval.kind](approved)
        except BillfoldError as error:
            if error.retryable:
                log.warning("an approved request waits", approval=stored.approval.id, reason=error.detail)
                return
            status, reason = "failed", f"{error.code}: {error.detail}"[:_REASON_MAX]
        async with self._database.transaction() as connection:
            await self._end(connection, await self._locked(connection, approval_id), status, reason)

    async def _locked(self, connection: Connection, approval_id: UUID, *, maker: UUID | None = None) -> Stored:
        """The request, which nobody else changes until the database transaction ends."""
        stored = await store.find(connection, approval_id, maker=maker)
        if stored is None:
            raise errors.ApprovalUnknown
        await owners.lock_owner(connection, stored.maker_id)
        # As whoever had it locked has left it.
        stored = await store.find(connection, approval_id)
        assert stored is not None, "an approval is never deleted"
        return stored

    async def _expired_if_so(self, connection: Connection, stored: Stored) -> Stored:
        if stored.approval.status == "pending" and stored.approval.expires_at <= self._clock.now():
            return await self._settle(connection, stored, "expired", by=None)
        return stored

    async def _settle(
        self,
        connection: Connection,
        stored: Stored,
        status: ApprovalStatus,
        *,
        by: Principal | None,
        reason: str | None = None,
    ) -> Stored:
        """Say what becomes of a request that waits."""
        checker = by.user_id if by is not None and status not in ("cancelled", "expired") else None
        settled = await store.decide(
            connection, UUID(stored.approval.id), status=status, checker=checker, reason=reason, now=self._clock.now()
        )
        assert settled is not None, "it is locked, and waits"
        await self._tell(connection, f"approval.{status}.v1", settled, by)
        return settled

    async def _end(self, connection: Connection, stored: Stored, status: ApprovalStatus, reason: str | None) -> bool:
        ended = await store.conclude(
            connection, UUID(stored.approval.id), status=status, reason=reason, now=self._clock.now()
        )
        if ended is not None:
            await self._tell(connection, f"approval.{status}.v1", ended, None)
        return ended is not None

    async def _tell(self, connection: Connection, kind: str, stored: Stored, by: Principal | None) -> None:
        approval = stored.approval
        # Not what it is about: a thousand transfers are no event, and whoever may see it can ask.
        data: dict[str, Any] = {
            "approval_id": approval.id,
            "kind": approval.kind,
            "status": approval.status,
            "checker_id": approval.checker_id,
            "reason": approval.reason,
        }
        event = events.person_event(
            event_id=str(ids.new()),
            kind=kind,
            user_id=approval.maker_id,
            subject=approval.id,
            by=by,
            time=self._clock.now(),
            data=data,
        )
        await outbox.append(connection, event)


def _seen_by(principal: Principal) -> UUID | None:
    """Whose requests somebody sees: None is everybody's."""
    return None if "approvals:read" in principal.scopes else principal.user_id or principal.owner_id
