"""Money that leaves for a chain, at most once, whatever is killed.

1  stored         what is asked for, and the key of its hold
2  held           the ledger holds the money
3  allocated      what the transaction uses up is stored, with the transaction
4 to 8            see `sending`: built, signed, handed over, answered, mined
9  decided        who is charged what is stored
10 posted         the ledger pays it out of the holds and gives back the rest
11 ended          that is stored, and told
12 house's part   what nobody is charged is posted from the house's fees
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args
from uuid import UUID

from billfold.chains.outside_port import Outside
from billfold.chains.port import Chain, Speed
from billfold.custody import errors
from billfold.custody.contracts.deposits import Sender
from billfold.custody.contracts.treasury import Child, Coins
from billfold.custody.contracts.withdrawals import (
    NewWithdrawal,
    Offer,
    Prices,
    Quote,
    Requested,
    Withdrawal,
    WithdrawalStatus,
    WithdrawalTerms,
)
from billfold.custody.service.house import House
from billfold.custody.service.withdrawals.allocating import Allocating
from billfold.custody.service.withdrawals.asking import Asking
from billfold.custody.service.withdrawals.banding import Banding
from billfold.custody.service.withdrawals.children import Children
from billfold.custody.service.withdrawals.ending import Ending
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.hurrying import Hurrying
from billfold.custody.service.withdrawals.merging import Merging
from billfold.custody.service.withdrawals.opening import Opening
from billfold.custody.service.withdrawals.outside import HandingOut
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.service.withdrawals.refunding import Refunding
from billfold.custody.service.withdrawals.replacing import Replacing
from billfold.custody.service.withdrawals.seeking import UNSURE
from billfold.custody.service.withdrawals.sending import Sending
from billfold.custody.service.withdrawals.sweeping import Sweeping
from billfold.custody.store import refunds
from billfold.custody.store import withdrawals as store
from billfold.custody.store.withdrawals import Seen
from billfold.kernel import money, paging
from billfold.kernel.clock import Clock
from billfold.kernel.idempotency import Key
from billfold.ledger import Ledger
from billfold.ledger.contracts import Hold
from billfold.ledger.errors import AmountNotPositive
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import SigningService

#: How far the transaction of an allocated withdrawal is, in its owner's words.
_BY_TX: Mapping[str, WithdrawalStatus] = {
    "signed": "signed",
    "broadcasting": "uncertain",
    "sent": "sent",
    "uncertain": "uncertain",
    "mined": "mined",
    "final": "mined",
}


def status_of(seen: Seen) -> WithdrawalStatus:
    """How far it is, but for an address that is waited for."""
    if seen.row.state != "allocated":
        return seen.row.state
    return "uncertain" if seen.row.reason == UNSURE else _BY_TX.get(seen.tx_state or "", "allocated")


class Withdrawals:
    """Takes withdrawals, and does their steps. Any number of processes may."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        house: House,
        chains: Mapping[str, Chain],
        terms: Mapping[str, WithdrawalTerms],
        signer: SigningService | None,
        clock: Clock,
        outside: Mapping[str, Callable[[], Outside]] | None = None,
    ) -> None:
        """`chains` and `terms` by the chain's name; `outside` of those whose keys are elsewhere."""
        self._parts = Parts(
            database=database,
            ledger=ledger,
            house=house,
            chains=chains,
            terms=terms,
            signer=signer,
            clock=clock,
            outside=outside or {},
        )
        fees = Fees(self._parts)
        self._asking = Asking(self._parts, fees)
        self._ending = Ending(self._parts, self._asking)
        self._allocating = Allocating(self._parts, fees)
        #: What is signed elsewhere.
        self.outside = HandingOut(self._parts, self._ending)
        self._sending = Sending(self._parts, self._ending)
        self._replacing = Replacing(self._parts, self._asking, self._ending, fees)
        self._sweeping = Sweeping(self._parts, fees)
        self._opening = Opening(self._parts, fees)
        self._refunding = Refunding(self._parts, self._asking, fees)
        self._banding = Banding(self._parts, fees)
        self._merging = Merging(self._parts, fees)
        self._hurrying = Hurrying(self._parts, fees)
        self._children = Children(self._parts, fees, self._hurrying)

    @property
    def chains(self) -> Mapping[str, Chain]:
        """Those that are served."""
        return self._parts.chains

    async def quote(self, *, asset: str, amount: int, address: str, memo: str | None, speed: Speed) -> Quote:
        """What it would cost to send so much there. While no node answers it is what is known from before.

        Raises:
            AssetUnknown, AssetNotOnChain, AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum.
            FeesUnknown, AddressesUnavailable, NodeWrong.
        """
        return await self._asking.quote(asset=asset, amount=amount, address=address, memo=memo, speed=speed)

    async def prices(self, *, chain: str, amount: str, to: str, asset: str | None, memo: str | None) -> Prices:
        """What it would cost at each speed, in decimal text.

        Raises:
            ChainUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge, AmountNotPositive, and as `quote`.
        """
        coin = self._parts.chain(chain).coin
        found, carried = await self._parts.asset(asset or coin)
        if carried.name != chain:
            raise errors.AssetNotOnChain(pointer="/asset")
        units = money.parse(amount, found.scale, pointer="/amount")
        if units <= 0:
            raise AmountNotPositive(pointer="/amount")
        quotes = {
            speed: await self.quote(asset=found.code, amount=units, address=to, memo=memo, speed=speed)
            for speed in get_args(Speed)
        }
        coin_scale = (await self._parts.ledger.asset(code=coin)).scale
        offers = [
            Offer(
                speed=speed,
                network_fee=money.format(one.network_fee, found.scale),
                service_fee=money.format(one.service_fee, found.scale),
                arrives=money.format(one.amount, found.scale),
                takes=money.format(one.takes, found.scale),
                house_fee=money.format(one.house_fee, coin_scale),
            )
            for speed, one in quotes.items()
        ]
        one = quotes["normal"]
        return Prices(
            chain=chain,
            asset=found.code,
            coin=coin,
            to=one.address,
            memo=one.memo,
            offers=offers,
            age_s=one.age_s,
            stale=one.stale,
        )

    async def knows(self, *, wallet_id: UUID, chain: str, address: str, memo: str | None) -> bool:
        """Whether a wallet has named the address before, and long enough ago.

        Raises:
            ChainUnknown, AddressInvalid.
        """
        return await self._asking.knows(wallet_id=wallet_id, chain=chain, address=address, memo=memo)

    async def request(self, *, new: NewWithdrawal, key: Key) -> Requested:
        """Take a withdrawal and hold its money; the same `key` again gets the same answer.

        Raises:
            IdempotencyKeyReused, AssetUnknown, AssetNotOnChain, AddressInvalid, AddressIsOurs, DestinationRefused,
            AmountBelowMinimum, WithdrawalsStopped, FeeAboveMaximum, InsufficientFunds, AccountFrozen, AccountClosed.
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong.
        """
        withdrawal_id, replayed = await self._asking.request(new=new, key=key)
        return Requested(await self.withdrawal(withdrawal_id=withdrawal_id), replayed)

    async def refund(self, *, deposit_id: UUID, sender: Sender, key: Key) -> bool:
        """Send what has arrived for nobody known to an address; the same `key` again is no change, and says so.

        Raises:
            IdempotencyKeyReused, DepositUnknown, DepositNotUnmatched, DepositNotReleasable, WithdrawalsStopped.
            AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum.
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong.
        """
        return await self._refunding.request(deposit_id=deposit_id, sender=sender, key=key)

    async def bump_refund(self, *, deposit_id: UUID, key: Key) -> None:
        """Offer more for the place in a block of what sends a deposit back; the house bears what that costs more.

        Raises:
            DepositNotRefunded, WithdrawalTooLate, IdempotencyKeyReused, FeesUnknown, NodeUnavailable, NodeWrong.
        """
        async with self._parts.database.connection() as connection:
            found = (await refunds.latest(connection, [deposit_id])).get(deposit_id)
        if found is None or found[0].failed:
            raise errors.DepositNotRefunded
        await self._replacing.bump(withdrawal_id=found[0].withdrawal_id, key=key)

    async def has_hold(self, *, hold: Hold) -> bool:
        """Whether this hold of the ledger is a withdrawal's, which alone ends it: its money may be on a chain."""
        try:
            said = UUID(hold.reference)
        except ValueError:
            said = None
        async with self._parts.database.connection() as connection:
            return await store.has_hold(connection, hold.id, withdrawal_id=said)

    async def withdrawal(self, *, withdrawal_id: UUID) -> Withdrawal:
        """One.

        Raises:
            WithdrawalUnknown
        """
        async with self._parts.database.connection() as connection:
            seen = await store.find(connection, withdrawal_id)
        if seen is None:
            raise errors.WithdrawalUnknown
        return self._shown(seen)

    async def page(
        self, *, wallet_id: UUID, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Withdrawal]:
        """Those of a wallet, the newest first.

        Raises:
            InvalidCursor, InvalidLimit
        """
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._parts.database.connection() as connection:
            found = await store.page(connection, wallet_id=wallet_id, before=before, limit=size + 1)
        return paging.cut([self._shown(seen) for seen in found], size, place=lambda one: one.id)

    async def cancel(self, *, withdrawal_id: UUID) -> Withdrawal:
        """Give it back if that is still possible. Again is no change.

        Raises:
            WithdrawalUnknown, WithdrawalTooLate.
        """
        await self._replacing.cancel(withdrawal_id=withdrawal_id)
        return await self.withdrawal(withdrawal_id=withdrawal_id)

    async def bump(self, *, withdrawal_id: UUID, key: Key) -> Withdrawal:
        """Offer more for its place in a block; the same `key` again is no change.

        Raises:
            WithdrawalUnknown, WithdrawalTooLate, IdempotencyKeyReused, InsufficientFunds.
            FeesUnknown, NodeUnavailable, NodeWrong.
        """
        await self._replacing.bump(withdrawal_id=withdrawal_id, key=key)
        return await self.withdrawal(withdrawal_id=withdrawal_id)

    async def work(self, *, chain: str) -> int:
        """Take all that is due on a chain a step further, and say how much there was.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        served = self._parts.chain(chain)
        done = await self._ending.round(served)
        done += await self._allocating.round(served)
        return done + await self._sending.round(served)

    async def sweep(self, *, chain: str) -> int:
        """Have deposits that are worth it brought to where withdrawals are paid from; `work` does the steps.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        return await self._sweeping.round(self._parts.chain(chain))

    async def open(self, *, chain: str) -> int:
        """Have channels, nonces and trustlines opened that are wanted and missing; `work` does the steps.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        return await self._opening.round(self._parts.chain(chain))

    async def keep_bands(self, *, chain: str) -> int:
        """Have what is too much at the hot address brought to the warm one, and ask operators for what is too little.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        return await self._banding.round(self._parts.chain(chain))

    async def merge(self, *, chain: str) -> int:
        """Have many small coins made into one, if that is cheap now.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        return await self._merging.round(self._parts.chain(chain))

    async def hurry(self, *, chain: str) -> int:
        """Have more offered for transactions of the house's own that no block takes.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        return await self._hurrying.round(self._parts.chain(chain))

    async def hasten(self, *, chain: str, chain_tx: str, speed: Speed) -> Child:
        """Get a transaction that pays us into a block, by a child that pays for both; again it is the same child.

        Raises:
            ChainUnknown, NoCoins, TransactionNotWaiting, TransactionNotHurried.
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong.
        """
        return await self._children.hasten(self._parts.chain(chain), chain_tx, speed=speed)

    async def coins(self, *, chain: str) -> Coins:
        """What the coins of the house are now.

        Raises:
            ChainUnknown, NoCoins, NodeUnavailable, NodeWrong, FeesUnknown.
        """
        served = self._parts.chain(chain)
        if served.model != "coins":
            raise errors.NoCoins
        return await self._merging.counted(served)

    async def measure_sweeps(self, *, chain: str) -> None:
        """Tell the metrics what waits to be swept.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        await self._sweeping.measure(self._parts.chain(chain))

    def _shown(self, seen: Seen) -> Withdrawal:
        row = seen.row
        status = status_of(seen)
        if row.state == "held" and row.waits_until is not None and row.waits_until > self._parts.now():
            status = "waiting"
        return Withdrawal(
            id=row.id,
            wallet_id=row.wallet_id,
            chain=row.chain,
            asset=row.asset,
            amount=row.amount,
            service_fee=row.service_fee,
            network_fee=row.network_fee,
            fee_paid=row.fee_paid,
            address=row.address,
            memo=row.memo,
            speed=row.speed,
            status=status,
            chain_tx=row.chain_tx or seen.tx_chain_tx,
            height=seen.tx_height,
            waits_until=row.waits_until,
            reason=row.reason,
            cancelling=row.cancel_asked and row.outcome is None,
            created_at=row.created_at,
            changed_at=row.changed_at,
        )
