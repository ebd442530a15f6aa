"""Hands transactions over and asks what has become of them."""

from __future__ import annotations

import base64
from datetime import timedelta

import msgspec
from stellar_sdk import FeeBumpTransactionEnvelope

from billfold.chains import errors
from billfold.chains.port import Allocation, Fate, Found, Signed, Sought
from billfold.chains.stellar import building
from billfold.chains.stellar.horizon import Horizon
from billfold.chains.stellar.records import Ledger, Transaction

#: So far may servers behind one address be apart: time is over for us when it has been over for so long.
SPREAD = timedelta(seconds=30)


async def broadcast(horizon: Horizon, signed: Signed, *, passphrase: str) -> None:
    """Hand it over; a node that knows it already is content.

    Raises:
        Refused, Uncertain.
    """
    try:
        await horizon.submit(base64.b64encode(signed.raw).decode())
    except errors.Refused as refused:
        # What has used up its own number is refused for that when it comes again.
        try:
            known = await horizon.transaction(_inner(signed, passphrase))
        except (errors.NodeUnavailable, errors.NodeWrong) as error:
            raise errors.Uncertain("A node refuses the transaction, and none says whether a ledger has it.") from error
        if known is None:
            raise refused from None


async def find(horizon: Horizon, signed: Signed, allocation: Allocation, *, passphrase: str) -> Found:
    """What has become of it: of the transaction within the fee bump, whoever's fee bump brought it into a ledger.

    The head is asked for first and the transaction last: what a ledger up to that head had would be known by then.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    assert allocation.nonce is not None and allocation.expires_at is not None, "allocated before it is built"
    head = await horizon.last()
    source = await horizon.account(allocation.source, at=head.sequence)
    name = _inner(signed, passphrase)
    transaction = await horizon.transaction(name, at=head.sequence)
    if transaction is not None:
        return await _mined(horizon, transaction, signed, allocation)
    if source is not None and source.sequence >= allocation.nonce:
        return await _used(horizon, name, signed, allocation)
    if head.closed_at > allocation.expires_at + SPREAD and await _remembers(horizon, allocation):
        return Found(fate=Fate.DEAD, reason=f"Ledger {head.sequence} was closed after its time, and none has it.")
    return Found(fate=Fate.UNSEEN)


async def seek(horizon: Horizon, payload: bytes, allocation: Allocation, *, passphrase: str) -> Sought:
    """What has become of one that others were to sign: no signature changes the hash of the transaction within.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    assert allocation.nonce is not None, "allocated before it is built"
    built = Signed(raw=payload, chain_tx="")
    name = _inner(built, passphrase)
    head = await horizon.last()
    source = await horizon.account(allocation.source, at=head.sequence)
    transaction = await horizon.transaction(name, at=head.sequence)
    if transaction is None and source is not None and source.sequence >= allocation.nonce:
        transaction = await _user(horizon, allocation)
        if transaction is None:
            return Sought(fate=None)
    if transaction is None:
        return Sought(fate=(await find(horizon, built, allocation, passphrase=passphrase)).fate)
    if name not in transaction.hashes:
        return Sought(fate=Fate.DEAD)
    # Where it came in a fee bump, that has the hash that the chain's tools show.
    chain_tx = next(iter(transaction.hashes - {name}), name)
    return Sought(fate=Fate.MINED, signed=msgspec.structs.replace(built, chain_tx=chain_tx))


async def _mined(horizon: Horizon, transaction: Transaction, signed: Signed, allocation: Allocation) -> Found:
    ours = transaction.fee_account == building.payer(allocation)
    if ours and signed.chain_tx not in transaction.hashes:
        # Only we sign for that account: it is another offer of ours, which whoever asks has stored too. That this one
        # is dead would be true, and would have it paid again if that other one had been forgotten.
        return Found(fate=Fate.PENDING, reason=f"Ledger {transaction.ledger} has it by another offer of ours.")
    ledger = await horizon.ledger(transaction.ledger)
    if ledger is None:
        raise errors.NodeWrong("A node has a transaction and not its ledger.")
    return Found(
        fate=Fate.MINED,
        height=transaction.ledger,
        block=ledger.hash,
        succeeded=transaction.successful,
        # A stranger who has bumped it has paid for that.
        fee=transaction.fee if ours else 0,
        reason=transaction.reason,
    )


async def _used(horizon: Horizon, name: str, signed: Signed, allocation: Allocation) -> Found:
    """The number is used up; only the transaction that has done it proves that ours did not.

    Raises:
        NodeWrong: nobody says which it was. Whatever is done then, people decide it.
    """
    other = await _user(horizon, allocation)
    if other is None:
        raise errors.NodeWrong("The sequence number is used up, and no node says by which transaction.")
    if name in other.hashes:
        return await _mined(horizon, other, signed, allocation)
    return Found(
        fate=Fate.DEAD, reason=f"Transaction {min(other.hashes)} has used up its number in ledger {other.ledger}."
    )


async def _user(horizon: Horizon, allocation: Allocation) -> Transaction | None:
    """The transaction that has used up the number, if it is among the last of its source."""
    latest = await horizon.latest_of(allocation.source)
    return next((each for each in latest if each.sequence == allocation.nonce), None)


async def _remembers(horizon: Horizon, allocation: Allocation) -> bool:
    """Whether the nodes would still know it if it had happened at the beginning of its time."""
    assert allocation.expires_at is not None
    elder = await horizon.elder()
    if elder <= 1:
        return True
    first: Ledger | None = await horizon.ledger(elder)
    return first is not None and first.closed_at < allocation.expires_at - building.LIFE


def _inner(signed: Signed, passphrase: str) -> str:
    envelope = FeeBumpTransactionEnvelope.from_xdr(base64.b64encode(signed.raw).decode(), passphrase)
    return envelope.transaction.inner_transaction_envelope.hash_hex()
