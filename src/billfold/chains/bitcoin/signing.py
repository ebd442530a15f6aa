"""Reads Bitcoin transactions to the last byte and signs them: coins of single keys (P2WPKH), all inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from embit import ec
from embit.script import Script, p2pkh_from_p2wpkh
from embit.transaction import Transaction as Signable

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, claims, keys, psbt, transactions
from billfold.chains.bitcoin.psbt import SEQUENCE, VERSION, Spending
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Shown

_SIGHASH_ALL = b"\x01"


def read(payload: bytes, *, network: Network) -> Shown:
    """What it does: pays, or cancels what it replaces by paying nobody but its own sources.

    Raises:
        PayloadRefused.
    """
    spending = _understood(psbt.read(payload))
    sources = dict.fromkeys(_source(spending, number, network) for number in range(len(spending.spent)))
    payments = [_payment(each, network) for each in spending.transaction.outputs]
    kind = "cancel" if all(payment.address in sources for payment in payments) else "pay"
    return Shown(sources=list(sources), payments=payments, fee_max=spending.fee, kind=kind)


def sign(payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
    """The signed transaction.

    Raises:
        PayloadRefused: also where a place does not have the address that it is given for.
    """
    # Nothing is signed that could not be shown.
    read(payload, network=network)
    spending = psbt.read(payload)
    unsigned = Signable.parse(spending.transaction.raw)
    signed = []
    for number, each in enumerate(spending.transaction.inputs):
        address = _source(spending, number, network)
        place = places.get(address)
        if place is None:
            raise errors.PayloadRefused(f"No key was named for {address}.")
        key = ec.PrivateKey(keys.secret(seed, place, network=network))
        public: bytes = key.sec()
        spent = spending.spent[number]
        if addresses.script_of_key(public) != spent.script:
            raise errors.PayloadRefused(f"The key that was named for {address} is not its key.")
        digest = unsigned.sighash_segwit(number, p2pkh_from_p2wpkh(Script(spent.script)), spent.value)
        witness = (key.sign(digest).serialize() + _SIGHASH_ALL, public)
        signed.append(transactions.Input(each.txid, each.vout, b"", each.sequence, witness))
    done = transactions.write(inputs=signed, outputs=spending.transaction.outputs, version=VERSION)
    assert done.txid == spending.transaction.txid, "signatures are no part of the id"
    return Signed(raw=done.raw, chain_tx=done.txid)


def destination(text: str, *, network: Network) -> str:
    """The address in its one form.

    Raises:
        AddressInvalid
    """
    return addresses.canonical(text, network)


def claim(text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:
    """The sentence, signed by the key of an address (BIP-322, simple).

    Raises:
        PayloadRefused: the place does not have this address.
    """
    key = ec.PrivateKey(keys.secret(seed, place, network=network))
    public: bytes = key.sec()
    script = addresses.script_of_key(public)
    if addresses.address_of(script, network) != address:
        raise errors.PayloadRefused(f"The key that was named for {address} is not its key.")
    made = key.sign(claims.digest(text, script)).serialize() + _SIGHASH_ALL
    return claims.encoded(made, public)


def _understood(spending: Spending) -> Spending:
    transaction = spending.transaction
    if transaction.version != VERSION or transaction.locktime:
        raise errors.PayloadRefused("Only transactions of version 2 without a lock time are signed.")
    if not transaction.inputs or not transaction.outputs:
        raise errors.PayloadRefused("The transaction spends or pays nothing.")
    if any(each.script or each.witness or each.sequence != SEQUENCE for each in transaction.inputs):
        raise errors.PayloadRefused("An input is signed already, or has another sequence than ours.")
    if len({each.coin for each in transaction.inputs}) != len(transaction.inputs):
        raise errors.PayloadRefused("A coin is spent twice.")
    amounts = [each.value for each in (*spending.spent, *transaction.outputs)]
    if not all(0 < each <= transactions.MONEY_MAX for each in amounts):
        raise errors.PayloadRefused("An amount is none that can be.")
    if spending.fee < 0:
        raise errors.PayloadRefused("The transaction pays more than it spends.")
    return spending


def _source(spending: Spending, number: int, network: Network) -> str:
    script = spending.spent[number].script
    address = addresses.address_of(script, network)
    if address is None or not addresses.is_of_key(script):
        raise errors.PayloadRefused("An input spends what is not locked by a single key in the form of BIP-84.")
    return address


def _payment(output: transactions.Output, network: Network) -> Payment:
    address = addresses.address_of(output.script, network)
    if address is None:
        raise errors.PayloadRefused("An output pays to a script that has no address.")
    return Payment(address=address, amount=output.value)
