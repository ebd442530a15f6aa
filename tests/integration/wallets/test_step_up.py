"""What people withdraw above a limit, which they have to approve; and every way out of the house that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pyotp
import pytest

from billfold.identity import errors as identity_errors
from billfold.identity.contracts import NewAlias
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger.errors import Overloaded
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from billfold.wallets import Wallets
from billfold.wallets.contracts import OUTSIDE, Moved, NewHold, Order, Settlement, TransactionFilter
from tests import facades, servers
from tests.integration.identity.people import House
from tests.integration.wallets.conftest import MIGRATIONS
from tests.integration.wallets.support import SCOPES, wallet_of

LIMIT = "100.00"


@pytest.fixture(scope="module")
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With people in it."""
    return postgres_server.create_database(
        [*MIGRATIONS[:2], Migrations("identity", "billfold.identity.migrations"), *MIGRATIONS[2:]]
    )


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


@pytest.fixture
def wallets(database: Database, ledger: Ledger, house: House) -> Wallets:
    return Wallets(
        database=database,
        ledger=ledger,
        identity=facades.identity(database),
        clock=house.clock,
        step_up=house.step_up,
        step_up_above={"USD": LIMIT},
    )


@pytest.fixture
def rich(wallets: Wallets, house: House) -> Rich:
    return Rich(wallets, house)


class Rich:
    """Somebody with an authenticator app and a thousand dollars."""

    def __init__(self, wallets: Wallets, house: House) -> None:
        self.wallets = wallets
        self.house = house
        self.principal: Principal
        self.wallet = ""
        self.app: pyotp.TOTP

    async def arrives(self) -> Rich:
        person = await self.house.person()
        self.app = await self.house.app(person)
        self.principal = msgspec.structs.replace(person, scopes=SCOPES | person.scopes)
        # A program of the house brings the money.
        self.wallet = await wallet_of(
            self.wallets, msgspec.structs.replace(self.principal, user_id=None), holding="1000.00"
        )
        return self

    async def withdraw(
        self,
        amount: str,
        *,
        key: str | None = None,
        step_up: UUID | None = None,
        by: Principal | None = None,
        reference: str = "",
    ) -> Moved:
        order = Order(kind="withdrawal", source=self.wallet, money=Money(amount, "USD"), reference=reference)
        return await self.wallets.movements.move(
            principal=by or self.principal, order=order, key=key or str(ids.new()), step_up=step_up
        )

    async def bulk(
        self, amounts: Sequence[str], *, key: str, step_up: UUID | None = None, separate: bool = False
    ) -> list[Moved | BillfoldError]:
        items = [
            Order(
                kind="withdrawal",
                source=self.wallet,
                money=Money(amount, "USD"),
                idempotency_key=f"{key}-{place}" if separate else None,
            )
            for place, amount in enumerate(amounts)
        ]
        return await self.wallets.bulk.move(
            principal=self.principal, orders=items, atomic=False, key=key, step_up=step_up
        )

    async def approve(self, required: pytest.ExceptionInfo[identity_errors.StepUpRequired]) -> UUID:
        """Approve what was refused."""
        waiting = UUID(required.value.extensions["step_up"]["id"])
        await self.house.approve(self.principal, waiting, self.app)
        return waiting

    async def balance(self) -> str:
        found = await self.wallets.balances.now(principal=self.principal, wallet_id=UUID(self.wallet))
        return found[0].posted


async def test_up_to_the_limit_nothing_is_asked(rich: Rich) -> None:
    await (await rich.arrives()).withdraw(LIMIT)
    assert await rich.balance() == "900.00"


async def test_above_it_the_person_approves_that_very_withdrawal(rich: Rich) -> None:
    await rich.arrives()
    with pytest.raises(identity_errors.StepUpRequired) as required:
        await rich.withdraw("100.01", key="k")
    shown = required.value.extensions["step_up"]
    assert shown["operation"] == "withdrawal"
    assert (shown["content"]["amount"], shown["content"]["from"], shown["content"]["to"]) == (
        "100.01 USD",
        rich.wallet,
        "outside",
    )
    proof = await rich.approve(required)
    for other in (
        rich.withdraw("100.02", key="k", step_up=proof),
        rich.withdraw("100.01", key="k", step_up=proof, reference="another account"),
    ):
        with pytest.raises(identity_errors.StepUpRequired):
            await other
    first = await rich.withdraw("100.01", key="k", step_up=proof)
    again = await rich.withdraw("100.01", key="k", step_up=proof)
    without = await rich.withdraw("100.01", key="k")
    assert (first.replayed, again.replayed, without.replayed) == (False, True, True)
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.withdraw("100.01", key="another", step_up=proof)
    assert await rich.balance() == "899.99"


