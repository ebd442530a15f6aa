"""Carries out what another person has approved: the same calls, as whoever has asked, with their idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from billfold.identity.contracts import Approved, Executor
from billfold.wallets.contracts import NewHold, Order
from billfold.wallets.contracts.chain_withdrawals import NewChainWithdrawal
from billfold.wallets.service import supervision
from billfold.wallets.service.bulk import Bulk
from billfold.wallets.service.chain_withdrawals import ChainWithdrawals
from billfold.wallets.service.holds import Holds
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.on_chains import OnChains
from billfold.wallets.service.registry import Registry
from billfold.wallets.service.supervision import (
    DepositRefund,
    HoldRelease,
    HoldSettlement,
    Many,
    Reversal,
    WalletLimits,
)

T = TypeVar("T")


def executors(
    *,
    movements: Movements,
    bulk: Bulk,
    holds: Holds,
    registry: Registry,
    sent_out: ChainWithdrawals,
    on_chains: OnChains,
) -> Mapping[str, Executor]:
    """Who carries out what, by the kind of the request."""

    async def move(approved: Approved) -> object:
        order = _content(approved, Order)
        return await movements.move(principal=approved.principal, order=order, key=approved.key_text)

    async def move_many(approved: Approved) -> object:
        many = _content(approved, Many)
        return await bulk.move(
            principal=approved.principal, orders=many.items, atomic=many.atomic, key=approved.key_text
        )

    async def reverse(approved: Approved) -> object:
        wanted = _content(approved, Reversal)
        return await movements.reverse(
            principal=approved.principal,
            transfer_id=wanted.transfer_id,
            money=wanted.money,
            key=approved.key_text,
        )

    async def settle(approved: Approved) -> object:
        wanted = _content(approved, HoldSettlement)
        return await holds.settle(
            principal=approved.principal,
            hold_id=wanted.hold_id,
            settlement=wanted.settlement,
            key=approved.key_text,
        )

    async def place(approved: Approved) -> object:
        return await holds.place(principal=approved.principal, new=_content(approved, NewHold), key=approved.key_text)

    async def release(approved: Approved) -> object:
        wanted = _content(approved, HoldRelease)
        return await holds.release(principal=approved.principal, hold_id=wanted.hold_id, key=approved.key_text)

    async def limit(approved: Approved) -> object:
        wanted = _content(approved, WalletLimits)
        return await registry.set_limits(
            principal=approved.principal,
            wallet_id=wanted.wallet,
            limits=wanted.credit_limits,
            approval_id=approved.id,
        )

    async def send(approved: Approved) -> object:
        new = _content(approved, NewChainWithdrawal)
        return await sent_out.create(principal=approved.principal, new=new, key=approved.key_text)

    async def send_back(approved: Approved) -> object:
        refund = _content(approved, DepositRefund)
        return await on_chains.refund(
            principal=approved.principal,
            deposit_id=refund.deposit_id,
            to=refund.to,
            memo=refund.memo,
            reason=refund.reason,
            key=approved.key_text,
        )

    return {
        supervision.CHAIN_WITHDRAWAL: send,
        supervision.DEPOSIT_REFUND: send_back,
        supervision.MOVEMENT: move,
        supervision.BULK: move_many,
        supervision.REVERSAL: reverse,
        supervision.SETTLEMENT: settle,
        supervision.HOLD: place,
        supervision.RELEASE: release,
        supervision.LIMITS: limit,
    }


def _content(approved: Approved, kind: type[T]) -> T:
    return msgspec.convert(approved.content, kind)
