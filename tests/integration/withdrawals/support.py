"""A house that sends money out on simulated chains, over a real PostgreSQL and ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Signed, Speed
from billfold.chains.signing_port import Place
from billfold.custody.contracts.deposits import Sender
from billfold.custody.contracts.treasury import Band, TreasuryTerms
from billfold.custody.contracts.withdrawals import NewWithdrawal, Requested, Withdrawal, WithdrawalTerms
from billfold.custody.service.house import House
from billfold.custody.service.withdrawals import Withdrawals
from billfold.custody.store import openings, refunds, standings
from billfold.kernel import idempotency, ids
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount, NewTransfer
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Expected
from tests.integration.withdrawals.simulated import COINS, LIFETIME, TOKEN, Simulated, signed

HOT = "sim-hot"
#: Where wallets have deposit addresses whose money is swept.
SWEPT = ("ethereum", "solana")
WARM = "sim-warm"
SCALES = {"bitcoin": 8, "ethereum": 18, "solana": 9, "stellar": 7}
#: How much of the coin lies ready, in units: least, target, most.
BAND = (1_000, 2_000, 4_000)
CHANNELS = ("sim-channel-0", "sim-channel-1")
#: What the account of a channel is given, in units.
CHANNEL_RESERVE = 100
ENDED = ("settled", "failed", "cancelled")
#: More rounds than any test takes: the longest pause is five minutes, and a round is one.
ROUNDS_MAX = 60
#: A token of the chains on which deposits are swept.
TOKEN_ASSET = "TOK"


class Watch:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Signer:
    """Signs everything, unless it is told not to; as the real one always the same for the same request."""

    def __init__(self) -> None:
        self.refuses = False
        self.signed: dict[UUID, bytes] = {}

    async def sign(
        self,
        *,
        request_id: UUID,
        tree_id: UUID,  # noqa: ARG002 - it has one tree.
        payload: bytes,
        places: Mapping[str, Place],
        expected: Expected,
    ) -> Signed:
        if self.refuses:
            raise PayloadRefused
        assert self.signed.setdefault(request_id, payload) == payload, "the same request is the same transaction"
        tx = msgspec.json.decode(payload)
        shown = [(one["address"], one["amount"], one["token"]) for one in tx["pays"]]
        assert shown == [(one.address, one.amount, one.token or "") for one in expected.payments]
        assert tx["source"] in places
        assert tx["change"] is None or tx["change"] in places
        return signed(payload)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


class Office:
    """The machine, its chain, and the accounts of its customers."""

    def __init__(self, dsn: str, database: Database, ledger: Ledger, chain: Simulated, terms: WithdrawalTerms) -> None:
        self.dsn = dsn
        self.database = database
        self.ledger = ledger
        self.chain = chain
        self.clock = Watch()
        self.signer = Signer()
        self.house = House(database=database, ledger=ledger)
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={chain.name: chain},
            terms={chain.name: terms},
            signer=self.signer,
            clock=self.clock,
        )

    def take_alone(self) -> None:
        """Take each step of each withdrawal by itself, as where something is not as usual."""

        async def all_are_left(*given: Any) -> Any:
            return given[-1]

        owner: Any
        for owner, name in ((self.withdrawals._sending._together, "advance"), (self.withdrawals._ending, "settle_all")):
            setattr(owner, name, all_are_left)

    async def furnish(self) -> None:
        """Addresses of the house, and money on the chain that is not anybody's yet."""
        name = self.chain.name
        addresses = [(HOT, "hot", 0)]
        if name == "bitcoin":
            addresses.append(("sim-change", "change", 0))
        if name == "stellar":
            addresses += [(address, "channel", 1000 + number) for number, address in enumerate(CHANNELS)]
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.trees (chain, network, tree_id, created_at) VALUES ($1, 'sandbox', $2, now())",
                name,
                ids.new(),
            )
            for address, purpose, place in addresses:
                await connection.execute(
                    "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
                    "VALUES ($1, $2, $3, $4, now())",
                    name,
                    address,
                    purpose,
                    place,
                )
        if name in SWEPT:
            await self.ledger.add_asset(
                asset=Asset(code=TOKEN_ASSET, scale=2, kind="token", name="Token", chain=name, contract=TOKEN)
            )

    async def customer(self, amount: int, *, asset: str | None = None, coins: int = 1) -> UUID:
        """An account with so much in it, which the chain holds."""
        asset = asset or self.chain.coin
        account = ids.new()
        await self.ledger.open_accounts(accounts=[NewAccount(id=account, asset=asset)])
        await self._credit(account, amount, asset)
        for _ in range(coins):
            self.chain.fund(HOT, amount // coins, token=TOKEN if asset == TOKEN_ASSET else None)
        self.chain.mine()
        await self.watch()
        return account

    async def deposit(
        self, amount: int, *, place: int, account: UUID | None = None, asset: str | None = None
    ) -> tuple[UUID, str]:
        """A customer's account and deposit address, with so much more in both; it may be swept now."""
        name, asset, address = self.chain.name, asset or self.chain.coin, f"sim-deposit-{place}"
        token = TOKEN if asset == TOKEN_ASSET else ""
        if account is None:
            account = ids.new()
            await self.ledger.open_accounts(accounts=[NewAccount(id=account, asset=asset)])
        await self._credit(account, amount, asset)
        self.chain.fund(address, amount, token=token)
        self.chain.mine()
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.addresses (chain, address, purpose, place, wallet_id, created_at) "
                "VALUES ($1, $2, 'deposit', $3, $4, now()) ON CONFLICT DO NOTHING",
                *(name, address, place, account),
            )
            await connection.execute(
                "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind, "
                "wallet_id, state, detected_at, sweep_at) "
                "VALUES ($1, $2, $3, '0', $4, '', $5, $6, $7, 'wallet', $8, 'releasable', now(), now())",
                *(ids.new(), name, str(ids.new()), address, token, asset, amount, account),
            )
        return account, address

    async def uncollected(self) -> int:
        """How many deposits no allocation has taken, or one that came to nothing."""
        async with self.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM custody.deposits WHERE sweep_at IS NOT NULL"))

    async def endow(self, amount: int) -> None:
        """Money of the house on the chain, to pay fees from."""
        await self._credit(await self.house.account(kind="fees", asset=self.chain.coin), amount, self.chain.coin)
        self.chain.fund(HOT, amount)
        await self.watch()

    async def _credit(self, account: UUID, amount: int, asset: str) -> None:
        omnibus = await self.house.account(kind="omnibus", asset=asset)
        transfer = NewTransfer(
            debit_account=omnibus, credit_account=account, amount=amount, asset=asset, kind="deposit"
        )
        key = idempotency.key(owner=ids.new(), text="k", operation="test", content=b"")
        (await self.ledger.post(key=key, transfers=[transfer])).single()

    async def lose(self, amount: int) -> UUID:
        """A deposit of nobody known, which the ledger has in suspense."""
        deposit, coin = ids.new(), self.chain.coin
        suspense = await self.house.account(kind="suspense", asset=coin)
        await self._credit(suspense, amount, coin)
        self.chain.fund(HOT, amount)
        await self.watch()
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind, "
                "state, account_id, detected_at) "
                "VALUES ($1, $2, $3, '0', $4, '', '', $5, $6, 'unmatched', 'releasable', $7, now())",
                *(deposit, self.chain.name, str(deposit), HOT, coin, amount, suspense),
            )
        return deposit

    async def refund(self, deposit_id: UUID) -> UUID:
        """Send it back by this withdrawal, as an operator who may ask more than once."""
        sender = Sender(address="sim-a", memo=None, asked_by=deposit_id, reason="ticket 1")
        named = idempotency.key(owner=deposit_id, text="refund", operation="refund", content=b"")
        await self.withdrawals.refund(deposit_id=deposit_id, sender=sender, key=named)
        async with self.database.connection() as connection:
            found = await refunds.latest(connection, [deposit_id])
        return found[deposit_id][0].withdrawal_id

    async def want_channel(self, address: str) -> None:
        """Have it opened."""
        async with self.database.transaction() as connection:
            await openings.want(connection, self.chain.name, "channel", [address], now=self.clock.now())

    async def request(
        self,
        account: UUID,
        amount: int,
        address: str,
        *,
        asset: str | None = None,
        speed: Speed = "normal",
        key: str | None = None,
        wallet: UUID | None = None,
        confirmed: bool = True,
        max_fee: int | None = None,
    ) -> Requested:
        new = NewWithdrawal(
            wallet_id=wallet or account,
            owner_id=account,
            account_id=account,
            asset=asset or self.chain.coin,
            amount=amount,
            address=address,
            speed=speed,
            confirmed=confirmed,
            max_fee=max_fee,
        )
        content = msgspec.json.encode(new)
        named = idempotency.key(owner=account, text=key or str(ids.new()), operation="test", content=content)
        return await self.withdrawals.request(new=new, key=named)

    async def bump(self, withdrawal_id: UUID, key: str = "bump") -> Withdrawal:
        named = idempotency.key(owner=withdrawal_id, text=key, operation="bump", content=b"")
        return await self.withdrawals.bump(withdrawal_id=withdrawal_id, key=named)

    async def kill_transaction(self, withdrawal_id: UUID) -> str:
        """Let that of a withdrawal, which no node has, never happen; gives its id.

        Its time is over, or something that pays nobody uses up the same, as by another program with our keys.
        """
        async with self.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT tx.raw, tx.chain_tx FROM custody.tx_queue AS tx "
                "JOIN custody.withdrawals AS asked USING (allocation_id) WHERE asked.id = $1",
                withdrawal_id,
            )
        assert row is not None, "it has one"
        if self.chain.model != "recent_block":
            other = {**json.loads(row["raw"]), "pays": [], "fee": 0}
            await self.chain.broadcast(signed(json.dumps(other, sort_keys=True).encode()))
        self.chain.mine(2 * LIFETIME)
        await self.watch()
        return str(row["chain_tx"])

    async def look(self, withdrawal_id: UUID) -> Withdrawal:
        return await self.withdrawals.withdrawal(withdrawal_id=withdrawal_id)

    async def work(self, *, ahead: timedelta = timedelta(minutes=1)) -> int:
        """One round of the worker, so much later."""
        self.clock.ahead += ahead
        if self.chain.name in SWEPT:
            await self.withdrawals.sweep(chain=self.chain.name)
        return await self.withdrawals.work(chain=self.chain.name)

    async def tend(self, rounds: int = 2) -> int:
        """As the worker looks after what lies ready, each a minute later; and how many transactions that made."""
        done = 0
        for _ in range(rounds):
            self.clock.ahead += timedelta(minutes=1)
            done += await self.withdrawals.keep_bands(chain=self.chain.name)
        return done

    async def finish(self, *withdrawal_ids: UUID) -> list[Withdrawal]:
        """They as they are when they have ended; blocks are made meanwhile."""
        found: list[Withdrawal] = []
        for _ in range(ROUNDS_MAX):
            found = [await self.look(one) for one in withdrawal_ids]
            if all(one.status in ENDED for one in found) and not await self.open():
                return found
            await self.work()
            self.chain.mine()
            await self.watch()
        raise AssertionError(f"they have not ended: {found}")

    async def open(self) -> int:
        """How many allocations are not done with."""
        async with self.database.connection() as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM custody.allocations WHERE state IN ('living', 'settling')"
                )
            )

    async def watch(self) -> None:
        """As the watcher does: write down which coins are ours and which are used up."""
        if self.chain.model != "coins":
            return
        made, spent = self.chain.coins()
        async with self.database.transaction() as connection:
            await connection.execute("UPDATE custody.coins SET height = NULL, spent_height = NULL")
            for (chain_tx, index), (address, amount, height) in made.items():
                if address in (HOT, "sim-change"):
                    await connection.execute(
                        "INSERT INTO custody.coins (chain, chain_tx, index, address, amount, height, spent_height) "
                        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (chain, chain_tx, index) "
                        "DO UPDATE SET height = excluded.height, spent_height = excluded.spent_height",
                        *(self.chain.name, chain_tx, index, address, amount, height, spent.get((chain_tx, index))),
                    )

    async def stop(self, *, stopped: bool = True) -> None:
        """As the reconciliation does when chain and books differ by too much; and as an operator does who resumes."""
        now = self.clock.now()
        standing = standings.Standing(
            asset=self.chain.coin,
            chain=self.chain.name,
            outcome="break" if stopped else "clean",
            difference=7 if stopped else 0,
            since=now,
            reconciled_at=now,
            stopped_at=now if stopped else None,
        )
        async with self.database.transaction() as connection:
            await standings.put(connection, standing)

    async def posted(self, account: UUID) -> tuple[int, int]:
        """What is in an account, and what of it is held."""
        (found,) = await self.ledger.accounts(ids=[account])
        return found.posted, found.held

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of this type that wait to be published."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
        found = [msgspec.json.decode(row["payload"]) for row in rows]
        return [event["data"] for event in found if event["type"] == kind]

    async def check_conserved(self, *withdrawals: Withdrawal) -> None:
        """The chain holds what the ledger says, and each destination got its money once, or never."""
        assert (await self.ledger.verify()).faults == []
        for asset, token in (
            (self.chain.coin, ""),
            *(((TOKEN_ASSET, TOKEN),) if self.chain.name in SWEPT else ()),
        ):
            posted, _ = await self.posted(await self.house.account(kind="omnibus", asset=asset))
            held = sum(
                units for (address, of), units in self.chain.balances().items() if _is_ours(address) and of == token
            )
            assert -posted == held, f"of {asset} the ledger says {-posted}, the chain {held}"
        for one in withdrawals:
            assert self.chain.received(one.address) == ([one.amount] if one.status == "settled" else []), one