async def test_what_is_carried_out_later_is_approved_when_it_is_accepted(rich: Rich) -> None:
    await rich.arrives()
    order = Order(kind="withdrawal", source=rich.wallet, money=Money("300.00", "USD"))
    accept = rich.wallets.requests.accept
    with pytest.raises(identity_errors.StepUpRequired) as required:
        await accept(principal=rich.principal, order=order, key="k")
    proof = await rich.approve(required)
    accepted = (await accept(principal=rich.principal, order=order, key="k", step_up=proof)).request
    assert accepted is not None
    # The worker has no approval to show, and the approval is used up for everything else.
    await rich.wallets.carrying_out.named(request_ids=[accepted.id])
    assert await rich.balance() == "700.00"
    with pytest.raises(identity_errors.StepUpRequired):
        await accept(principal=rich.principal, order=order, key="another", step_up=proof)


async def test_what_is_accepted_counts_towards_the_limit_before_it_is_carried_out(rich: Rich) -> None:
    await rich.arrives()
    order = Order(kind="withdrawal", source=rich.wallet, money=Money("60.00", "USD"))
    accepted = (await rich.wallets.requests.accept(principal=rich.principal, order=order, key="k")).request
    assert accepted is not None
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.wallets.requests.accept(principal=rich.principal, order=order, key="more")
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.withdraw("60.00")
    await rich.wallets.carrying_out.named(request_ids=[accepted.id])
    assert await rich.balance() == "940.00"


async def test_a_key_of_a_person_is_asked_too_and_a_program_is_not(rich: Rich) -> None:
    await rich.arrives()
    key = msgspec.structs.replace(rich.principal, credential_id=ids.new(), is_session=False)
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.withdraw("500.00", by=key)
    await rich.withdraw("500.00", by=msgspec.structs.replace(key, user_id=None))


async def test_many_small_ones_at_once_are_no_way_around(rich: Rich) -> None:
    await rich.arrives()
    outcomes = await asyncio.gather(*(rich.withdraw("30.00") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Moved) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, identity_errors.StepUpRequired) for outcome in outcomes) == 17
    assert await rich.balance() == "910.00"


async def test_what_was_approved_does_not_add_up_and_a_day_later_nothing_does(rich: Rich) -> None:
    await rich.arrives()
    with pytest.raises(identity_errors.StepUpRequired) as required:
        await rich.withdraw("300.00", key="k")
    await rich.withdraw("300.00", key="k", step_up=await rich.approve(required))
    await rich.withdraw("100.00")
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.withdraw("0.01")
    rich.house.clock.go_on(hours=24)
    await rich.withdraw("100.00")


async def test_a_repeated_request_adds_nothing_and_the_same_key_for_more_is_none(rich: Rich) -> None:
    await rich.arrives()
    for _ in range(5):
        await rich.withdraw("60.00", key="k")
    assert await rich.balance() == "940.00"
    with pytest.raises(IdempotencyKeyReused):
        await rich.withdraw("600.00", key="k")
    assert await rich.balance() == "940.00"


async def test_a_request_that_came_to_nothing_lets_no_other_pass_under_its_key(
    rich: Rich, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rich.arrives()
    ledger = rich.wallets.movements._ledger

    async def overloaded(**_: object) -> object:
        raise Overloaded

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "post", overloaded)
        with pytest.raises(Overloaded):
            await rich.withdraw("60.00", key="k")
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.withdraw("600.00", key="k")


@pytest.mark.parametrize("separate", [False, True])
async def test_a_bulk_request_is_approved_as_a_whole(rich: Rich, *, separate: bool) -> None:
    await rich.arrives()
    with pytest.raises(identity_errors.StepUpRequired) as required:
        await rich.bulk(["60.00", "60.00"], key="k", separate=separate)
    content = required.value.extensions["step_up"]["content"]
    assert (content["amount"], content["items"]) == ("120.00 USD", "2")
    proof = await rich.approve(required)
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.bulk(["60.00", "60.00", "1.00"], key="k", step_up=proof, separate=separate)
    outcomes = await rich.bulk(["60.00", "60.00"], key="k", step_up=proof, separate=separate)
    assert all(isinstance(outcome, Moved) for outcome in outcomes)
    assert await rich.balance() == "880.00"


async def test_a_hold_that_is_settled_outside_is_a_withdrawal(rich: Rich) -> None:
    await rich.arrives()
    placed = await rich.wallets.holds.place(
        principal=rich.principal, new=NewHold(wallet=rich.wallet, money=Money("400.00", "USD")), key=str(ids.new())
    )

    async def settle(step_up: UUID | None = None) -> None:
        await rich.wallets.holds.settle(
            principal=rich.principal,
            hold_id=UUID(str(placed.hold.id)),
            settlement=Settlement(target=OUTSIDE),
            key="k",
            step_up=step_up,
        )

    with pytest.raises(identity_errors.StepUpRequired) as required:
        await settle()
    assert required.value.extensions["step_up"]["content"]["amount"] == "400.00 USD"
    await settle(await rich.approve(required))
    assert await rich.balance() == "600.00"


