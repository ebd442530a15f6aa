"""Makes transactions. What one uses up is a recent block: 150 blocks after it, it can't happen any more.

The recent block is a final one, so no fork takes it away. An anchor is its slot and hash, `1234:9hSR…`: by its slot it
is known from where on a transaction could be in a block. `durable` has those anchors that do not grow old.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from solders.token.state import Mint

from billfold.chains.errors import FundsShort, NodeWrong, PaymentInvalid
from billfold.chains.port import Allocation, Payment, Rate, Unsigned
from billfold.chains.solana import durable, fees, holding, nonces, orders, sponsoring, sweeps
from billfold.chains.solana.node import Node
from billfold.chains.solana.records import Header

#: A blockhash counts for so many blocks (MAX_PROCESSING_AGE).
BLOCKS = 150
#: So many payments fit one packet with tokens and short memos or not; `orders` has the last word.
PAYMENTS_MAX = 20


def anchor(of: Header) -> tuple[str, int]:
    """A final block as an anchor, and the height of the last block in which it counts.

    Computed here, where a node could say less than is true: a transaction would be taken for dead that is not.
    """
    return f"{of.slot}:{of.hash}", of.height + BLOCKS


def anchored(text: str | None) -> tuple[int, str]:
    """The slot and the hash of an anchor."""
    assert text is not None, "every allocation of Solana has an anchor"
    slot, _, blockhash = text.partition(":")
    return int(slot), blockhash


class Builder:
    """Makes transactions of what the nodes say of accounts."""

    def __init__(self, node: Node, tokens: Collection[str]) -> None:
        self._node = node
        self._tokens = tokens
        self._decimals: dict[str, int] = {}

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The message.

        Raises:
            FundsShort, PaymentInvalid, NodeUnavailable, NodeWrong.
        """
        if len(payments) > PAYMENTS_MAX or not (payments or allocation.endures):
            raise PaymentInvalid(f"One transaction of Solana has up to {PAYMENTS_MAX} payments.")
        if allocation.endures and (allocation.change is not None or nonces.opens(payments)):
            raise PaymentInvalid("On Solana only payments from their source have a durable nonce.")
        if allocation.change is not None:
            return await self._sweep(payments, allocation, rate=rate)
        if nonces.opens(payments):
            return await self._opening(payments, allocation, rate=rate)
        pays = [await self._pay(payment) for payment in payments]
        nonce = durable.anchor(allocation) if allocation.endures else None
        order = orders.Order(
            payer=allocation.source,
            blockhash=anchored(allocation.anchor)[1] if nonce is None else nonce.value,
            units=orders.units(pays),
            micro_lamports=rate.numbers[fees.NAME],
            pays=pays,
            nonce=None if nonce is None else nonce.account,
        )
        message = orders.message(order)
        await self._check_fee(message, order.fee)
        await self._check_funds(order)
        return Unsigned(payload=message, fee_max=order.fee_max)

    async def decimals(self, token: str) -> int:
        """The decimals of a mint, which never change.

        Raises:
            PaymentInvalid: it is not supported, or no mint of the token program.
            NodeUnavailable, NodeWrong.
        """
        if token not in self._tokens:
            raise PaymentInvalid("This token is not among those that are supported.")
        if token not in self._decimals:
            found = await self._node.account(token)
            if found is None or found.owner != str(orders.TOKEN) or found.space != orders.MINT_BYTES:
                raise PaymentInvalid("This token is none of Solana's token program.")
            try:
                self._decimals[token] = Mint.from_bytes(found.data).decimals
            except ValueError:
                raise NodeWrong("A node gives a mint that is none.") from None
        return self._decimals[token]

    async def _pay(self, payment: Payment) -> orders.Pay:
        decimals = 0 if payment.token is None else await self.decimals(payment.token)
        return orders.Pay(
            address=payment.address, amount=payment.amount, token=payment.token, decimals=decimals, memo=payment.memo
        )

    async def _sweep(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        if len(payments) > 1:
            raise PaymentInvalid("On Solana somebody else pays the fee of one payment.")
        blockhash = anchored(allocation.anchor)[1]
        sweep = await sponsoring.order(
            self._node, self.decimals, payments[0], allocation, blockhash=blockhash, rate=rate
        )
        message = sweeps.message(sweep)
        await self._check_fee(message, sweep.fee)
        return Unsigned(payload=message, fee_max=sweep.fee_max)

    async def _opening(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        opening = nonces.opening(
            payments,
            payer=allocation.source,
            blockhash=anchored(allocation.anchor)[1],
            micro_lamports=rate.numbers[fees.NAME],
        )
        message = nonces.message(opening)
        await self._check_fee(message, opening.fee)
        held, cost = await self._node.lamports(opening.payer), opening.fee_max
        if held < cost + orders.ACCOUNT_RENT:
            raise FundsShort(f"The source has {held} lamports; {cost} are wanted, and something has to stay.")
        return Unsigned(payload=message, fee_max=cost)

    async def _check_fee(self, message: bytes, fee: int) -> None:
        told = await self._node.fee(message)
        if told is not None and told > fee:
            raise NodeWrong(f"A node takes {told} lamports for a transaction that costs {fee}.")

    async def _check_funds(self, order: orders.Order) -> None:
        native = sum(pay.amount for pay in order.pays if pay.token is None)
        held = await self._node.lamports(order.payer)
        if held < native + order.fee:
            raise FundsShort(f"The source has {held} lamports; {native} and a fee of {order.fee} are wanted.")
        if 0 < held - native - order.fee < orders.ACCOUNT_RENT:
            raise FundsShort(f"The source would be left with something, but less than {orders.ACCOUNT_RENT} lamports.")
        for token in sorted({pay.token for pay in order.pays if pay.token is not None}):
            wanted = sum(pay.amount for pay in order.pays if pay.token == token)
            there = await holding.movable(self._node, order.payer, token)
            if there < wanted:
                raise FundsShort(f"The source has {there} units of the token; {wanted} are wanted.")
