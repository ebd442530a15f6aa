"""Many orders at once, of which a person may give some alone: whatever happens meanwhile, no other one is posted."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from billfold.identity.contracts import NewAlias
from billfold.kernel import ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.wallets.contracts import NewAliasWallets, Order, OrderKind
from tests.integration.approvals.people import Bank, person

ONE: Final = Money("1.00", "USD")
ROUNDS = 200


class Between:
    """Something that happens after a bulk request was looked at and before it is posted."""

    def __init__(self, bank: Bank, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[object]]) -> None:
        orders = bank.wallets.bulk._supervision.orders

        async def then(*arguments: Any) -> None:
            await orders(*arguments)
            await happens()

        monkeypatch.setattr(bank.wallets.bulk._supervision, "orders", then)


def item(kind: OrderKind = "transfer", **words: Any) -> Order:
    return Order(kind=kind, idempotency_key=str(ids.new()), money=words.pop("money", ONE), **words)


async def bulk(bank: Bank, by: Principal, *items: Order, key: str | None = None) -> list[Any]:
    return list(await bank.wallets.bulk.move(principal=by, orders=items, atomic=False, key=key or str(ids.new())))


async def call_them(bank: Bank, somebody: Principal, name: str) -> None:
    async with bank.database.connection() as connection:
        await connection.execute("UPDATE identity.users SET display_name = $2 WHERE id = $1", somebody.user_id, name)


async def handle_of(bank: Bank, owner: Principal, *, leads_to: str) -> str:
    with_scope = msgspec.structs.replace(owner, scopes=owner.scopes | {"aliases:write", "aliases:read"})
    name = f"@h{ids.new().hex[-16:]}"
    await bank.identity.aliases.add(by=with_scope, new=NewAlias(alias=name))
    await bank.wallets.aliases.choose(principal=with_scope, alias=name, new=NewAliasWallets(wallet=leads_to))
    return name


async def test_an_order_that_was_wrong_when_it_was_looked_at_is_not_posted_when_it_is_right_by_then(
    bank: Bank, maker: Principal, hers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = await person(bank.database, "user")
    his = await bank.wallet(mallory)
    handle = await handle_of(bank, mallory, leads_to=his)
    await call_them(bank, mallory, "Beta Two")
    Between(bank, monkeypatch, lambda: call_them(bank, mallory, "Alpha One"))
    (error,) = await bulk(bank, maker, item(source=hers, target=handle, payee="Alpha One"))
    assert error.code == "payee_mismatch"
    later = f"@h{ids.new().hex[-16:]}"
    with_scope = msgspec.structs.replace(mallory, scopes=mallory.scopes | {"aliases:write"})
    monkeypatch.undo()
    Between(bank, monkeypatch, lambda: bank.identity.aliases.add(by=with_scope, new=NewAlias(alias=later)))
    (error,) = await bulk(bank, maker, item(source=hers, target=later))
    assert error.code == "alias_unknown"
    assert (await bank.posted(hers), await bank.posted(his)) == ("1000.00", "0.00")


async def test_an_alias_that_leads_elsewhere_by_then_gets_nothing_that_was_looked_at_for_another(
    bank: Bank, ada: Principal, hers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await bank.wallet(ada), await bank.wallet(ada)
    handle = await handle_of(bank, ada, leads_to=first)
    with_scope = msgspec.structs.replace(ada, scopes=ada.scopes | {"aliases:write"})

    async def lead() -> None:
        await bank.wallets.aliases.choose(principal=with_scope, alias=handle, new=NewAliasWallets(wallet=second))

    Between(bank, monkeypatch, lead)
    (moved,) = await bulk(bank, ada, item(source=hers, target=handle))
    assert moved.transfer.target == first


async def test_a_payee_who_changes_their_name_all_the_time_gets_nothing_by_it(
    bank: Bank, maker: Principal, hers: str
) -> None:
    mallory = await person(bank.database, "user")
    his = await bank.wallet(mallory)
    handle = await handle_of(bank, mallory, leads_to=his)
    stopped = asyncio.Event()

    async def toggle() -> None:
        for name in itertools.cycle(["Alpha One", "Beta Two"]):
            await call_them(bank, mallory, name)
            if stopped.is_set():
                return

    toggling = asyncio.create_task(toggle())
    codes = set()
    for _ in range(ROUNDS):
        try:
            (answer,) = await bulk(bank, maker, item(source=hers, target=handle, payee="Alpha One"))
            codes.add(answer.code)
        except Deferred as deferred:
            await bank.approvals.cancel(by=maker, approval_id=UUID(deferred.waits_for.id))
            codes.add("deferred")
    stopped.set()
    await toggling
    assert codes == {"payee_mismatch", "deferred"}
    assert (await bank.posted(hers), await bank.posted(his)) == ("1000.00", "0.00")


async def test_an_order_that_becomes_right_after_the_approval_is_not_carried_out_with_the_others(
    bank: Bank, maker: Principal, checker: Principal, hers: str
) -> None:
    mallory = await person(bank.database, "user")
    his = await bank.wallet(mallory)
    handle = f"@h{ids.new().hex[-16:]}"
    items = [item("deposit", target=hers), item(source=hers, target=handle)]
    with pytest.raises(Deferred) as deferred:
        await bulk(bank, maker, *items, key="late-1")
    with_scope = msgspec.structs.replace(mallory, scopes=mallory.scopes | {"aliases:write"})
    await bank.identity.aliases.add(by=with_scope, new=NewAlias(alias=handle))
    done = await bank.approve(checker, deferred.value.waits_for)
    assert (done.status, (done.reason or "").partition(":")[0]) == ("failed", "approval_stale")
    assert (await bank.posted(hers), await bank.posted(his)) == ("1000.00", "0.00")


@pytest.mark.parametrize("separate", [False, True])
async def test_a_request_of_which_only_a_part_needs_another_person_is_carried_out_as_a_whole(
    bank: Bank, checker: Principal, ada: Principal, hers: str, *, separate: bool
) -> None:
    other = await bank.wallet(ada)
    items = [
        item(source=hers, target=other),
        item("withdrawal", source=hers, money=Money("200.00", "USD")),
    ]
    if not separate:
        items = [msgspec.structs.replace(one, idempotency_key=None) for one in items]
    key = f"mixed-{separate}"
    with pytest.raises(Deferred) as deferred:
        await bulk(bank, ada, *items, key=key)
    assert (await bank.approve(checker, deferred.value.waits_for)).status == "executed"
    assert [answer.replayed for answer in await bulk(bank, ada, *items, key=key)] == [True, True]
    assert (await bank.posted(hers), await bank.posted(other)) == ("799.00", "1.00")


async def test_what_a_program_does_alone_it_does_alone_with_its_own_withdrawals_beside_it(bank: Bank) -> None:
    service = await person(bank.database, "user", "service")
    own = await bank.wallet(service, holding="10.00")
    await bulk(bank, service, item("deposit", target=own), item("withdrawal", source=own))
    assert await bank.posted(own) == "10.00"
