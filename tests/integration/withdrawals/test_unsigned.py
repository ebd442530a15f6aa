"""What becomes of a transaction between being handed out and being handed in, on a chain that can do anything."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

import pytest

from billfold.chains.errors import SignedDiffers
from billfold.chains.outside_port import Outside
from billfold.chains.port import Signed
from billfold.custody import errors
from billfold.custody.contracts import Unsigned
from billfold.custody.service.withdrawals import Withdrawals
from billfold.kernel import ids, origin
from billfold.kernel.origin import Origin
from tests.integration.withdrawals.simulated import signed
from tests.integration.withdrawals.support import Office

SIGNED, OTHERWISE = "signed", "signed otherwise"


class Module:
    """The module `outside` of the simulated chain, on which anything is a signature."""

    FORM = "psbt"

    def __init__(self, chain: str) -> None:
        self.EXPIRES = chain == "solana"

    def shown(self, payload: bytes, **_: Any) -> str:
        return payload.decode()

    def accepted(self, payload: bytes, given: str, **_: Any) -> Signed:
        if given not in (SIGNED, OTHERWISE):
            raise SignedDiffers
        return signed(payload + b" " * (given == OTHERWISE))

    def named(self, payload: bytes) -> str | None:
        return signed(payload).chain_tx


def moved_out(office: Office) -> Office:
    """The same office, whose keys are elsewhere from now on."""
    name = office.chain.name
    module = cast("Outside", Module(name))
    office.withdrawals = Withdrawals(
        database=office.database,
        ledger=office.ledger,
        house=office.house,
        chains={name: office.chain},
        terms=office.withdrawals._parts.terms,
        signer=None,
        clock=office.clock,
        outside={name: lambda: module},
    )
    return office


async def waiting(office: Office) -> list[Unsigned]:
    return await office.withdrawals.outside.waiting(chain=office.chain.name)


async def asked(office: Office, address: str = "sim-a") -> tuple[UUID, Unsigned]:
    """A withdrawal, and its transaction that waits."""
    moved_out(office)
    account = await office.customer(10_000)
    withdrawal = (await office.request(account, 1_000, address)).withdrawal
    await office.work()
    await office.work()
    (tx,) = await waiting(office)
    return withdrawal.id, tx


async def next_one(office: Office, before: Unsigned) -> Unsigned:
    """What waits after it."""
    for _ in range(3):
        await office.work()
    (found,) = [one for one in await waiting(office) if one.id != before.id][:1]
    return found


async def signed_and_handed_in(office: Office, tx: Unsigned) -> None:
    await office.withdrawals.outside.export(tx_id=tx.id)
    await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)


only = {
    name: pytest.mark.parametrize("chain_name", [name], indirect=True) for name in ("bitcoin", "ethereum", "solana")
}


@only["ethereum"]
async def test_nothing_leaves_before_it_is_handed_in_and_then_it_does_once(office: Office) -> None:
    withdrawal, tx = await asked(office)
    with pytest.raises(SignedDiffers):
        await office.withdrawals.outside.accept(tx_id=tx.id, signed="something else")
    exported = await office.withdrawals.outside.export(tx_id=tx.id)
    again = await office.withdrawals.outside.export(tx_id=tx.id)
    assert (exported.unsigned, exported.transaction) == (again.unsigned, again.transaction)
    assert json.loads(exported.unsigned)["pays"] == [{"address": "sim-a", "amount": 1_000, "token": ""}]
    await office.work()
    assert office.chain.waiting() == 0
    assert (await office.look(withdrawal)).reason == "waits_for_signature"
    done = await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)
    assert await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED) == done
    with pytest.raises(errors.SignedAlready):
        await office.withdrawals.outside.accept(tx_id=tx.id, signed=OTHERWISE)
    assert await waiting(office) == []
    (ended,) = await office.finish(withdrawal)
    assert (ended.status, ended.chain_tx) == ("settled", done.chain_tx)
    await office.check_conserved(ended)


@only["ethereum"]
async def test_who_handed_it_out_and_in_is_in_the_audit(office: Office) -> None:
    _, tx = await asked(office)
    origin.begin(Origin(channel="cli", address="ada@laptop"))
    try:
        await office.withdrawals.outside.export(tx_id=tx.id)
        await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)
    finally:
        origin.begin(None)
    async with office.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit' ORDER BY seq")
    facts = [fact for row in rows for fact in json.loads(row["payload"])["data"]["facts"]]
    told = [(fact["type"], fact["subject"], fact["origin"]["address"]) for fact in facts]
    done = [f"custody.transaction_{step}.v1" for step in ("exported", "signed")]
    assert [one for one in told if one[0] in done] == [(step, str(tx.id), "ada@laptop") for step in done]


@only["ethereum"]
async def test_what_nobody_was_handed_is_cancelled_at_once(office: Office) -> None:
    withdrawal, tx = await asked(office)
    assert (await office.withdrawals.cancel(withdrawal_id=withdrawal)).status == "cancelled"
    for call in (
        office.withdrawals.outside.export(tx_id=tx.id),
        office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED),
        office.withdrawals.outside.discard(tx_id=tx.id),
    ):
        with pytest.raises(errors.UnsignedGone):
            await call
    with pytest.raises(errors.UnsignedUnknown):
        await office.withdrawals.outside.export(tx_id=ids.new())
    await office.check_conserved(*await office.finish(withdrawal))


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_what_is_cancelled_is_given_back_when_another_has_used_up_what_somebody_was_handed(
    office: Office,
) -> None:
    withdrawal, tx = await asked(office)
    await office.withdrawals.outside.export(tx_id=tx.id)
    cancelling = await office.withdrawals.cancel(withdrawal_id=withdrawal)
    assert (cancelling.status, cancelling.cancelling) == ("allocated", True)
    await office.withdrawals.outside.discard(tx_id=tx.id)
    other = await next_one(office, tx)
    assert (other.kind, [one.withdrawal_id for one in other.payments if one.withdrawal_id]) == ("clear", [])
    assert (await office.look(withdrawal)).cancelling
    await signed_and_handed_in(office, other)
    (ended,) = await office.finish(withdrawal)
    assert ended.status == "cancelled"
    assert ended.wallet_id is not None
    assert await office.posted(ended.wallet_id) == (10_000 - (ended.fee_paid or 0), 0)
    await office.check_conserved(ended)


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)
async def test_of_what_is_discarded_and_what_is_in_its_place_one_at_most_is_paid(office: Office) -> None:
    withdrawal, tx = await asked(office)
    old = await office.withdrawals.outside.export(tx_id=tx.id)
    # Another one goes on with whatever the first one leaves.
    another = (await office.request(await office.customer(10_000), 500, "sim-b")).withdrawal.id
    await office.withdrawals.outside.discard(tx_id=tx.id)
    new = await next_one(office, tx)
    assert [one.withdrawal_id for one in new.payments] == [withdrawal]
    await office.chain.broadcast(signed(old.unsigned.encode()))
    for _ in range(6):
        await office.work()
        office.chain.mine()
        await office.watch()
        for one in await waiting(office):
            if one.id != new.id:
                await signed_and_handed_in(office, one)
    await office.check_conserved(*await office.finish(withdrawal, another))
    assert office.chain.received("sim-a") == [1_000]


@only["bitcoin"]
async def test_what_nobody_was_handed_is_discarded_and_paid_by_another_transaction(office: Office) -> None:
    withdrawal, tx = await asked(office)
    await office.withdrawals.outside.discard(tx_id=tx.id)
    other = await next_one(office, tx)
    await office.withdrawals.outside.accept(tx_id=other.id, signed=SIGNED)
    await office.check_conserved(*await office.finish(withdrawal))


@pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum", "solana"], indirect=True)
async def test_what_somebody_has_sent_themselves_is_settled_and_not_paid_again(office: Office) -> None:
    withdrawal, tx = await asked(office)
    exported = await office.withdrawals.outside.export(tx_id=tx.id)
    sent = signed(exported.unsigned.encode())
    await office.chain.broadcast(sent)
    office.chain.mine()
    with pytest.raises(errors.UnsignedOnChain):
        await office.withdrawals.outside.discard(tx_id=tx.id)
    office.chain.mine(30)
    (ended,) = await office.finish(withdrawal)
    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert (await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)).chain_tx == sent.chain_tx
    await office.check_conserved(ended)


@only["ethereum"]
async def test_a_raised_fee_that_somebody_has_sent_themselves_is_settled_and_not_paid_again(office: Office) -> None:
    withdrawal, tx = await asked(office)
    await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)
    await office.work()
    await office.bump(withdrawal)
    raised = await next_one(office, tx)
    exported = await office.withdrawals.outside.export(tx_id=raised.id)
    await office.chain.broadcast(signed(exported.unsigned.encode()))
    await office.check_conserved(*await office.finish(withdrawal))


@only["solana"]
async def test_what_nodes_have_forgotten_waits_for_the_word_of_an_operator(office: Office) -> None:
    withdrawal, tx = await asked(office)
    await office.withdrawals.outside.export(tx_id=tx.id)
    with pytest.raises(errors.UnsignedMayHappen):
        await office.withdrawals.outside.discard(tx_id=tx.id)
    office.chain.mine(30)
    office.chain.has_forgotten = True
    for _ in range(3):
        await office.work()
    unsure = await office.look(withdrawal)
    assert (unsure.status, unsure.reason) == ("uncertain", "may_have_been_sent")
    assert [one.id for one in await waiting(office)] == [tx.id]
    await office.withdrawals.outside.discard(tx_id=tx.id)
    await signed_and_handed_in(office, await next_one(office, tx))
    await office.check_conserved(*await office.finish(withdrawal))


@only["solana"]
async def test_what_was_not_signed_in_time_is_dead_and_made_anew_and_said_so(office: Office) -> None:
    withdrawal, tx = await asked(office)
    # Nobody was handed it, so it does not matter how old it is.
    office.chain.mine(30)
    await office.work()
    first = await office.withdrawals.outside.export(tx_id=tx.id)
    assert (first.last_height or 0) > office.chain.height
    await office.work()
    assert [one.id for one in await waiting(office)] == [tx.id]
    office.chain.mine(30)
    await office.work()
    assert await waiting(office) == []
    late = await office.look(withdrawal)
    assert (late.status, late.reason) == ("held", "signature_too_late")
    with pytest.raises(errors.UnsignedGone):
        await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)
    await office.work()
    await office.work()
    (other,) = await waiting(office)
    await office.withdrawals.outside.export(tx_id=other.id)
    await office.withdrawals.outside.accept(tx_id=other.id, signed=SIGNED)
    await office.check_conserved(*await office.finish(withdrawal))


@only["solana"]
async def test_two_that_the_chain_takes_for_one_are_not_both_paid_by_one_signature(office: Office) -> None:
    moved_out(office)
    account = await office.customer(10_000)
    withdrawals = [(await office.request(account, 1_000, "sim-a")).withdrawal.id for _ in range(2)]
    await office.work()
    await office.work()
    one, other = await waiting(office)
    for tx in (one, other):
        await office.withdrawals.outside.export(tx_id=tx.id)
    await office.withdrawals.outside.accept(tx_id=one.id, signed=SIGNED)
    with pytest.raises(errors.SignedAlready):
        await office.withdrawals.outside.accept(tx_id=other.id, signed=SIGNED)
    await office.work()
    office.chain.mine(30)
    for _ in range(4):
        await office.work()
    (other,) = await waiting(office)
    await office.withdrawals.outside.export(tx_id=other.id)
    await office.withdrawals.outside.accept(tx_id=other.id, signed=SIGNED)
    ended = await office.finish(*withdrawals)
    assert [one.status for one in ended] == ["settled", "settled"]
    assert office.chain.received("sim-a") == [1_000, 1_000]


@only["ethereum"]
async def test_a_raised_fee_waits_for_its_signature_while_the_first_may_still_be_mined(office: Office) -> None:
    withdrawal, tx = await asked(office)
    await office.withdrawals.outside.accept(tx_id=tx.id, signed=SIGNED)
    await office.work()
    await office.bump(withdrawal)
    await office.work()
    (raised,) = await waiting(office)
    assert raised.replaces == tx.id
    await office.withdrawals.outside.export(tx_id=raised.id)
    (ended,) = await office.finish(withdrawal)
    assert ended.status == "settled"
    with pytest.raises(errors.UnsignedGone):
        await office.withdrawals.outside.accept(tx_id=raised.id, signed=SIGNED)
    await office.check_conserved(ended)


@only["ethereum"]
async def test_what_was_handed_in_is_not_made_anew_while_no_node_can_say_what_was_sent_in_its_place(
    office: Office,
) -> None:
    withdrawal, first = await asked(office)
    given = await office.withdrawals.outside.export(tx_id=first.id)
    await office.withdrawals.outside.accept(tx_id=first.id, signed=SIGNED)
    other = {**json.loads(given.unsigned), "pays": [], "fee": 0}
    await office.chain.broadcast(signed(json.dumps(other).encode()))
    office.chain.mine(6)
    office.chain.has_forgotten = True
    for _ in range(4):
        await office.work()
    assert await waiting(office) == []
    assert (await office.look(withdrawal)).status not in ("held", "settled", "failed")
    office.chain.has_forgotten = False
    await signed_and_handed_in(office, await next_one(office, first))
    (ended,) = await office.finish(withdrawal)
    assert ended.status == "settled"
    await office.check_conserved(ended)


@only["ethereum"]
async def test_what_was_discarded_and_nobody_can_tell_of_is_given_up_by_an_operator_s_word(office: Office) -> None:
    withdrawal, first = await asked(office)
    outside = office.withdrawals.outside
    given = await outside.export(tx_id=first.id)
    await outside.discard(tx_id=first.id)
    second = await next_one(office, first)
    await outside.export(tx_id=second.id)
    await outside.accept(tx_id=second.id, signed=OTHERWISE)
    with pytest.raises(errors.UnsignedGone):
        await outside.discard(tx_id=first.id)
    # Something else has used up their number, long ago.
    other = {**json.loads(given.unsigned), "pays": [], "fee": 0}
    await office.chain.broadcast(signed(json.dumps(other).encode()))
    office.chain.mine(6)
    office.chain.has_forgotten = True
    for _ in range(3):
        await office.work()
    assert (await office.look(withdrawal)).status == "uncertain"
    (left,) = await waiting(office)
    assert left.id == first.id
    await outside.discard(tx_id=first.id)
    office.chain.has_forgotten = False
    third = await next_one(office, first)
    await signed_and_handed_in(office, third)
    (ended,) = await office.finish(withdrawal)
    assert ended.status == "settled"
    await office.check_conserved(ended)
