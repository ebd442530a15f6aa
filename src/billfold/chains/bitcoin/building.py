"""Makes transactions of coins and payments, always the same ones from the same: in the order of BIP-69, replaceable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, psbt, selecting, sizes, transactions
from billfold.chains.bitcoin.transactions import Input, Output, Transaction
from billfold.chains.port import Allocation, Coin, Network, Payment, Rate, Unsigned

NUMBER = "sat_per_kvb"
#: Payments of one transaction: each may be a script of 34 bytes, and nodes pass on 100,000 virtual bytes.
PAYMENTS_MAX = 1_000


def rate_of(rate: Rate) -> int:
    """Satoshi for 1,000 virtual bytes, never below what nodes pass on."""
    return max(rate.numbers[NUMBER], sizes.RELAY_FEE)


def outputs_of(payments: Sequence[Payment], network: Network) -> list[Output]:
    """The outputs that pay them.

    Raises:
        AddressInvalid, PaymentInvalid.
    """
    if len(payments) > PAYMENTS_MAX:
        raise errors.PaymentInvalid(f"A transaction has at most {PAYMENTS_MAX} payments.")
    return [_output(each, network) for each in payments]


def choose(coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate, network: Network) -> list[Coin]:
    """Which coins to pay with.

    Raises:
        FundsShort, AddressInvalid, PaymentInvalid.
    """
    outputs = outputs_of(payments, network)
    amount, scripts = sum(each.value for each in outputs), [each.script for each in outputs]
    return selecting.chosen(coins, amount=amount, scripts=scripts, rate=rate_of(rate))


def build(
    payments: Sequence[Payment],
    allocation: Allocation,
    *,
    parents: Mapping[str, Transaction],
    rate: Rate,
    network: Network,
) -> Unsigned:
    """The transaction; `parents` are those that its coins come from.

    Without payments all goes to the change: so what is replaced by it is called off. Where a change would be dust, or
    cost more than it is worth, it goes to the fee.

    Raises:
        FundsShort, AddressInvalid, PaymentInvalid.
    """
    coins = sorted(allocation.coins, key=lambda each: (each.chain_tx, int(each.index)))
    inputs = [_input(each, parents[each.chain_tx], network) for each in coins]
    outputs = outputs_of(payments, network)
    outputs += _change(coins, outputs, allocation, rate_of(rate), network)
    if not outputs:
        raise errors.PaymentInvalid("There is nothing to pay, and no address for the change.")
    outputs.sort(key=lambda each: (each.value, each.script))
    spending = psbt.made(inputs, outputs)
    least = sizes.fee_for(rate_of(rate), sizes.vsize(len(inputs), [each.script for each in outputs]))
    if spending.fee < least:
        raise errors.FundsShort(f"The coins leave {spending.fee} satoshi for the fee; it takes {least}.")
    payload = psbt.written(spending)
    if len(payload) > psbt.BYTES_MAX:
        raise errors.PaymentInvalid("The transactions that the coins come from are too large to be signed at once.")
    return Unsigned(payload=payload, fee_max=spending.fee)


def _change(
    coins: Sequence[Coin],
    outputs: Sequence[Output],
    allocation: Allocation,
    rate: int,
    network: Network,
) -> list[Output]:
    if allocation.change is None:
        return []
    script = addresses.script_of(allocation.change, network)
    fee = sizes.fee_for(rate, sizes.vsize(len(coins), [*(each.script for each in outputs), script]))
    rest = sum(each.amount for each in coins) - sum(each.value for each in outputs) - fee
    return [] if rest < change_least(script, rate) else [Output(rest, script)]


def change_least(script: bytes, rate: int) -> int:
    """A change of less would be dust, or cost more than it is worth."""
    return max(sizes.dust(script), sizes.fee_for(rate, sizes.INPUT_VSIZE))


def _input(coin: Coin, parent: Transaction, network: Network) -> tuple[Input, Transaction]:
    vout, spent = int(coin.index), Output(coin.amount, addresses.script_of(coin.address, network))
    if parent.outputs[vout : vout + 1] != (spent,):
        raise errors.PaymentInvalid(f"The coin {coin.chain_tx}:{vout} is another than was said.")
    return Input(coin.chain_tx, vout, b"", psbt.SEQUENCE), parent


def _output(payment: Payment, network: Network) -> Output:
    if payment.token is not None:
        raise errors.PaymentInvalid("Bitcoin has no tokens.")
    if payment.memo is not None:
        raise errors.PaymentInvalid("A payment in Bitcoin has no memo.")
    script = addresses.script_of(payment.address, network)
    if payment.amount < sizes.dust(script):
        raise errors.PaymentInvalid(f"Nodes pass on no payment to this address below {sizes.dust(script)} satoshi.")
    if payment.amount > transactions.MONEY_MAX:
        raise errors.PaymentInvalid("There are not so many bitcoins.")
    return Output(payment.amount, script)