async def test_a_deposit_that_is_sent_back_is_a_withdrawal(rich: Rich) -> None:
    await rich.arrives()
    page = await rich.wallets.transactions.page(principal=rich.principal, wanted=TransactionFilter(wallet=rich.wallet))
    deposit = page.items[0].id

    async def reverse(amount: str, step_up: UUID | None = None) -> Moved:
        return await rich.wallets.movements.reverse(
            principal=rich.principal, transfer_id=deposit, money=Money(amount, "USD"), key="k", step_up=step_up
        )

    with pytest.raises(identity_errors.StepUpRequired) as required:
        await reverse("700.00")
    await reverse("700.00", await rich.approve(required))
    assert await rich.balance() == "300.00"


async def test_who_has_no_factor_is_told_to_add_one(rich: Rich) -> None:
    await rich.arrives()
    poor = await rich.house.person()
    with pytest.raises(identity_errors.SecondFactorMissing):
        by = msgspec.structs.replace(rich.principal, user_id=poor.user_id)
        await rich.withdraw("500.00", by=by)


async def test_an_alias_that_comes_to_be_later_takes_no_more_out_than_was_reckoned(rich: Rich) -> None:
    await rich.arrives()
    handle = f"@h{ids.new().hex[-16:]}"
    items = [
        Order(kind="withdrawal", source=source, money=Money(amount, "USD"), idempotency_key=f"late-{amount}")
        for source, amount in ((rich.wallet, "1.00"), (handle, "500.00"))
    ]

    async def send() -> list[Moved | BillfoldError]:
        return await rich.wallets.bulk.move(principal=rich.principal, orders=items, atomic=False, key="late")

    small, missing = await send()
    assert isinstance(small, Moved)
    assert isinstance(missing, identity_errors.AliasUnknown)
    with_scope = msgspec.structs.replace(rich.principal, scopes=rich.principal.scopes | {"aliases:write"})
    await facades.identity(rich.house.database).aliases.add(by=with_scope, new=NewAlias(alias=handle))
    with pytest.raises(identity_errors.StepUpRequired):
        await send()
    assert await rich.balance() == "999.00"


async def test_a_key_that_has_an_answer_is_no_way_around_for_items_with_keys_of_their_own(rich: Rich) -> None:
    await rich.arrives()
    await rich.withdraw("1.00", key="k")
    with pytest.raises(identity_errors.StepUpRequired):
        await rich.bulk(["500.00"], key="k", separate=True)
    assert await rich.balance() == "999.00"


async def test_separate_requests_that_were_answered_ask_for_no_factor_any_more(rich: Rich) -> None:
    await rich.arrives()
    with pytest.raises(identity_errors.StepUpRequired) as required:
        await rich.bulk(["60.00", "60.00"], key="k", separate=True)
    await rich.bulk(["60.00", "60.00"], key="k", separate=True, step_up=await rich.approve(required))
    again = await rich.bulk(["60.00", "60.00"], key="k", separate=True)
    assert [isinstance(one, Moved) and one.replayed for one in again] == [True, True]


async def test_every_withdrawal_of_a_bulk_request_is_read_before_it_is_approved(rich: Rich) -> None:
    await rich.arrives()

    def withdrawal(amount: str, **words: Any) -> Order:
        return Order(kind="withdrawal", source=rich.wallet, money=Money(amount, "USD"), **words)

    async def shown(*orders: Order) -> dict[str, str]:
        with pytest.raises(identity_errors.StepUpRequired) as required:
            await rich.wallets.bulk.move(principal=rich.principal, orders=orders, atomic=False, key=str(ids.new()))
        content: dict[str, str] = required.value.extensions["step_up"]["content"]
        return content

    sent = Order(source=rich.wallet, target=str(ids.new()), money=Money("1.00", "USD"))
    two = await shown(withdrawal("60.00", reference="Rent\n7"), sent, withdrawal("70.00", description="To Bob"))
    assert (two["withdrawal 1"], two["withdrawal 2"]) == (
        f'60.00 USD from {rich.wallet}, reference "Rent\\n7"',
        f'70.00 USD from {rich.wallet}, description "To Bob"',
    )
    assert "withdrawal 3" not in two
    many = await shown(*(withdrawal("10.00") for _ in range(25)))
    assert (many["withdrawals left out"], many["items"], "withdrawal 21" in many) == ("and 5 more", "25", False)
    other = await shown(*(withdrawal("10.00") for _ in range(24)), withdrawal("10.00", reference="another"))
    assert other["request"] != many["request"]
