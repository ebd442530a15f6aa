"""Steps 4 to 9 of many withdrawals at once, where nothing is out of the ordinary: one COMMIT for each step of all.

The order is that of `sending`, and so is what a crash leaves: what is signed is stored and committed before any node
sees it, and an attempt before it is made. Whatever is not as usual (a transaction that can't be made, that was
replaced, that nobody has seen, that failed) is left to `sending`, which takes one at a time and goes on from what is
stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from billfold.chains import errors as chain_errors
from billfold.chains.port import Allocation, Chain, Fate, Found, Payment, Signed, Unsigned
from billfold.chains.signing_port import Place
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals.parts import LOOK_PAUSE, Parts
from billfold.custody.store import queue, sources
from billfold.custody.store import together as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.custody.store.together import Attempt
from billfold.custody.store.withdrawals import Row
from billfold.kernel.errors import BillfoldError
from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Expected, SigningService

#: So many calls of nodes and of the signer wait for their answers at once.
AT_ONCE = 16

log = structlog.get_logger(__name__)
T = TypeVar("T")
S = TypeVar("S")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An allocation with its one transaction that lives."""

    row: AllocationRow
    tx: Tx
    allocation: Allocation
    pays: Sequence[Payment]

    @property
    def ours(self) -> set[str]:
        """Addresses of ours that the transaction has to do with."""
        found = {self.row.source, *(coin.address for coin in self.allocation.coins)}
        if self.row.change:
            found.add(self.row.change)
        return found | {payment.address for payment in self.pays} if self.tx.kind in ("gas", "open") else found