def _is_ours(address: str) -> bool:
    return address in {HOT, "sim-change"} or address.startswith(("sim-channel-", "sim-deposit-"))


def terms_of(name: str) -> WithdrawalTerms:
    """What holds in offices of this chain."""
    low, target, high, house_fee_max, channel_reserve = (
        f"0.{units:0{SCALES[name]}d}" for units in (*BAND, 1_000, CHANNEL_RESERVE)
    )
    bands = {
        COINS[name]: Band(low=low, target=target, high=high),
        TOKEN_ASSET: Band(low="10%", target="20%", high="50%"),
    }
    return WithdrawalTerms(
        confirmations=2,
        channel_reserve=channel_reserve,
        house_fee_max=house_fee_max,
        sweep_minimum={TOKEN_ASSET: "5"},
        treasury=TreasuryTerms(warm=WARM, bands=bands, merge_below="0.000001", merge_above=10, merge_rate={"fee": 10}),
    )


@asynccontextmanager
async def opened(dsn: str, name: str, path: Path, terms: WithdrawalTerms | None = None) -> AsyncIterator[Office]:
    """An office over this database and the chain in this file."""
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    try:
        yield Office(dsn, database, ledger, Simulated(name, path), terms or terms_of(name))
    finally:
        await ledger.close()
        await database.close()


__all__ = ["COINS", "HOT", "Office", "opened"]
