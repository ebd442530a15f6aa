"""What all steps of a withdrawal share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from billfold.chains.outside_port import Outside
from billfold.chains.port import Chain
from billfold.custody import errors
from billfold.custody.contracts.withdrawals import WithdrawalTerms
from billfold.custody.events.withdrawals import WithdrawalChanged, WithdrawalEventType, withdrawal_event
from billfold.custody.service.house import House
from billfold.custody.store.withdrawals import Row
from billfold.kernel import ids, money, origin
from billfold.kernel.assets import Asset
from billfold.kernel.clock import Clock
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.signer.contracts import SigningService

#: Who takes something in hand and dies holds it up for so long.
LEASE = timedelta(seconds=30)
#: What a node says for sure about the same transaction changes no sooner.
LOOK_PAUSE = timedelta(seconds=1)
#: So many transactions share one allocation at most: each costs its owner more, and is watched for.
REPLACEMENTS_MAX = 10


class Overtaken(Exception):
    """Somebody else has taken it in hand meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the steps work with."""

    database: Database
    ledger: Ledger
    house: House
    chains: Mapping[str, Chain]
    terms: Mapping[str, WithdrawalTerms]
    #: None where nothing signs: then what is to be signed waits.
    signer: SigningService | None
    clock: Clock
    #: Of chains whose keys are elsewhere, by name: what loads their module `outside`.
    outside: Mapping[str, Callable[[], Outside]] = field(default_factory=dict)

    def chain(self, name: str) -> Chain:
        """The chain of this name.

        Raises:
            ChainUnknown
        """
        if name not in self.chains:
            raise errors.ChainUnknown(pointer="/chain")
        return self.chains[name]

    async def asset(self, code: str) -> tuple[Asset, Chain]:
        """An asset and the chain that carries it.

        Raises:
            AssetUnknown, AssetNotOnChain.
        """
        asset = await self.ledger.asset(code=code)
        if asset.chain is None or asset.chain not in self.chains:
            raise errors.AssetNotOnChain(pointer="/asset")
        return asset, self.chains[asset.chain]

    def now(self) -> datetime:
        """The present instant."""
        return self.clock.now()

    async def tell(
        self, connection: Connection, kind: WithdrawalEventType, row: Row, *, chain_tx: str | None = None
    ) -> None:
        """Publish what has become of a withdrawal of a wallet, whose row the caller has locked."""
        await self.tell_all(connection, kind, [(row, chain_tx)])

    async def tell_all(
        self, connection: Connection, kind: WithdrawalEventType, rows: Sequence[tuple[Row, str | None]]
    ) -> None:
        """The same of many, each with its transaction."""
        found = [await self._event(kind, row, chain_tx) for row, chain_tx in rows]
        told = [outbox.Told(event=event, of=origin.current()) for event in found if event is not None]
        if told:
            await outbox.append_all(connection, told)

    async def _event(self, kind: WithdrawalEventType, row: Row, chain_tx: str | None) -> Event | None:
        if row.wallet_id is None or row.owner_id is None:
            return None
        scale = (await self.ledger.asset(code=row.asset)).scale
        in_coin = row.token is None

        def written(units: int) -> Money:
            return Money(money.format(units, scale), row.asset)

        changed = WithdrawalChanged(
            withdrawal_id=row.id,
            wallet_id=row.wallet_id,
            owner_id=row.owner_id,
            chain=row.chain,
            money=written(row.amount),
            service_fee=written(row.service_fee),
            network_fee=written(row.fee_paid if in_coin and row.fee_paid is not None else row.network_fee),
            address=row.address,
            memo=row.memo,
            chain_tx=chain_tx or row.chain_tx,
            reason=row.reason,
        )
        return withdrawal_event(event_id=str(ids.new()), kind=kind, changed=changed, time=self.now())

    async def house_fee_max(self, chain: Chain) -> int:
        """The most that the house pays for the network fee of one transaction, in the chain's own coin."""
        return money.threshold(self.terms[chain.name].house_fee_max, (await self.ledger.asset(code=chain.coin)).scale)

    async def omnibus(self, asset: str) -> UUID:
        """What the chain holds of it for the house, in the ledger."""
        return await self.house.account(kind="omnibus", asset=asset)

    async def warm(self, asset: str) -> UUID:
        """What the operator's warm address holds of it for the house, in the ledger."""
        return await self.house.account(kind="warm", asset=asset)

    async def fees(self, asset: str) -> UUID:
        """What the house earns and pays of it."""
        return await self.house.account(kind="fees", asset=asset)
