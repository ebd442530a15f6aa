"""What a person may do alone with money, and what takes a second one."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold.identity import errors
from billfold.identity.contracts import Approval, NewAlias
from billfold.kernel import idempotency, ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.wallets import Wallets
from billfold.wallets.contracts import OUTSIDE, NewAliasWallets, NewHold, Order, Settlement
from tests.integration.approvals.people import ABOVE, Bank, by_key, person, program

ONE = Money("1.00", "USD")


async def test_a_manual_deposit_waits_for_another_person_and_then_happens_once(
    bank: Bank, maker: Principal, checker: Principal, hers: str
) -> None:
    asked = await bank.asked(maker, "deposit", target=hers, amount="5.00", key="d-1")
    assert (asked.status, asked.maker_id, asked.kind) == ("pending", str(maker.user_id), "movement")
    assert asked.content["money"] == {"amount": "5.00", "asset": "USD"}
    assert await bank.posted(hers) == "1000.00"
    assert (await bank.asked(maker, "deposit", target=hers, amount="5.00", key="d-1")).id == asked.id
    done = await bank.approve(checker, asked)
    assert (done.status, done.checker_id) == ("executed", str(checker.user_id))
    assert await bank.posted(hers) == "1005.00"
    # The maker's own request, sent again, is answered with the transfer.
    again = await bank.move(maker, "deposit", target=hers, amount="5.00", key="d-1")
    assert (again.replayed, again.transfer.money.amount) == (True, "5.00")
    assert (await bank.approve(checker, asked)).status == "executed"
    assert await bank.posted(hers) == "1005.00"


async def test_another_request_with_the_key_of_one_that_waits_is_refused(
    bank: Bank, maker: Principal, hers: str
) -> None:
    await bank.asked(maker, "deposit", target=hers, amount="5.00", key="d-2")
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await bank.move(maker, "deposit", target=hers, amount="6.00", key="d-2")


async def test_every_way_to_move_others_money_by_hand_takes_a_second_person(
    bank: Bank, maker: Principal, checker: Principal, ada: Principal, hers: str
) -> None:
    bob = await person(bank.database, "user")
    his = await bank.wallet(bob, holding="10.00")
    paid = (await bank.move(ada, "transfer", source=hers, target=his, amount="2.00")).transfer
    placed = await bank.wallets.holds.place(principal=ada, new=NewHold(wallet=hers, money=ONE), key=str(ids.new()))
    other = await bank.wallets.holds.place(principal=ada, new=NewHold(wallet=hers, money=ONE), key=str(ids.new()))
    acts = {
        "transfer": bank.move(maker, "transfer", source=hers, target=his),
        "deposit": bank.move(maker, "deposit", target=his),
        "withdrawal": bank.move(maker, "withdrawal", source=hers),
        "reversal": bank.wallets.movements.reverse(principal=maker, transfer_id=paid.id, money=None, key="r-1"),
        "settlement": bank.wallets.holds.settle(
            principal=maker, hold_id=placed.hold.id, settlement=Settlement(target=OUTSIDE), key="s-1"
        ),
        "hold": bank.wallets.holds.place(principal=maker, new=NewHold(wallet=his, money=ONE), key="p-1"),
        "release": bank.wallets.holds.release(principal=maker, hold_id=other.hold.id, key="l-1"),
        "bulk": bank.wallets.bulk.move(
            principal=maker, orders=[Order(source=hers, target=his, money=ONE)], atomic=False, key="b-1"
        ),
        "items with keys of their own": bank.wallets.bulk.move(
            principal=maker,
            orders=[Order(kind="deposit", target=hers, money=ONE, idempotency_key="i-1")],
            atomic=False,
            key="b-2",
        ),
    }
    waiting: list[Approval] = []
    for name, act in acts.items():
        with pytest.raises(Deferred) as deferred:
            await act
            pytest.fail(f"{name} went through")
        waiting.append(deferred.value.waits_for)
    assert (await bank.posted(hers), await bank.posted(his)) == ("998.00", "12.00")
    for approval in waiting:
        assert (await bank.approve(checker, approval)).status == "executed", approval
    # Hers: -1 transfer, -1 withdrawal, +2 reversal, -1 settlement, -1 bulk, +1 item. His: +1, +1, -2, +1.
    assert (await bank.posted(hers), await bank.posted(his)) == ("997.00", "13.00")
    assert (await bank.wallets.holds.hold(principal=ada, hold_id=other.hold.id)).status == "released"
    assert [hold.status for hold in (await bank.wallets.holds.holds(principal=bob)).items] == ["active"]


async def test_people_move_their_own_money_alone(bank: Bank, ada: Principal, hers: str) -> None:
    other = await bank.wallet(ada)
    await bank.move(ada, "transfer", source=hers, target=other, amount="500.00")
    await bank.move(ada, "withdrawal", source=hers, amount="100.00")
    held = await bank.wallets.holds.place(principal=ada, new=NewHold(wallet=hers, money=ONE), key=str(ids.new()))
    released = await bank.wallets.holds.release(principal=ada, hold_id=held.hold.id, key=str(ids.new()))
    assert released.hold.status == "released"
    assert await bank.posted(hers) == "400.00"


async def test_a_large_withdrawal_takes_a_second_person_whatever_the_credentials(
    bank: Bank, checker: Principal, ada: Principal, hers: str
) -> None:
    for credentials in (ada, by_key(ada)):
        asked = await bank.asked(credentials, "withdrawal", source=hers, amount="100.01")
        assert (await bank.approve(checker, asked)).status == "executed"
    assert await bank.posted(hers) == "799.98"


async def test_no_way_around_the_largest_withdrawal(bank: Bank, ada: Principal, hers: str) -> None:
    placed = await bank.wallets.holds.place(
        principal=ada, new=NewHold(wallet=hers, money=Money("100.01", "USD")), key=str(ids.new())
    )
    with pytest.raises(Deferred):
        await bank.wallets.holds.settle(
            principal=ada, hold_id=placed.hold.id, settlement=Settlement(target=OUTSIDE), key="h-1"
        )
    half = Order(kind="withdrawal", source=hers, money=Money("50.01", "USD"))
    with pytest.raises(Deferred):
        await bank.wallets.bulk.move(principal=ada, orders=[half, half], atomic=True, key="h-2")
    seeded = (await bank.move(bank.machine, "deposit", target=hers, amount="100.01")).transfer
    with pytest.raises(Deferred):
        await bank.wallets.movements.reverse(
            principal=by_key(ada, "transfers:write", "withdrawals:write"), transfer_id=seeded.id, money=None, key="h-3"
        )
    assert await bank.posted(hers) == "1100.01"


async def test_small_withdrawals_add_up_whatever_the_credentials(
    bank: Bank, checker: Principal, ada: Principal, hers: str
) -> None:
    """What leaves alone within a day: many small ones are no way around the largest."""
    await bank.move(ada, "withdrawal", source=hers, amount="60.00", key="a-1")
    await bank.move(by_key(ada), "withdrawal", source=hers, amount="40.00")
    asked = await bank.asked(ada, "withdrawal", source=hers, amount="0.01", key="a-2")
    half = Order(kind="withdrawal", source=hers, money=Money("0.01", "USD"))
    with pytest.raises(Deferred):
        await bank.wallets.bulk.move(principal=by_key(ada), orders=[half, half], atomic=True, key="a-3")
    # What was answered before is answered again.
    assert (await bank.move(ada, "withdrawal", source=hers, amount="60.00", key="a-1")).replayed
    assert (await bank.approve(checker, asked)).status == "executed"
    assert (await bank.move(ada, "withdrawal", source=hers, amount="0.01", key="a-2")).replayed
    assert await bank.posted(hers) == "899.99"


async def test_what_another_person_has_approved_does_not_count(
    bank: Bank, checker: Principal, ada: Principal, hers: str
) -> None:
    asked = await bank.asked(ada, "withdrawal", source=hers, amount="500.00")
    assert (await bank.approve(checker, asked)).status == "executed"
    await bank.move(ada, "withdrawal", source=hers, amount="100.00")
    await bank.asked(ada, "withdrawal", source=hers, amount="0.01")


async def test_of_many_withdrawals_at_once_no_more_leaves_alone(bank: Bank, ada: Principal, hers: str) -> None:
    tried = (bank.move(ada, "withdrawal", source=hers, amount="30.00") for _ in range(10))
    found = await asyncio.gather(*tried, return_exceptions=True)
    assert sum(isinstance(one, Deferred) for one in found) == 7
    assert await bank.posted(hers) == "910.00"


async def test_who_posts_by_hand_fills_no_wallet_of_their_own_alone(bank: Bank, maker: Principal) -> None:
    own = await bank.wallet(maker)
    # Neither with the scope for others' wallets left out of a key.
    for credentials in (maker, by_key(maker), by_key(maker, "deposits:write")):
        await bank.asked(credentials, "deposit", target=own)
    assert await bank.posted(own) == "0.00"


async def test_programs_ask_nobody(bank: Bank, hers: str) -> None:
    system = program("operator", "deposits:write", "withdrawals:write")
    await bank.move(system, "deposit", target=hers, amount="500.00")
    await bank.move(system, "withdrawal", source=hers, amount="200.00")
    service = await person(bank.database, "user", "service")
    own = await bank.wallet(service)
    await bank.move(service, "deposit", target=own, amount="500.00")
    assert (await bank.posted(hers), await bank.posted(own)) == ("1300.00", "500.00")


async def test_credit_limits_are_set_by_two(
    bank: Bank, maker: Principal, checker: Principal, ada: Principal, hers: str
) -> None:
    async def ask(amount: str) -> Approval:
        with pytest.raises(Deferred) as deferred:
            await bank.wallets.registry.limit(principal=maker, wallet_id=UUID(hers), limits=[Money(amount, "USD")])
        approval: Approval = deferred.value.waits_for
        return approval

    async def limit() -> str | None:
        (balance,) = await bank.wallets.balances.now(principal=ada, wallet_id=UUID(hers))
        return balance.credit_limit

    first = await ask("50.00")
    assert (await ask("50.00")).id == first.id
    lower = await ask("20.00")
    assert await limit() == "0.00"
    assert (await bank.approve(checker, first)).status == "executed"
    assert await limit() == "50.00"
    assert (await bank.approve(checker, lower)).status == "executed"
    # What was approved and carried out once is not carried out again.
    assert (await bank.approve(checker, first)).status == "executed"
    assert await limit() == "20.00"
    # The same words later are another request.
    assert (await ask("50.00")).id != first.id


async def test_what_cannot_be_done_when_it_is_approved_has_failed_and_says_why(
    bank: Bank, maker: Principal, checker: Principal, ada: Principal, hers: str
) -> None:
    asked = await bank.asked(maker, "withdrawal", source=hers, amount="1000.00", key="w-1")
    await bank.move(ada, "withdrawal", source=hers, amount="1.00")
    done = await bank.approve(checker, asked)
    assert done.status == "failed"
    assert (done.reason or "").startswith("insufficient_funds: ")
    with pytest.raises(errors.ApprovalEnded, match="could not be carried out"):
        await bank.move(maker, "withdrawal", source=hers, amount="1000.00", key="w-1")
    assert await bank.posted(hers) == "999.00"


async def test_an_order_that_is_wrong_by_itself_asks_nobody(bank: Bank, maker: Principal) -> None:
    before = await bank.approvals.list(by=maker)
    for _ in range(2):
        with pytest.raises(Exception, match="wallet"):
            await bank.move(maker, "deposit", target=str(ids.new()))
    assert await bank.approvals.list(by=maker) == before


async def test_an_alias_is_no_way_around_a_second_person(
    bank: Bank, maker: Principal, checker: Principal, ada: Principal, hers: str
) -> None:
    handle = "@w" + ids.new().hex[-12:].translate(str.maketrans("0123456789", "ghjknpqrst"))
    await bank.identity.aliases.add(by=ada, new=NewAlias(alias=handle))
    asked = await bank.asked(maker, "deposit", target=handle, amount="5.00", key="alias-1")
    await bank.asked(ada, "withdrawal", source=handle, amount="500.00", key="alias-2")
    with pytest.raises(Deferred):
        item = Order(kind="deposit", target=handle, money=ONE, idempotency_key="alias-3")
        await bank.wallets.bulk.move(principal=maker, orders=[item], atomic=False, key="alias-4")
    assert await bank.posted(hers) == "1000.00"
    assert (await bank.approve(checker, asked)).status == "executed"
    assert await bank.posted(hers) == "1005.00"
    # The maker's repeat is answered, also when the alias is nobody's any more.
    await bank.identity.aliases.release(by=ada, alias=handle)
    again = await bank.move(maker, "deposit", target=handle, amount="5.00", key="alias-1")
    assert (again.replayed, again.transfer.target) == (True, hers)
    assert await bank.posted(hers) == "1005.00"


async def test_what_was_approved_for_an_alias_goes_where_it_led_then_or_nowhere(
    bank: Bank, maker: Principal, checker: Principal, ada: Principal, hers: str
) -> None:
    owner = msgspec.structs.replace(ada, scopes=ada.scopes | {"aliases:write", "aliases:read"})
    name = f"@h{ids.new().hex[-16:]}"
    await bank.identity.aliases.add(by=owner, new=NewAlias(alias=name))
    other = await bank.wallet(ada)
    lead = bank.wallets.aliases.choose
    await lead(principal=owner, alias=name, new=NewAliasWallets(wallet=hers))
    same = await bank.asked(maker, "deposit", target=name, amount="5.00", key="a-1")
    stale = await bank.asked(maker, "deposit", target=name, amount="7.00", key="a-2")
    assert same.resolved == [f"deposit outside → {hers} 5.00 USD"]
    assert (await bank.approve(checker, same)).status == "executed"
    await lead(principal=owner, alias=name, new=NewAliasWallets(wallet=other))
    done = await bank.approve(checker, stale)
    assert (done.status, (done.reason or "").partition(":")[0]) == ("failed", "approval_stale")
    # What is done is answered as it was, wherever the alias leads by now.
    assert (await bank.move(maker, "deposit", target=name, amount="5.00", key="a-1")).replayed
    assert (await bank.posted(hers), await bank.posted(other)) == ("1005.00", "0.00")


async def test_what_needs_both_the_callers_factor_and_another_person_asks_for_the_factor_once(
    bank: Bank, checker: Principal, ada: Principal, hers: str
) -> None:
    """The request that is carried out later is the very one that its maker has approved."""
    seen: list[tuple[Any, ...]] = []

    class Factor:
        async def demand(self, *, principal: Principal, operation: str, content: Any, key: Any, proof: Any) -> None:
            seen.append((principal.user_id, operation, content, key))
            assert proof is not None or len(seen) > 1, "the first time it names the maker's approval"

    wallets = Wallets(
        database=bank.database,
        ledger=bank.ledger,
        identity=bank.identity,
        approvals=bank.approvals,
        approval_above=ABOVE,
        step_up=Factor(),  # type: ignore[arg-type]
        step_up_above={"USD": "10"},
    )
    bank.approvals.carried_out_by(wallets.executors)
    order = Order(kind="withdrawal", source=hers, money=Money("200.00", "USD"))
    with pytest.raises(Deferred) as deferred:
        await wallets.movements.move(principal=ada, order=order, key="f-1", step_up=ids.new())
    assert (await bank.approve(checker, deferred.value.waits_for)).status == "executed"
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert await bank.posted(hers) == "800.00"
