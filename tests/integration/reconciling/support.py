"""All of custody over a chain of the tests, from the payment that arrives to the one that leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec

from billfold.chains.bitcoin import showing
from billfold.chains.port import Network
from billfold.chains.signing_port import Purpose
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import (
    NewWithdrawal,
    ReconcilingTerms,
    Report,
    Terms,
    Withdrawal,
    WithdrawalTerms,
)
from billfold.kernel import idempotency, ids
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount, NewTransfer
from billfold.platform.postgres.database import Connection, Database
from billfold.signer.contracts import Tree
from tests.integration.withdrawals import support
from tests.integration.withdrawals.simulated import TOKEN, Simulated
from tests.integration.withdrawals.support import HOT, TOKEN_ASSET

TERMS = Terms(credit_after=2, release_after=3, reorg_limit=6, minimum={"ETH": "0.000000000000000100"})
WITHDRAWING = WithdrawalTerms(confirmations=2, house_fee_max="0.000000000000001", sweep_minimum={TOKEN_ASSET: "5"})


class Signer(support.Signer):
    """It knows addresses, too."""

    async def create(self, *, tree_id: UUID, chain: str, network: Network) -> Tree:
        return Tree(id=tree_id, chain=chain, network=network, public=None, created_at=datetime.now(UTC))

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        del tree_id
        if purpose != "deposit":
            return [f"sim-{purpose}"]
        return [f"sim-deposit-{place}" for place in range(first, first + count)]


class Desk:
    """Custody, and short ways to say what happens to it."""

    def __init__(self, database: Database, ledger: Ledger, chain: Simulated, bound: Mapping[str, str]) -> None:
        self.database, self.ledger, self.chain = database, ledger, chain
        self.clock = support.Watch()
        self.custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=self._of_wallets,
            freeze_wallet=self._freeze,
            served=[
                Served(
                    chain=cast("Any", chain),
                    terms=TERMS,
                    showing=cast("Showing", showing),
                    withdrawing=WITHDRAWING,
                    reconciling=ReconcilingTerms(bound=bound),
                )
            ],
            signer=cast("Any", Signer()),
            clock=self.clock,
        )

    async def _of_wallets(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], UUID]:
        del connection
        return {pair: pair[0] for pair in pairs}

    async def _freeze(self, connection: Connection, wallet_id: UUID) -> None: ...

    async def wallet(self, asset: str | None = None) -> tuple[UUID, str]:
        """A new one, whose id is that of its account, and its address."""
        wallet_id = ids.new()
        await self.ledger.open_accounts(accounts=[NewAccount(id=wallet_id, asset=asset or self.chain.coin)])
        (given,) = await self.custody.addresses.issue(chain=self.chain.name, wallet_ids=[wallet_id])
        return wallet_id, given.address

    async def read(self) -> None:
        """All blocks that there are."""
        while await self.custody.watchers[self.chain.name].step():
            pass

    async def paid(self, amount: int, *, asset: str | None = None) -> tuple[UUID, str]:
        """A wallet with a deposit that may leave, and the house with what fees cost."""
        wallet, address = await self.wallet(asset)
        self.chain.fund(address, amount, token=TOKEN if asset == TOKEN_ASSET else None)
        self.chain.mine(3)
        await self.read()
        return wallet, address

    async def work(self) -> None:
        """What a worker does a minute later."""
        self.clock.ahead += timedelta(minutes=1)
        if self.chain.model != "coins":
            await self.custody.withdrawals.sweep(chain=self.chain.name)
        await self.custody.withdrawals.work(chain=self.chain.name)

    async def withdraw(self, wallet: UUID, amount: int, address: str = "sim-away") -> Withdrawal:
        new = NewWithdrawal(
            wallet_id=wallet,
            owner_id=wallet,
            account_id=wallet,
            asset=self.chain.coin,
            amount=amount,
            address=address,
            confirmed=True,
        )
        content = msgspec.json.encode(new)
        named = idempotency.key(owner=wallet, text=str(ids.new()), operation="test", content=content)
        return (await self.custody.withdrawals.request(new=new, key=named)).withdrawal

    async def look(self, withdrawal: Withdrawal) -> Withdrawal:
        return await self.custody.withdrawals.withdrawal(withdrawal_id=withdrawal.id)

    async def reconciled(self, asset: str | None = None) -> Report:
        """The coin of the chain, or another asset of it."""
        found = (await self.custody.reconciling.run(chain=self.chain.name)).items
        return next(one for one in found if one.asset == (asset or self.chain.coin))

    async def names(self) -> dict[str, str]:
        """What explains the difference, when nothing is left of it."""
        report = await self.reconciled()
        assert (report.outcome, report.difference.strip("0.")) == ("clean", ""), report
        return {one.name: one.amount for one in report.explained}

    async def invent(self, amount: int) -> None:
        """The ledger says that so much more is on the chain; less than zero is less."""
        omnibus = await self.custody.house.account(kind="omnibus", asset=self.chain.coin)
        fees = await self.custody.house.account(kind="fees", asset=self.chain.coin)
        debit, credit = (omnibus, fees) if amount > 0 else (fees, omnibus)
        transfer = NewTransfer(
            debit_account=debit, credit_account=credit, amount=abs(amount), asset=self.chain.coin, kind="adjustment"
        )
        key = idempotency.key(owner=ids.new(), text="k", operation="test", content=b"")
        (await self.ledger.post(key=key, transfers=[transfer])).single()

    async def book_from_outside(self, account: UUID, amount: int) -> None:
        """An operator books so much as if it had come from elsewhere than from the chain; less than zero goes back."""
        outside = await self.ledger.external_account(asset=self.chain.coin)
        debit, credit = (outside, account) if amount > 0 else (account, outside)
        transfer = NewTransfer(
            debit_account=debit, credit_account=credit, amount=abs(amount), asset=self.chain.coin, kind="deposit"
        )
        key = idempotency.key(owner=ids.new(), text="k", operation="test", content=b"")
        (await self.ledger.post(key=key, transfers=[transfer])).single()

    async def told(self) -> list[tuple[str, bool]]:
        """What was told of reconciliations, and whether withdrawals were stopped then."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
        found = [msgspec.json.decode(row["payload"]) for row in rows]
        return [
            (event["type"].split(".")[1], event["data"]["stopped"])
            for event in found
            if event["type"].startswith("custody.")
        ]


@asynccontextmanager
async def opened(dsn: str, name: str, path: Path, bound: Mapping[str, str] | None = None) -> AsyncIterator[Desk]:
    """A desk over this database and the chain in this file."""
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    chain = Simulated(name, path)
    try:
        if name == "ethereum" and TOKEN_ASSET not in await ledger.assets():
            token = Asset(code=TOKEN_ASSET, scale=2, kind="token", name="Token", chain=name, contract=TOKEN)
            await ledger.add_asset(asset=token)
        if not chain.height:
            chain.mine()
        desk = Desk(database, ledger, chain, bound or {})
        await desk.custody.addresses.set_up(chain=name)
        await desk.read()
        yield desk
    finally:
        await ledger.close()
        await database.close()


__all__ = ["HOT", "TOKEN", "TOKEN_ASSET", "Desk", "opened"]
