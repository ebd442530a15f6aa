"""What has arrived for nobody known is sent to an address that an operator gives, by a withdrawal of nobody's wallet.

Never by itself, and never to whoever has sent it: that may be an exchange, which has one address for all. What arrives
is the deposit less the network fee; of a token, whose fee is in another coin, it is all of it. The suspense account
pays, and is left with nothing of the deposit: what the network did not take of the fee that was set aside is the
house's, and so is a fee that has brought nothing.
"""

from __future__ import annotations

from uuid import UUID

from billfold.custody import errors
from billfold.custody.contracts.deposits import Sender
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals import returned
from billfold.custody.service.withdrawals.asking import Asking
from billfold.custody.service.withdrawals.fees import Fees
from billfold.custody.service.withdrawals.parts import LEASE, Parts
from billfold.custody.store import deposits, refunds
from billfold.custody.store import withdrawals as store
from billfold.custody.store.withdrawals import Row
from billfold.kernel import ids
from billfold.kernel.idempotency import IdempotencyKeyReused, Key
from billfold.platform.postgres.database import Connection


class Refunding:
    """Takes refunds; from there on they are withdrawals as all others."""

    def __init__(self, parts: Parts, asking: Asking, fees: Fees) -> None:
        self._parts = parts
        self._asking = asking
        self._fees = fees

    async def request(self, *, deposit_id: UUID, sender: Sender, key: Key) -> bool:
        """Take one and hold its money; whether the same `key` had done so before.

        Raises:
            IdempotencyKeyReused, DepositUnknown, DepositNotUnmatched, DepositNotReleasable, WithdrawalsStopped.
            AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum.
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong.
        """
        async with self._parts.database.connection() as connection:
            earlier = await store.earlier(connection, key)
            deposit = await deposits.get(connection, deposit_id)
        if earlier is not None:
            if earlier[1] != key.fingerprint:
                raise IdempotencyKeyReused
            return True
        await self._check(None, deposit)
        assert deposit is not None, "it was checked"
        row = await self._inserted(deposit, await self._prepared(deposit, sender), sender, key)
        if row is not None:
            await self._asking.hold(row)
        return row is None

    async def _check(self, connection: Connection | None, deposit: deposits.Row | None) -> None:
        if deposit is None:
            raise errors.DepositUnknown
        if deposit.kind != "unmatched" or deposit.state in ("reverting", "reverted"):
            raise errors.DepositNotUnmatched
        if connection is not None and await refunds.is_claimed(connection, deposit.id):
            raise errors.DepositNotUnmatched
        if deposit.state != "releasable":
            raise errors.DepositNotReleasable

    async def _prepared(self, deposit: deposits.Row, sender: Sender) -> Row:
        target = await self._asking.target(asset=deposit.asset, address=sender.address, memo=sender.memo)
        if target.known.stopped:
            raise errors.WithdrawalsStopped
        target = await self._asking.examined(target, deposit.amount)
        rates = await self._fees.fresh(target.chain, target.known.kept)
        estimate = await self._asking.estimate(target, deposit.amount, speed="normal", rates=rates)
        token = target.asset.contract
        charged = rules.set_aside(estimate) + target.to.opening if token is None else 0
        if deposit.amount <= charged:
            raise errors.AmountBelowMinimum("The network fee takes all of it.")
        # A smaller amount may be too small for the address.
        to = (await self._asking.examined(target, deposit.amount - charged)).to
        now = self._parts.now()
        return Row(
            id=ids.new(),
            wallet_id=None,
            owner_id=None,
            account_id=await self._parts.house.account(kind="suspense", asset=deposit.asset),
            chain=target.chain.name,
            asset=deposit.asset,
            token=token,
            amount=deposit.amount - charged,
            service_fee=0,
            network_fee=charged,
            opening=to.opening,
            address=to.address,
            memo=to.memo,
            speed="normal",
            state="requested",
            waits_until=None,
            created_at=now,
            changed_at=now,
        )

    async def _inserted(self, deposit: deposits.Row, row: Row, sender: Sender, key: Key) -> Row | None:
        """It as it is stored; None if the key has one already. Who locks the deposit first decides."""
        now = row.created_at
        async with self._parts.database.transaction() as connection:
            locked = await deposits.get(connection, deposit.id, lock=True)
            if await store.earlier(connection, key) is not None:
                return None
            await self._check(connection, locked)
            if not await store.insert(connection, row, key, next_at=now + LEASE):
                return None
            refund = refunds.Row(row.id, deposit.id, sender.asked_by, sender.reason, now, failed=False)
            await refunds.add(connection, refund)
            await returned.tell(connection, self._parts, "refund_requested", row, refund)
        return row
