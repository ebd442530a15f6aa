"""The first steps of a withdrawal: what it would cost, whether it would arrive, and the hold on the money.

Step 1 stores what is asked for, with the key under which the ledger will know the hold. Step 2 places the hold. Whoever
comes after a process that died between the two places it with the same key.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import msgspec

from billfold.chains.errors import NodeUnavailable
from billfold.chains.port import Chain, Destination, Payment, Speed
from billfold.custody import errors
from billfold.custody.contracts.withdrawals import NewWithdrawal, Quote
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals import returned
from billfold.custody.service.withdrawals.fees import Fees, Rates
from billfold.custody.service.withdrawals.parts import LEASE, Parts
from billfold.custody.store import sources
from billfold.custody.store import withdrawals as store
from billfold.custody.store.withdrawals import Row
from billfold.kernel import ids, money
from billfold.kernel.assets import Asset
from billfold.kernel.errors import Unavailable
from billfold.kernel.idempotency import IdempotencyKeyReused, Key
from billfold.ledger.contracts import NewHold
from billfold.ledger.errors import LedgerError


class _KeyTaken(Exception):
    """There is a withdrawal with the idempotency key."""


class Target(msgspec.Struct, frozen=True):
    """Where an asset is to go, and what is known here of that."""

    chain: Chain
    asset: Asset
    to: Destination
    known: sources.Known


class Asking:
    """Takes withdrawals."""

    def __init__(self, parts: Parts, fees: Fees) -> None:
        self._parts = parts
        self._fees = fees

    async def quote(self, *, asset: str, amount: int, address: str, memo: str | None, speed: Speed) -> Quote:
        """What it would cost to send so much there. While no node answers it is what is known from before.

        Raises:
            AssetUnknown, AssetNotOnChain, AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum.
            AmountTooLarge, FeesUnknown, AddressesUnavailable, NodeWrong.
        """
        target = await self.target(asset=asset, address=address, memo=memo)
        with suppress(NodeUnavailable):
            target = await self.examined(target, amount)
        return await self._quoted(target, amount, speed)

    async def request(self, *, new: NewWithdrawal, key: Key) -> tuple[UUID, bool]:
        """Take a withdrawal and hold its money; or answer as the same request was answered before.

        Raises:
            IdempotencyKeyReused, WithdrawalsStopped, FeeAboveMaximum, NodeUnavailable, and whatever `quote` raises.
            InsufficientFunds, AccountFrozen, AccountClosed, and whatever else refuses a hold.
        """
        async with self._parts.database.connection() as connection:
            earlier = await store.earlier(connection, key)
        if earlier is None:
            try:
                row = await self._inserted(new, await self._prepared(new), key)
            except _KeyTaken:
                pass
            else:
                await self.hold(row)
                return row.id, False
            async with self._parts.database.connection() as connection:
                earlier = await store.earlier(connection, key)
        assert earlier is not None, "it is there by now"
        if earlier[1] != key.fingerprint:
            raise IdempotencyKeyReused
        await self._again(earlier[0])
        return earlier[0], True

    async def hold(self, row: Row) -> None:
        """Place the hold, and write down what became of it.

        Raises:
            LedgerError: the refusal.
        """
        try:
            hold_id = await self.placed(row, 1, row.total)
        except LedgerError as refusal:
            if not isinstance(refusal, Unavailable):
                await self._refused(row, refusal)
            raise
        now = self._parts.now()
        async with self._parts.database.connection() as connection:
            await store.set_held(connection, row, hold_id, now=now, next_at=max(now, row.waits_until or now))

    async def placed(self, row: Row, number: int, amount: int) -> UUID:
        """The hold of this number; there is one, however often it is asked for.

        Raises:
            LedgerError: the refusal.
        """
        hold = NewHold(
            account=row.account_id, amount=amount, asset=row.asset, reference=str(row.id), description=row.address
        )
        change = await self._parts.ledger.place_hold(key=rules.key(row.id, f"hold-{number}"), hold=hold)
        return change.hold.id

    async def knows(self, *, wallet_id: UUID, chain: str, address: str, memo: str | None) -> bool:
        """Whether a wallet has named the address before, and long enough ago."""
        canonical, within = self._parts.chain(chain).canonical(address)
        async with self._parts.database.connection() as connection:
            until = await sources.waits_until(
                connection, wallet_id, chain=chain, address=canonical, memo=within or memo
            )
        return until is not None and until <= self._parts.now()

    async def _again(self, withdrawal_id: UUID) -> None:
        """Repeat what the first request was answered with: a hold that was refused is refused again."""
        async with self._parts.database.transaction() as connection:
            seen = await store.find(connection, withdrawal_id)
        assert seen is not None
        if seen.row.state == "requested":
            await self.hold(seen.row)
        elif seen.row.state == "failed" and seen.row.outcome is None:
            await self.placed(seen.row, 1, seen.row.total)

    async def _prepared(self, new: NewWithdrawal) -> Row:
        target = await self.target(asset=new.asset, address=new.address, memo=new.memo)
        if target.known.stopped:
            raise errors.WithdrawalsStopped(pointer="/asset")
        target = await self.examined(target, new.amount)
        quote = await self._quoted(target, new.amount, new.speed)
        if new.max_fee is not None and quote.fees > new.max_fee:
            raise _too_dear(quote, target.asset)
        now = self._parts.now()
        return Row(
            id=ids.new(),
            wallet_id=new.wallet_id,
            owner_id=new.owner_id,
            account_id=new.account_id,
            chain=target.chain.name,
            asset=new.asset,
            token=target.asset.contract,
            amount=new.amount,
            service_fee=quote.service_fee,
            network_fee=quote.network_fee,
            opening=quote.opening,
            address=target.to.address,
            memo=target.to.memo,
            speed=new.speed,
            state="requested",
            waits_until=None,
            created_at=now,
            changed_at=now,
        )

    async def _inserted(self, new: NewWithdrawal, row: Row, key: Key) -> Row:
        """It as it is stored, and its address as named.

        Raises:
            _KeyTaken: the key has one already; nothing is named.
        """
        now = row.created_at
        wait = self._parts.terms[row.chain].address_wait
        async with self._parts.database.transaction() as connection:
            until = await sources.name_destination(
                connection,
                new.wallet_id,
                chain=row.chain,
                address=row.address,
                memo=row.memo,
                until=now if new.confirmed else now + wait,
                now=now,
            )
            row = msgspec.structs.replace(row, waits_until=until if until > now else None)
            if not await store.insert(connection, row, key, next_at=now + LEASE):
                raise _KeyTaken
            await self._parts.tell(connection, "withdrawal.requested.v1", row)
        return row

    async def _refused(self, row: Row, refusal: LedgerError) -> None:
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            if await store.change(connection, row, state="failed", now=now, next_at=now, reason=refusal.code):
                row = msgspec.structs.replace(row, reason=refusal.code)
                if row.wallet_id is None:
                    await returned.ended(connection, self._parts, row, paid=False)
                elif row.waits_until is not None:
                    await sources.forget_destination(
                        connection, row.wallet_id, chain=row.chain, address=row.address, memo=row.memo
                    )
                await self._parts.tell(connection, "withdrawal.failed.v1", row)

    async def target(self, *, asset: str, address: str, memo: str | None) -> Target:
        """Where it is to go, as the chain writes that, and what is known here.

        Raises:
            AssetUnknown, AssetNotOnChain, AddressInvalid, AddressIsOurs.
        """
        found, chain = await self._parts.asset(asset)
        canonical, within = chain.canonical(address)
        async with self._parts.database.connection() as connection:
            known = await sources.known(connection, chain=chain.name, asset=asset, address=canonical)
        if known.ours:
            raise errors.AddressIsOurs(pointer="/address")
        return Target(chain, found, Destination(address=canonical, memo=within or memo), known)

    async def examined(self, target: Target, amount: int) -> Target:
        """It with what the chain says of where so much is to go, if it would arrive there.

        Raises:
            DestinationRefused, NodeUnavailable, NodeWrong.
        """
        to, token = target.to, target.asset.contract
        found = await target.chain.examine(to.address, memo=to.memo, token=token, amount=amount)
        if found.obstacle is not None:
            refusal = errors.DestinationRefused(found.obstacle_detail or None, pointer="/address")
            refusal.extensions = {"obstacle": found.obstacle}
            raise refusal
        return msgspec.structs.replace(target, to=found)

    async def estimate(self, target: Target, amount: int, *, speed: Speed, rates: Rates) -> int:
        """The highest network fee of a transaction that pays so much there.

        Raises:
            AddressesUnavailable: the house has no address yet to pay it from.
            FeesUnknown
        """
        if target.known.hot is None:
            raise errors.AddressesUnavailable
        payment = Payment(address=target.to.address, amount=amount, token=target.asset.contract, memo=target.to.memo)
        return await self._fees.estimate(target.chain, payment, source=target.known.hot, speed=speed, rates=rates)

    async def _quoted(self, target: Target, amount: int, speed: Speed) -> Quote:
        chain, asset, to = target.chain, target.asset, target.to
        terms = self._parts.terms[chain.name]
        if amount < max(money.threshold(terms.minimum.get(asset.code, "0"), asset.scale), 1):
            raise errors.AmountBelowMinimum(pointer="/amount")
        rates = await self._fees.fresh(chain, target.known.kept)
        charged = rules.set_aside(await self.estimate(target, amount, speed=speed, rates=rates)) + to.opening
        in_coin = asset.contract is None
        service_fee = rules.service_fee(amount, terms.service_fees.get(asset.code, ()), scale=asset.scale)
        network_fee = charged if in_coin else 0
        takes = amount + service_fee + network_fee
        if takes > money.UNITS_MAX:
            raise money.AmountTooLarge(pointer="/amount")
        return Quote(
            chain=chain.name,
            asset=asset.code,
            address=to.address,
            memo=to.memo,
            amount=amount,
            service_fee=service_fee,
            network_fee=network_fee,
            house_fee=0 if in_coin else charged,
            opening=to.opening,
            takes=takes,
            age_s=rates.age.total_seconds(),
            stale=rates.stale,
        )


def _too_dear(quote: Quote, asset: Asset) -> errors.FeeAboveMaximum:
    """With what it costs now, by which whoever pays can decide again."""
    refusal = errors.FeeAboveMaximum(pointer="/max_fee")
    fees = {"network_fee": quote.network_fee, "service_fee": quote.service_fee}
    refusal.extensions = {
        name: {"amount": money.format(units, asset.scale), "asset": asset.code} for name, units in fees.items()
    }
    return refusal
