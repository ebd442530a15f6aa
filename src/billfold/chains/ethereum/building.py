"""Makes payments, and says before what would become of them. One transaction is one payment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from billfold.chains import errors
from billfold.chains.ethereum import addresses, fees, transactions
from billfold.chains.ethereum.node import Node, is_reverted
from billfold.chains.nodes import reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.port import Allocation, Destination, Payment, Rate, Unsigned

_UINT256_MAX = 2**256 - 1
#: What is not used comes back. The least of these with a third to spare above the node's estimate is taken, so that
#: the same payment gets the same limit although the estimate moves a little from block to block.
_GAS_LIMITS = (21_000, 100_000, 200_000, 400_000, 800_000)
_PLAIN_GAS = _GAS_LIMITS[0]
_SPARE = (4, 3)
#: An estimate that a block could not hold is none.
_GAS_MAX = 60_000_000
#: Before anything is there to be paid with, what a transfer of most tokens stays below.
_GAS_USUAL = 100_000
#: Nobody's: stands for the sender where a payment is tried before it is known who pays, and as a harmless payee.
_SOMEBODY = addresses.checksummed(bytes.fromhex("b111f01d") * 5)
_RICH = hex(10**27)


class Building:
    """Tries and makes payments. `tokens` are the contracts that count."""

    def __init__(self, node: Node, tokens: frozenset[str]) -> None:
        self._node = node
        self._tokens = tokens

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        """What would become of a payment."""
        address = addresses.canonical(address)
        found = _hopeless(address, memo, self._tokens)
        if found is None and token is None:
            found = await self._coin_refused(address, amount)
        elif found is None and token is not None:
            found = await self._token_refused(address, addresses.canonical(token))
        obstacle, detail = found or (None, "")
        return Destination(address=address, memo=memo, obstacle=obstacle, obstacle_detail=detail)

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
        """The highest fee."""
        fee, _ = fees.fields(rate)
        try:
            return fee * await self._gas(_payment(payments), source)
        except errors.FundsShort:
            return fee * _GAS_USUAL

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The transaction: the sender's 20 bytes, and what EIP-2718 has signed."""
        assert allocation.nonce is not None, "an allocation of this chain has one"
        payment = _payment(payments)
        fee, tip = fees.fields(rate)
        source = addresses.canonical(allocation.source)
        call = transactions.Call(
            chain_id=await self._node.chain_id(),
            nonce=allocation.nonce,
            max_priority_fee_per_gas=tip,
            max_fee_per_gas=fee,
            gas=await self._gas(payment, source),
            to=payment.token or payment.address,
            value=0 if payment.token else payment.amount,
            data=transactions.transfer(payment.address, payment.amount) if payment.token else b"",
        )
        await self._afford(payment, source, call.fee_max)
        payload = addresses.raw(source) + transactions.encode(call)
        return Unsigned(payload=payload, fee_max=call.fee_max)

    async def _afford(self, payment: Payment, source: str, fee_max: int) -> None:
        has = await self._node.balance(source, "latest")
        wanted = fee_max + (0 if payment.token else payment.amount)
        if has < wanted:
            raise errors.FundsShort(f"{source} has {has} wei, and this takes {wanted}.")
        if payment.token:
            units = await self._node.token_balance(payment.token, source, "latest")
            if units < payment.amount:
                raise errors.FundsShort(f"{source} has {units} units of {payment.token}, not {payment.amount}.")

    async def _gas(self, payment: Payment, source: str) -> int:
        if payment.token is None and not await self._code(payment.address):
            return _PLAIN_GAS
        call = {"from": source, "to": payment.token or payment.address}
        if payment.token:
            call["data"] = "0x" + transactions.transfer(payment.address, payment.amount).hex()
        else:
            call["value"] = hex(payment.amount)
        try:
            least = await self._node.rpc.call("eth_estimateGas", call, read=_gas)
        except CallRefused as refused:
            await self._afford(payment, source, 0)
            raise errors.PaymentInvalid(f"The chain would refuse the payment: {refused.message}") from refused
        over, under = _SPARE
        wanted = least * over // under
        return next((limit for limit in _GAS_LIMITS if limit >= wanted), wanted)

    async def _code(self, address: str) -> bytes:
        return await self._node.rpc.call("eth_getCode", address, "latest", read=lambda said: reading.data(said, "code"))

    async def _coin_refused(self, address: str, amount: int) -> tuple[str, str] | None:
        if not await self._code(address):
            return None
        call = {"from": _SOMEBODY, "to": address, "value": hex(amount)}
        if await self._reverts(call, {_SOMEBODY: {"balance": _RICH}}):
            return "cannot_receive", "A contract is there, which does not take this payment."
        return None

    async def _token_refused(self, address: str, token: str) -> tuple[str, str] | None:
        """A token that refuses to send this address even nothing, while others may have nothing from it."""

        def nothing(to: str) -> dict[str, str]:
            return {"from": _SOMEBODY, "to": token, "data": "0x" + transactions.transfer(to, 0).hex()}

        if await self._reverts(nothing(address)) and not await self._reverts(nothing(_SOMEBODY)):
            return "token_refuses", "The token does not let this address have any of it."
        return None

    async def _reverts(self, call: dict[str, str], *overrides: Any) -> bool:
        try:
            await self._node.rpc.call("eth_call", call, "latest", *overrides, read=lambda said: said)
        except CallRefused as refused:
            # Whatever else a node says, such as that it takes no overrides, says nothing of the address.
            return is_reverted(refused)
        return False


def _payment(payments: Sequence[Payment]) -> Payment:
    if len(payments) != 1:
        raise errors.PaymentInvalid("A transaction of Ethereum is one payment.")
    (payment,) = payments
    if payment.memo is not None:
        raise errors.PaymentInvalid("Ethereum has no memos.")
    if not 0 <= payment.amount <= _UINT256_MAX:
        raise errors.PaymentInvalid("The amount is not one that Ethereum can count.")
    address = addresses.canonical(payment.address)
    if address == addresses.ZERO or (payment.token is not None and not payment.amount):
        raise errors.PaymentInvalid("Nobody is at this address." if payment.amount else "This pays nothing.")
    token = None if payment.token is None else addresses.canonical(payment.token)
    return Payment(address=address, amount=payment.amount, token=token)


def _hopeless(address: str, memo: str | None, tokens: frozenset[str]) -> tuple[str, str] | None:
    """What needs no node to be seen."""
    if memo is not None:
        return "no_memos", "Payments on Ethereum have no memo."
    if address == addresses.ZERO:
        return "nobody", "Nobody has the key of this address."
    if addresses.is_precompiled(address):
        return "nobody", "Nobody can have the key of this address."
    if address in tokens:
        return "token_contract", "This is the contract of a token, which would keep what it is sent."
    return None


def _gas(said: Any) -> int:
    return reading.quantity(said, "gas", most=_GAS_MAX)
