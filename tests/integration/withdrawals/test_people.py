"""Who may withdraw to a chain, and what they have to show: a factor for a new address, and no wallet of others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from billfold.custody.errors import WithdrawalUnknown
from billfold.identity.errors import StepUpRequired
from billfold.kernel.errors import Refusal
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewHold, Order, Settlement
from billfold.wallets.contracts.chain_withdrawals import NewChainWithdrawal, SentOut
from billfold.wallets.errors import AssetOnChain, HoldOfWithdrawal, WalletUnknown
from tests import facades
from tests.integration.identity.people import House
from tests.integration.wallets.support import SCOPES, move, wallet_of
from tests.integration.withdrawals.support import Office

#: In the display unit of an asset with eighteen decimals.
_AMOUNT = "0.000000000000001"


class Person:
    """Somebody with a wallet that has ether in it."""

    def __init__(self, office: Office) -> None:
        self.house = House(office.database)
        serving = SimpleNamespace(names=frozenset({"ethereum"}))
        custody: Any = SimpleNamespace(withdrawals=office.withdrawals, serving=serving)
        self.wallets = Wallets(
            database=office.database,
            ledger=office.ledger,
            identity=facades.identity(office.database),
            custody=custody,
            clock=self.house.clock,
            step_up=self.house.step_up,
        )
        self.principal: Principal
        self.wallet = ""

    async def arrives(self) -> Person:
        person = await self.house.person()
        self.principal = msgspec.structs.replace(person, scopes=SCOPES | person.scopes)
        self.program = msgspec.structs.replace(self.principal, user_id=None)
        self.wallet = await wallet_of(self.wallets, self.program)
        self.operator = msgspec.structs.replace(self.program, scopes=SCOPES | {"operator"})
        await move(self.wallets, self.operator, "deposit", target=self.wallet, amount="0.1", asset="ETH")
        return self

    async def withdraw(
        self,
        to: str = "sim-a",
        *,
        key: str = "k",
        step_up: UUID | None = None,
        amount: str = _AMOUNT,
        max_fee: str | UnsetType = UNSET,
    ) -> SentOut:
        new = NewChainWithdrawal(wallet=self.wallet, money=Money(amount, "ETH"), to=to, max_fee=max_fee)
        return await self.wallets.chain_withdrawals.create(principal=self.principal, new=new, key=key, step_up=step_up)


@pytest.fixture
def chain_name() -> str:
    return "ethereum"


@pytest.fixture
async def person(office: Office) -> Person:
    """New addresses wait for as long as they do by default."""
    return await Person(office).arrives()


async def test_a_new_address_is_confirmed_by_a_factor_together_with_the_amount(person: Person) -> None:
    app = await person.house.app(person.principal)
    with pytest.raises(StepUpRequired) as required:
        await person.withdraw()
    shown = required.value.extensions["step_up"]
    assert (shown["content"]["amount"], shown["content"]["to"]) == (f"{_AMOUNT} ETH", "sim-a")
    proof = UUID(shown["id"])
    await person.house.approve(person.principal, proof, app)
    for changed in ({"to": "sim-b"}, {"amount": "0.000000000000002"}):
        with pytest.raises(StepUpRequired):
            await person.withdraw(**changed, step_up=proof)
    first = await person.withdraw(step_up=proof)
    assert (first.withdrawal.status, first.withdrawal.waits_until) == ("held", None)
    again = await person.withdraw()
    assert (again.replayed, again.withdrawal.id) == (True, first.withdrawal.id)
    # The address is known by now.
    assert (await person.withdraw(key="another")).withdrawal.status == "held"


async def test_what_the_fees_may_be_is_confirmed_with_the_rest(person: Person) -> None:
    app = await person.house.app(person.principal)
    with pytest.raises(StepUpRequired) as required:
        await person.withdraw(max_fee="0.001")
    shown = required.value.extensions["step_up"]
    assert shown["content"]["fees"] == "at most 0.001 ETH"
    proof = UUID(shown["id"])
    await person.house.approve(person.principal, proof, app)
    for other in (UNSET, "0.002"):
        with pytest.raises(StepUpRequired):
            await person.withdraw(max_fee=other, step_up=proof)
    assert (await person.withdraw(max_fee="0.001", step_up=proof)).withdrawal.status == "held"


@pytest.mark.parametrize(
    ("max_fee", "code"),
    [
        ("0", "fee_above_maximum"),
        ("-1", "fee_above_maximum"),
        ("a little", "invalid_amount"),
        ("0.0000000000000000001", "amount_too_precise"),
    ],
)
async def test_fees_that_nobody_agrees_to_are_not_held(person: Person, max_fee: str, code: str) -> None:
    person.principal = person.program
    with pytest.raises(Refusal) as refused:
        await person.withdraw(max_fee=max_fee)
    assert (refused.value.code, refused.value.pointer) == (code, "/max_fee")
    assert (await person.wallets.holds.holds(principal=person.program, wallet=person.wallet)).items == []


async def test_whoever_has_no_factor_waits_and_so_does_a_program(person: Person) -> None:
    assert (await person.withdraw()).withdrawal.status == "waiting"
    person.principal = person.program
    assert (await person.withdraw("sim-b", key="another")).withdrawal.status == "waiting"


async def test_nobody_sees_cancels_or_spends_what_is_anothers(office: Office, person: Person) -> None:
    mine = (await person.withdraw()).withdrawal
    stranger = await Person(office).arrives()
    reading = stranger.wallets.chain_withdrawals
    for call in (reading.withdrawal, reading.cancel):
        with pytest.raises(WithdrawalUnknown):
            await call(principal=stranger.principal, withdrawal_id=mine.id)
    with pytest.raises(WalletUnknown):
        await reading.page(principal=stranger.principal, wallet_id=UUID(person.wallet))
    stranger.wallet = person.wallet
    with pytest.raises(WalletUnknown):
        await stranger.withdraw()
    ours = person.wallets.chain_withdrawals
    (seen,) = (await ours.page(principal=person.principal, wallet_id=UUID(person.wallet))).items
    assert seen == mine
    cancelled = await ours.cancel(principal=person.principal, withdrawal_id=mine.id)
    assert cancelled.status == "cancelled"
    balances = await person.wallets.balances.now(principal=person.principal, wallet_id=UUID(person.wallet))
    assert [(one.posted, one.held) for one in balances] == [("0.100000000000000000", "0.000000000000000000")]


async def test_nobody_ends_the_hold_of_a_withdrawal_and_spends_its_money_again(person: Person) -> None:
    await person.withdraw()
    (held,) = (await person.wallets.holds.holds(principal=person.program, wallet=person.wallet)).items
    operator = msgspec.structs.replace(person.program, scopes=person.program.scopes | {"operator"})
    for who in (person.program, operator):
        with pytest.raises(HoldOfWithdrawal):
            await person.wallets.holds.release(principal=who, hold_id=held.id, key="r")
        with pytest.raises(HoldOfWithdrawal):
            outside = Settlement(target="outside", money=None, release_rest=True)
            await person.wallets.holds.settle(principal=who, hold_id=held.id, settlement=outside, key="s")
    (after,) = (await person.wallets.holds.holds(principal=person.program, wallet=person.wallet)).items
    assert after == held


async def test_nobody_but_an_operator_books_what_is_on_a_chain_beside_it(person: Person) -> None:
    for caller in (person.principal, person.program):
        for sides in ({"kind": "deposit", "target": person.wallet}, {"kind": "withdrawal", "source": person.wallet}):
            order: Any = sides
            with pytest.raises(AssetOnChain):
                await move(person.wallets, caller, **order, amount="0.01", asset="ETH")
    several = [Order(kind="withdrawal", source=person.wallet, target=None, money=Money("0.01", "ETH"))]
    with pytest.raises(AssetOnChain):
        await person.wallets.bulk.move(principal=person.program, orders=several, atomic=False, key="all")
    each = [msgspec.structs.replace(several[0], idempotency_key="one")]
    (outcome,) = await person.wallets.bulk.move(principal=person.program, orders=each, atomic=False, key="each")
    assert isinstance(outcome, AssetOnChain)
    holds = person.wallets.holds
    held = await holds.place(
        principal=person.program, new=NewHold(wallet=person.wallet, money=Money("0.01", "ETH")), key="hold"
    )
    outside = Settlement(target="outside")
    with pytest.raises(AssetOnChain):
        await holds.settle(principal=person.program, hold_id=held.hold.id, settlement=outside, key="settle")
    # What is on no chain that is served goes as ever.
    await move(person.wallets, person.program, "deposit", target=person.wallet, amount="5.00")
    await move(person.wallets, person.program, "withdrawal", source=person.wallet, amount="5.00")
    assert (
        await move(person.wallets, person.operator, "withdrawal", source=person.wallet, amount="0.01", asset="ETH")
    ).transfer
