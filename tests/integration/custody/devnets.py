"""A house on a chain of this machine's own, whose rules are the real ones; and processes of it that die.

Adapter, watcher, queue and signatures are real. `python -m tests.integration.custody.devnets` takes jobs as
`tests.integration.withdrawals.dying` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any, cast
from uuid import UUID

import httpx2
import msgspec

from billfold.chains.nodes import Nodes
from billfold.chains.port import Signed
from billfold.chains.signing_port import Place, Purpose
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import DepositAddress, NewWithdrawal, Terms, WithdrawalTerms
from billfold.custody.service.watching import Watcher
from billfold.custody.store import deposits
from billfold.kernel import idempotency
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Connection, Database
from billfold.signer.contracts import Expected
from tests.integration.custody.support import NamedPlaces
from tests.integration.withdrawals import dying
from tests.integration.withdrawals.simulated import COINS, MODELS
from tests.integration.withdrawals.support import SCALES, Watch

#: Blocks between two looks: on Solana many are needed until one is final.
BLOCKS = {"solana": 8}
#: More looks than anything takes.
LOOKS_MAX = 60

#: What a deposit comes to. The process ends after the last of these calls, or before it; it has made those before that.
DEPOSITING: Mapping[str, tuple[str, Callable[[House], Sequence[tuple[Any, str]]]]] = {
    "deposit 2 before COMMIT": ("after", lambda _: [(deposits, "record")]),
    "deposit 2 recorded": ("after", lambda house: [(deposits, "record"), (house.watcher._recording, "record")]),
    "deposit 3 chosen": ("before", lambda house: [(house.ledger, "post_many")]),
    "deposit 4 posted": ("after", lambda house: [(house.ledger, "post_many")]),
    "deposit 5 credited": ("after", lambda house: [(house.watcher._crediting, "_ask")]),
}
#: And a withdrawal, by the words of `dying`.
LEAVING = (
    "3 allocated",
    "5 signed",
    "6 handed over",
    "7 answered",
    "8 mined",
    "9 decided",
    "10 posted",
)


class Where(msgspec.Struct):
    """All that a process has to know."""

    dsn: str
    chain: str
    node: str
    #: Where blocks are asked for.
    control: str
    seed: bytes
    ahead_s: float = 0.0


class Pen(NamedPlaces):
    """Has the keys, and signs what is what was expected."""

    def __init__(self, chain: str, seed: bytes) -> None:
        super().__init__()
        self._seed = seed
        self._keys = import_module(f"billfold.chains.{chain}.keys")
        self._signing = import_module(f"billfold.chains.{chain}.signing")

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        del tree_id
        found: list[str] = self._keys.addresses(
            self._seed, purpose=purpose, first=first, count=count, network="sandbox"
        )
        return found

    async def sign(self, **asked: Any) -> Signed:
        payload: bytes = asked["payload"]
        places: Mapping[str, Place] = asked["places"]
        expected: Expected = asked["expected"]
        shown = self._signing.read(payload, network="sandbox")
        assert set(expected.payments) <= set(shown.payments)
        assert {one.address for one in set(shown.payments) - set(expected.payments)} <= set(places)
        assert shown.fee_max <= expected.fee_max
        signed: Signed = self._signing.sign(payload, self._seed, places=places, network="sandbox")
        return signed


class House:
    """Custody over one chain; a wallet's account has the wallet's id."""

    def __init__(self, where: Where, database: Database, ledger: Ledger) -> None:
        name = where.chain
        self.where, self.database = where, database
        self.ledger: Ledger = ledger
        self.clock = Watch()
        self.clock.ahead = timedelta(seconds=where.ahead_s)
        self.chain = import_module(f"billfold.chains.{name}").open(
            Nodes(network="sandbox", urls=[where.node], timeout_s=30)
        )
        self.signer = Pen(name, where.seed)
        served = Served(
            chain=self.chain,
            terms=Terms(credit_after=1, release_after=1, reorg_limit=10),
            showing=cast("Showing", import_module(f"billfold.chains.{name}.showing")),
            withdrawing=WithdrawalTerms(confirmations=1, house_fee_max="0.01"),
        )
        self.custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=self._of_wallets,
            freeze_wallet=self._freeze,
            served=[served],
            signer=self.signer,
            clock=self.clock,
        )
        self.withdrawals = self.custody.withdrawals
        self.watcher: Watcher = self.custody.watchers[name]

    async def _of_wallets(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], UUID]:
        del connection
        return {pair: pair[0] for pair in pairs}

    async def _freeze(self, connection: Connection, wallet_id: UUID) -> None:
        del connection
        raise AssertionError(f"nothing of {wallet_id} was taken back")

    async def mine(self) -> None:
        """As somebody else does, who has nothing to do with us."""
        blocks = {"blocks": BLOCKS.get(self.where.chain, 1)}
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            (await client.post(f"{self.where.control}/devnet/mine", json=blocks)).raise_for_status()

    async def read(self) -> None:
        """All blocks that there are."""
        while await self.watcher.step():
            pass

    async def go_on(self) -> None:
        """What a worker does ten seconds later, and a block."""
        self.clock.ahead += timedelta(seconds=10)
        await self.read()
        await self.withdrawals.work(chain=self.chain.name)
        await self.mine()

    async def until(self, done: Callable[[], Any]) -> None:
        """Go on until it is so."""
        for _ in range(LOOKS_MAX):
            if await done():
                return
            await self.go_on()
        raise AssertionError("it does not come to that")

    async def withdraw(self, wallet_id: UUID, amount: int, address: str) -> UUID:
        """As who may ask more than once for the same address."""
        new = NewWithdrawal(
            wallet_id=wallet_id,
            owner_id=wallet_id,
            account_id=wallet_id,
            asset=COINS[self.chain.name],
            amount=amount,
            address=address,
            confirmed=True,
        )
        key = idempotency.key(owner=wallet_id, text=address, operation="test", content=b"")
        return (await self.withdrawals.request(new=new, key=key)).withdrawal.id

    async def given(self, wallet_id: UUID) -> DepositAddress:
        """Where to pay to a wallet."""
        (given,) = await self.custody.addresses.issue(chain=self.chain.name, wallet_ids=[wallet_id])
        return given

    async def balance(self, address: str) -> int:
        height = (await self.chain.head()).height
        return int(await self.chain.balance(address, token=None, height=height))

    async def booked(self, account: UUID) -> int:
        return (await self.ledger.accounts(ids=[account]))[0].posted

    async def is_conserved(self) -> bool:
        """Whether our addresses hold what the ledger says, now."""
        omnibus = await self.custody.house.account(kind="omnibus", asset=COINS[self.chain.name])
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT DISTINCT address FROM custody.addresses")
        return sum([await self.balance(row["address"]) for row in rows]) == -await self.booked(omnibus)


def unit(chain: str) -> int:
    """One of the coin."""
    return int(10 ** SCALES[chain])


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[House]:
    database = await Database.connect(where.dsn, name="test")
    ledger = await Ledger.start(database=database)
    house = House(where, database, ledger)
    try:
        yield house
    finally:
        await house.chain.close()
        await ledger.close()
        await database.close()


def _rig(house: House, step: str) -> None:
    if step in LEAVING:
        dying.rig(cast("Any", house), step)
        return
    when, calls = DEPOSITING[step]
    *earlier, (owner, name) = calls(house)
    missing = {called for _, called in earlier}

    for one, called in earlier:
        _follow(one, called, after=lambda called=called: missing.discard(called))  # type: ignore[misc]

    def end() -> None:
        if not missing:
            dying.die()

    _follow(owner, name, **{when: end})


def _follow(owner: Any, name: str, *, before: Callable[[], object] = bool, after: Callable[[], object] = bool) -> None:
    call = getattr(owner, name)

    async def followed(*given: Any, **named: Any) -> Any:
        before()
        answer = await call(*given, **named)
        after()
        return answer

    setattr(owner, name, followed)


async def _act(job: list[Any]) -> None:
    told, step, wallet, amount, address = job
    async with opened(msgspec.convert(told, Where)) as house:
        _rig(house, step)
        if address:
            await house.withdraw(UUID(wallet), amount, address)
        for _ in range(LOOKS_MAX):
            await house.go_on()


if __name__ == "__main__":
    for chain in MODELS:
        # What every process needs is imported before they part.
        for part in ("keys", "signing", "showing", "adapter" if chain == "stellar" else "chain"):
            import_module(f"billfold.chains.{chain}.{part}")
    dying.main(_act)
