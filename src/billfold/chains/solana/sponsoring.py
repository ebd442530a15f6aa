"""Sweeps of tokens whose fee somebody else pays than whose they are: what they take, made of what nodes say.

A token lies in its owner's associated account, and moves by the owner's signature. The fee is paid by whoever gets it,
so an owner without a lamport can be swept. The owner's account stays open when it is empty: its rent was put there by
whoever paid first, the next deposit finds it, and one on its way would fail without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from billfold.chains.errors import FundsShort, PaymentInvalid
from billfold.chains.port import Allocation, Payment, Rate
from billfold.chains.solana import addresses, fees, holding, orders, sweeps
from billfold.chains.solana.node import Node

#: Knows the decimals of a mint that is supported.
Decimals = Callable[[str], Awaitable[int]]


async def sponsored(node: Node, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int]:
    """How much can be moved, and what that costs at most.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    opens = await _opens(node, payer, token)
    units, price = sweeps.units(opens=opens), rate.numbers[fees.NAME]
    fee = sweeps.fee(units=units, micro_lamports=price) + orders.TOKEN_ACCOUNT_RENT * opens
    return await holding.movable(node, owner, token), fee


async def order(
    node: Node, decimals: Decimals, payment: Payment, allocation: Allocation, *, blockhash: str, rate: Rate
) -> sweeps.Sweep:
    """The sweep that moves a payment from the allocation's source to who pays its fee.

    Raises:
        FundsShort, PaymentInvalid, NodeUnavailable, NodeWrong.
    """
    if payment.token is None or payment.memo is not None or payment.address != allocation.change:
        raise PaymentInvalid("On Solana somebody else pays the fee of tokens alone, and only who gets them.")
    scale, opens = await decimals(payment.token), await _opens(node, payment.address, payment.token)
    sweep = sweeps.Sweep(
        payer=payment.address,
        owner=allocation.source,
        token=payment.token,
        amount=payment.amount,
        decimals=scale,
        opens=opens,
        blockhash=blockhash,
        units=sweeps.units(opens=opens),
        micro_lamports=rate.numbers[fees.NAME],
    )
    await _check_funds(node, sweep)
    return sweep


async def _check_funds(node: Node, sweep: sweeps.Sweep) -> None:
    there = await holding.movable(node, sweep.owner, sweep.token)
    if there < sweep.amount:
        raise FundsShort(f"The owner's account has {there} units of the token; {sweep.amount} are wanted.")
    held = await node.lamports(sweep.payer)
    if held < sweep.fee_max or 0 < held - sweep.fee_max < orders.ACCOUNT_RENT:
        raise FundsShort(
            f"The payer has {held} lamports; a fee of {sweep.fee_max} is wanted, and something has to stay."
        )


async def _opens(node: Node, payer: str, token: str) -> bool:
    """Whether the payer's account has to be opened.

    Raises:
        NodeWrong: for more than is known of the chain.
    """
    found = await node.account(str(orders.token_account(payer, token)))
    if found is not None and found.space:
        return False
    await addresses.opening_rent(node)
    return True
