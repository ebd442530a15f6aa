"""Opens what the house needs on a chain before it can be used: accounts of channels and nonces, trustlines of tokens.

It goes through the same queue as a withdrawal, with nobody behind it: what is to be opened is a row, an allocation
takes the row, and one that opens nothing gives it back. So each is paid for once. The ledger has the house pay the
network fee, and moves what an account is given from the house's fees to its liquidity: it stays in the account for as
long as that is there, and pays nobody. The rent of a nonce's account is part of what its transaction costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from billfold.chains.errors import ChainError, FundsShort, NodeUnavailable
from billfold.chains.port import Chain, Payment, Rate
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals.allocating import EXPIRES_AFTER, new_allocation
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import allocations, openings, queue, sources
from billfold.custody.store.openings import Row
from billfold.custody.store.queue import Tx
from billfold.kernel import ids, money
from billfold.platform.postgres.database import Connection

#: So many are looked at in one round, each by a question to a node.
ROUND_MAX = 50
#: One transaction opens so many at most. Stellar takes a hundred operations; on Solana four nonces fit a packet.
_AT_ONCE: Mapping[openings.Kind, int] = {"channel": ROUND_MAX, "nonce": 4, "trustline": 1}
#: What could not be opened is looked at again so much later.
PAUSE = timedelta(seconds=10)
#: What the chain or an operator has to change first, so much later.
OBSTACLE_PAUSE = timedelta(minutes=1)
#: Asked for so that nothing but a trustline can be missing.
_ANY_MEMO = "id:0"

log = structlog.get_logger(__name__)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that opens something."""

    rows: Sequence[Row]
    payments: Sequence[Payment]
    rate: Rate
    fee_limit: int
    hot: str
    nonce: int | None
    anchor: tuple[str, int] | None
    held: int