class Together:
    """Takes what is as usual a step further."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def advance(self, chain: Chain, rows: Sequence[AllocationRow]) -> Sequence[AllocationRow]:
        """Do what is to be done for these, and say which are left to be taken one at a time."""
        if chain.name in self._parts.outside:
            return rows
        jobs = await self._jobs([row for row in rows if row.state == "living"])
        done: set[UUID] = set()
        fresh = [job for job in jobs if job.tx.state in ("allocated", "built")]
        known = [job for job in jobs if job.tx.state in ("sent", "uncertain", "broadcasting", "mined")]
        if fresh and self._parts.signer is not None:
            done |= await self._made(chain, self._parts.signer, fresh)
        if known:
            done |= await self._looked_for(chain, known)
        return [row for row in rows if row.id not in done]

    async def _jobs(self, rows: Sequence[AllocationRow]) -> Sequence[Job]:
        if not rows:
            return ()
        async with self._parts.database.connection() as connection:
            living = await store.living(connection, rows)
            single = [(row, living[row.id][0]) for row in rows if len(living[row.id]) == 1]
            contents = await store.contents(connection, [row for row, _ in single])
            payments = await store.payments(connection, [tx for _, tx in single])
        return [
            Job(row=row, tx=tx, allocation=contents[row.id], pays=[payment for payment, _ in payments[tx.id]])
            for row, tx in single
        ]

    async def _made(self, chain: Chain, signer: SigningService, jobs: Sequence[Job]) -> set[UUID]:
        """Build, sign and hand over; the allocations with which all went well."""
        built = await self._built(chain, jobs)
        signed = await self._signed(chain, signer, built) if built else ()
        return await self._handed_over(chain, signed) if signed else set()

    async def _built(self, chain: Chain, jobs: Sequence[Job]) -> Sequence[Job]:
        async def build(job: Job) -> Unsigned:
            return await chain.build(job.pays, job.allocation, rate=job.tx.offered)

        fresh = [job for job in jobs if job.tx.state == "allocated"]
        made = [(job, one) for job, one in await _each(fresh, build) if one.fee_max <= job.tx.fee_limit]
        ready = [job for job in jobs if job.tx.state == "built"]
        if made:
            async with self._parts.database.transaction() as connection:
                made = await self._mine(connection, made)
                stored = [(job.tx, one) for job, one in made]
                await store.set_built(connection, stored, now=self._parts.now())
        for job, one in made:
            tx = msgspec.structs.replace(job.tx, state="built", payload=one.payload, fee_max=one.fee_max)
            ready.append(msgspec.structs.replace(job, tx=tx))
        return ready

    async def _signed(self, chain: Chain, signer: SigningService, jobs: Sequence[Job]) -> Sequence[Job]:
        async with self._parts.database.connection() as connection:
            hot = (await sources.house(connection, chain.name)).get("hot", ())[:1]
            everybody = sorted(set(hot).union(*(job.ours for job in jobs)))
            places = await sources.places(connection, chain.name, everybody)
            tree_id = await sources.tree(connection, chain.name)
        assert tree_id is not None, "there are addresses, so there is a tree"

        async def sign(job: Job) -> Signed:
            assert job.tx.payload is not None and job.tx.fee_max is not None, "it is built"
            known = {one: places[one] for one in (job.ours | set(hot)) if one in places}
            return await signer.sign(
                request_id=job.tx.id,
                tree_id=tree_id,
                payload=job.tx.payload,
                places={one: Place(purpose=purpose, index=index) for one, (purpose, index) in known.items()},
                expected=Expected(payments=job.pays, fee_max=job.tx.fee_max, to_warm=job.tx.kind == "warm"),
            )

        answers = await _each(jobs, sign)
        if not answers:
            return ()
        async with self._parts.database.transaction() as connection:
            mine = await self._mine(connection, answers)
            known = dict(await store.known(connection, chain.name, [one.chain_tx for _, one in mine]))
            # Of two that the chain takes for one, the other is made again, from a later block, by `sending`.
            mine = [(job, one) for job, one in mine if known.setdefault(one.chain_tx, job.tx.id) == job.tx.id]
            stored = [(job.tx, one) for job, one in mine]
            await store.set_signed(connection, chain.name, stored, now=self._parts.now())
        return [
            msgspec.structs.replace(
                job, tx=msgspec.structs.replace(job.tx, state="signed", raw=one.raw, chain_tx=one.chain_tx)
            )
            for job, one in mine
        ]

    async def _handed_over(self, chain: Chain, jobs: Sequence[Job]) -> set[UUID]:
        """Hand stored bytes over, with attempts stored before and the answers after."""
        async with self._parts.database.transaction() as connection:
            mine = [job for job, _ in await self._mine(connection, [(job, None) for job in jobs])]
            begun = [Attempt(job.tx.id, job.tx.broadcasts + 1) for job in mine]
            await store.begin_attempts(connection, begun, now=self._parts.now())

        async def hand_over(job: Job) -> Attempt:
            assert job.tx.raw is not None and job.tx.chain_tx is not None, "it is signed"
            number = job.tx.broadcasts + 1
            try:
                await chain.broadcast(Signed(raw=job.tx.raw, chain_tx=job.tx.chain_tx))
            except (chain_errors.Refused, chain_errors.NodeUnavailable, chain_errors.NodeWrong) as error:
                return Attempt(job.tx.id, number, "uncertain", f"{error.code}: {error.detail}"[: queue.REASON_MAX])
            return Attempt(job.tx.id, number, "sent")

        answered = await _each(mine, hand_over)
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            answered = await self._mine(connection, answered)
            await store.end_attempts(connection, [one for _, one in answered], now=now)
            await self._tell(connection, [job for job, one in answered if one.number == 1])
            await store.postpone(connection, [(job.row, now + _pause(one)) for job, one in answered])
        return {job.row.id for job, _ in answered}

    async def _tell(self, connection: Connection, jobs: Sequence[Job]) -> None:
        paying = {job.row.id: job.tx.chain_tx for job in jobs if job.tx.kind == "pay"}
        together = await store.sharing(connection, list(paying))
        said = [(one, paying[allocation]) for allocation, rows in together.items() for one in rows]
        await self._parts.tell_all(connection, "withdrawal.sent.v1", said)

    async def _looked_for(self, chain: Chain, jobs: Sequence[Job]) -> set[UUID]:
        async def find(job: Job) -> Found:
            assert job.tx.raw is not None and job.tx.chain_tx is not None, "it is signed"
            return await chain.find(Signed(raw=job.tx.raw, chain_tx=job.tx.chain_tx), job.allocation)

        found = await _each(jobs, find)
        waiting = [job for job, one in found if one.fate is Fate.PENDING and job.tx.state == "sent"]
        mined = [(job, one) for job, one in found if one.fate is Fate.MINED]
        heads = await _each([chain], lambda asked: asked.head()) if mined else []
        mined = mined if heads else []
        final = await self._mined(chain, mined, height=heads[0][1].height) if mined else ()
        paying = [(job, one) for job, one in final if one.succeeded and job.tx.kind == "pay"]
        paid = await self._paid(paying) if paying else set()
        # What is in a block and not final waits for more blocks; what is final and not paid ends by itself.
        ended = {job.row.id for job, _ in final}
        waiting += [job for job, _ in mined if job.row.id not in ended]
        if waiting:
            next_at = self._parts.now() + LOOK_PAUSE
            async with self._parts.database.connection() as connection:
                await store.postpone(connection, [(job.row, next_at) for job in waiting])
        return paid | {job.row.id for job in waiting}

    async def _mined(
        self, chain: Chain, mined: Sequence[tuple[Job, Found]], *, height: int
    ) -> Sequence[tuple[Job, Found]]:
        """Store which blocks have them; those that are final, with the chain at this height."""
        needed = self._parts.terms[chain.name].confirmations
        by_state: list[tuple[Job, tuple[queue.State, Found]]] = []
        for job, one in mined:
            assert one.height is not None and one.fee is not None, "a block has it"
            state: queue.State = "final" if height - one.height + 1 >= needed else "mined"
            if (job.tx.state, job.tx.block) != (state, one.block):
                by_state.append((job, (state, one)))
        if not by_state:
            return ()
        async with self._parts.database.transaction() as connection:
            mine = await self._mine(connection, by_state)
            stored = [(job.tx, state, one) for job, (state, one) in mine]
            await store.set_mined(connection, stored, now=self._parts.now())
        return [(job, one) for job, (state, one) in mine if state == "final"]

    async def _paid(self, final: Sequence[tuple[Job, Found]]) -> set[UUID]:
        """Decide what each withdrawal is charged whose transaction is final, where that pays all who share it."""
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            final = await self._mine(connection, final)
            payments = await store.payments(connection, [job.tx for job, _ in final])
            together = await store.sharing(connection, [job.row.id for job, _ in final])
            paid: list[store.Paid] = []
            used: list[tuple[UUID, int]] = []
            for job, one in final:
                rows = together[job.row.id]
                usual = all(row.wallet_id is not None for row in rows)
                if usual and {row.id for row in rows} == {who for _, who in payments[job.tx.id]}:
                    charged, house_fee = _charged(job, one, rows)
                    paid += charged
                    used.append((job.row.id, house_fee))
            await store.set_paid(connection, paid, now=now)
            await store.set_used(connection, used, now=now)
        return {allocation for allocation, _ in used}

    async def _mine(self, connection: Connection, pairs: Sequence[tuple[Job, T]]) -> list[tuple[Job, T]]:
        """Those that nobody else has taken, and nobody takes until the database transaction ends."""
        locked = await store.lock(connection, [job.row for job, _ in pairs])
        if len(locked) < len(pairs):
            log.info("somebody else has taken transactions in hand", count=len(pairs) - len(locked))
        return [(job, one) for job, one in pairs if job.row.id in locked]


def _charged(job: Job, found: Found, rows: Sequence[Row]) -> tuple[list[store.Paid], int]:
    """What each of them pays of the fee, and what is left to the house."""
    assert found.fee is not None and job.tx.chain_tx is not None, "a block has it"
    limits = [row.network_fee - row.opening if row.token is None else 0 for row in rows]
    shares, house_fee = rules.shares(found.fee, limits)
    house_fee += sum(row.opening for row in rows if row.token is not None)
    charged = [
        store.Paid(row, share + (row.opening if row.token is None else 0), job.tx.chain_tx, found.reason)
        for row, share in zip(rows, shares, strict=True)
    ]
    return charged, house_fee


def _pause(attempt: Attempt) -> timedelta:
    return LOOK_PAUSE if attempt.state == "sent" else rules.pause(attempt.number - 1)


async def _each(subjects: Sequence[S], call: Callable[[S], Awaitable[T]]) -> list[tuple[S, T]]:
    """What came of each, some at a time; those of which nothing did are left out, to be tried by themselves."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(subject: S) -> tuple[S, T] | None:
        async with gate:
            try:
                return subject, await call(subject)
            except BillfoldError as error:
                log.info("a transaction is taken by itself", why=error.detail)
                return None
            except Exception as error:  # noqa: BLE001 - the others go on
                # Whoever takes it by itself tells what is wrong with it.
                log.info("a transaction is taken by itself", why=type(error).__name__)
                return None

    found = await asyncio.gather(*(one(subject) for subject in subjects))
    return [each for each in found if each is not None]