class Opening:
    """Decides what is opened. Any number of processes may."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def round(self, chain: Chain) -> int:
        """Allocate a transaction for what is wanted and missing, and say for how many.

        Raises:
            DatabaseUnavailable
        """
        async with self._parts.database.connection() as connection:
            hot = (await sources.house(connection, chain.name)).get("hot")
        await self._want(chain, hot[0] if hot else None)
        async with self._parts.database.connection() as connection:
            rows = await openings.due(connection, chain.name, now=self._parts.now(), limit=ROUND_MAX)
        if not rows or not hot:
            return 0
        try:
            missing = await self._missing(chain, hot[0], rows)
            plan = await self._plan(chain, hot[0], missing) if missing else None
        except (ChainError, NodeUnavailable, errors.FeesUnknown) as error:
            log.warning("nothing is opened", chain=chain.name, why=error.detail)
            reason = "house_short" if isinstance(error, FundsShort) else error.code
            await self._postpone(rows, PAUSE, reason)
            return 0
        return 0 if plan is None else await self._store(chain, plan)

    async def _want(self, chain: Chain, hot: str | None) -> None:
        """An asset or an address may come at any time; what is known already costs a look into a table."""
        count = self._parts.terms[chain.name].durable_nonces
        if count and hot is not None:
            async with self._parts.database.transaction() as connection:
                accounts = await chain.nonce_accounts(hot, count=count)
                await openings.want(connection, chain.name, "nonce", accounts, now=self._parts.now())
        if chain.model == "recent_block":
            return
        known = (await self._parts.ledger.assets()).values()
        tokens = [one.contract for one in known if one.chain == chain.name and one.contract is not None]
        if tokens:
            async with self._parts.database.transaction() as connection:
                await openings.want(connection, chain.name, "trustline", tokens, now=self._parts.now())

    async def _missing(self, chain: Chain, hot: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Those that one transaction is to open: channels, some nonces, or one trustline.

        The issuer of a trustline may spoil it for others, and of nonces only some fit a transaction.
        What is open already is noted.
        """
        there: list[Row] = []
        missing: list[Row] = []
        for row in rows:
            if missing and len(missing) >= _AT_ONCE[missing[0].kind]:
                break
            if await _is_open(chain, hot, row):
                there.append(row)
            elif not missing or row.kind == missing[0].kind:
                missing.append(row)
        if there:
            async with self._parts.database.transaction() as connection:
                await openings.found_open(connection, there)
        return missing

    async def _plan(self, chain: Chain, hot: str, rows: Sequence[Row]) -> Plan | None:
        payments = await self._payments(chain, hot, rows)
        if payments is None:
            return None
        rate = (await self._fees.rates(chain)).by_speed["normal"]
        height = (await chain.head()).height
        return Plan(
            rows=rows,
            payments=payments,
            rate=rate,
            fee_limit=rules.set_aside(await chain.estimate(payments, source=hot, rate=rate)),
            hot=hot,
            nonce=await chain.next_nonce(hot) if chain.model == "nonce" else None,
            anchor=await chain.anchor() if chain.model == "recent_block" else None,
            held=await chain.balance(hot, token=None, height=height),
        )

    async def _payments(self, chain: Chain, hot: str, rows: Sequence[Row]) -> Sequence[Payment] | None:
        """What opens them; None, and they wait, where the chain would refuse it."""
        if rows[0].kind == "trustline":
            return await self._trust(chain, hot, rows)
        if rows[0].kind == "nonce":
            return [Payment(address=row.subject, amount=0) for row in rows]
        scale = (await self._parts.ledger.asset(code=chain.coin)).scale
        given = money.threshold(self._parts.terms[chain.name].channel_reserve, scale)
        found = await chain.examine(rows[0].subject, memo=_ANY_MEMO, token=None, amount=given)
        if found.obstacle is not None:
            log.warning("a channel can't be opened", chain=chain.name, why=found.obstacle_detail)
            await self._postpone(rows, OBSTACLE_PAUSE, found.obstacle)
            return None
        return [Payment(address=row.subject, amount=given) for row in rows]

    async def _trust(self, chain: Chain, hot: str, rows: Sequence[Row]) -> Sequence[Payment] | None:
        for row in rows:
            try:
                await chain.next_nonce(row.subject.partition(":")[2])
            except FundsShort:
                await self._postpone(rows, OBSTACLE_PAUSE, "issuer_missing")
                return None
        return [Payment(address=hot, amount=0, token=row.subject) for row in rows]

    async def _store(self, chain: Chain, plan: Plan) -> int:
        """Step 3, under the lock of the chain, as of a withdrawal."""
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            reason = await self._hindered(connection, chain, plan)
            if reason is not None:
                await openings.postpone(connection, plan.rows, until=now + PAUSE, reason=reason)
                return 0
            nonce = None
            if plan.nonce is not None:
                (nonce,) = await allocations.next_nonces(connection, chain.name, plan.hot, least=plan.nonce, count=1)
            row = new_allocation(chain, plan.hot, nonce=nonce, anchor=plan.anchor, expires_at=now + EXPIRES_AFTER)
            await allocations.insert(connection, row, now=now)
            if not await openings.take(connection, plan.rows, row.id):
                await allocations.change(connection, row.id, state="freed", next_at=now)
                return 0
            await queue.insert_tx(connection, _tx(plan, row, now), [(payment, None) for payment in plan.payments])
        return len(plan.rows)

    async def _hindered(self, connection: Connection, chain: Chain, plan: Plan) -> str | None:
        living = await allocations.living(connection, chain.name)
        if living.get(plan.hot, 0) >= self._parts.terms[chain.name].living_max:
            return "sources_busy"
        committed, fees = await queue.committed(connection, chain.name)
        left = plan.held - committed.get(None, 0) - fees
        if left >= sum(payment.amount for payment in plan.payments) + plan.fee_limit:
            return None
        log.warning("the house has not enough coin to open what it needs", chain=chain.name)
        return "house_short"

    async def _postpone(self, rows: Sequence[Row], pause: timedelta, reason: str) -> None:
        async with self._parts.database.transaction() as connection:
            await openings.postpone(connection, rows, until=self._parts.now() + pause, reason=reason)


async def _is_open(chain: Chain, hot: str, row: Row) -> bool:
    if row.kind == "nonce":
        return await chain.durable_anchor(row.subject, source=hot) is not None
    if row.kind == "trustline":
        found = await chain.examine(hot, memo=_ANY_MEMO, token=row.subject, amount=0)
        return found.obstacle not in ("trustline_missing", "account_missing")
    try:
        await chain.next_nonce(row.subject)
    except FundsShort:
        return False
    return True


def _tx(plan: Plan, row: allocations.AllocationRow, now: datetime) -> Tx:
    return Tx(
        id=ids.new(),
        allocation_id=row.id,
        chain=row.chain,
        kind="open",
        rate=plan.rate.numbers,
        fee_limit=plan.fee_limit,
        state="allocated",
        created_at=now,
    )
