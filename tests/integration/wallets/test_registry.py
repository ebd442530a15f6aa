"""Wallets themselves: creating, changing, freezing, closing, and who may see them."""

import asyncio
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids, paging
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import Moved, NewWallet, WalletChange
from tests.integration.wallets.support import move, wallet_of, without


async def events_of(database: Database, wallet: str) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
    events = [msgspec.json.decode(row["payload"]) for row in rows]
    return [event for event in events if event["subject"] == wallet]


async def test_a_new_wallet_is_open_and_empty(wallets: Wallets, ada: Principal) -> None:
    created, new = await wallets.registry.create(
        principal=ada, new=NewWallet(name="Ada", external_id="c-1", metadata={"tier": "gold"})
    )
    assert new
    assert (created.name, created.external_id, created.status) == ("Ada", "c-1", "open")
    assert (created.metadata, created.assets) == ({"tier": "gold"}, [])
    assert created.owner_id == str(ada.owner_id)
    assert await wallets.registry.wallet(principal=ada, wallet_id=ids.parse(created.id)) == created


async def test_creating_again_by_external_id_answers_the_same_wallet_also_after_a_change(
    wallets: Wallets, ada: Principal
) -> None:
    new = NewWallet(name="Ada", external_id="c-1")
    first, _ = await wallets.registry.create(principal=ada, new=new)
    await wallets.registry.update(
        principal=ada, wallet_id=ids.parse(first.id), change=WalletChange(name="Countess", metadata={"a": "b"})
    )
    again, is_new = await wallets.registry.create(principal=ada, new=new)
    assert not is_new
    assert (again.id, again.name, again.metadata) == (first.id, "Countess", {"a": "b"})


async def test_an_external_id_with_other_content_is_a_conflict(wallets: Wallets, ada: Principal) -> None:
    await wallets.registry.create(principal=ada, new=NewWallet(name="Ada", external_id="c-1"))
    with pytest.raises(errors.ExternalIdReused):
        await wallets.registry.create(principal=ada, new=NewWallet(name="Eve", external_id="c-1"))


async def test_external_ids_of_two_owners_do_not_meet(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    new = NewWallet(name="A", external_id="c-1")
    mine, _ = await wallets.registry.create(principal=ada, new=new)
    yours, is_new = await wallets.registry.create(principal=bob, new=new)
    assert is_new
    assert mine.id != yours.id


async def test_creating_at_the_same_time_makes_one_wallet_and_one_event(
    wallets: Wallets, ada: Principal, database: Database
) -> None:
    new = NewWallet(name="Ada", external_id="c-1")
    made = await asyncio.gather(*(wallets.registry.create(principal=ada, new=new) for _ in range(20)))
    assert len({wallet.id for wallet, _ in made}) == 1
    assert [is_new for _, is_new in made].count(True) == 1
    assert len(await events_of(database, made[0][0].id)) == 1


async def test_every_change_is_told_in_order(
    wallets: Wallets, ada: Principal, operator: Principal, database: Database
) -> None:
    wallet = await wallet_of(wallets, ada)
    wallet_id = ids.parse(wallet)
    registry = wallets.registry
    await registry.update(principal=ada, wallet_id=wallet_id, change=WalletChange(name="New"))
    await registry.update(principal=ada, wallet_id=wallet_id, change=WalletChange(name="New"))
    await registry.limit(principal=operator, wallet_id=wallet_id, limits=[Money("5.00", "USD")])
    await registry.freeze(principal=ada, wallet_id=wallet_id)
    await registry.freeze(principal=ada, wallet_id=wallet_id)
    await registry.unfreeze(principal=operator, wallet_id=wallet_id)
    await registry.close(principal=ada, wallet_id=wallet_id)
    told = await events_of(database, wallet)
    assert [event["type"].removeprefix("billfold.") for event in told] == [
        "wallet.created.v1",
        "wallet.updated.v1",
        "wallet.updated.v1",
        "wallet.frozen.v1",
        "wallet.unfrozen.v1",
        "wallet.closed.v1",
    ]
    assert [event["data"]["status"] for event in told] == ["open", "open", "open", "frozen", "open", "closed"]
    assert told[1]["data"]["name"] == "New"
    assert told[2]["data"]["credit_limits"] == [{"amount": "5.00", "asset": "USD"}]


async def test_a_change_that_is_refused_is_not_told(
    wallets: Wallets, ada: Principal, operator: Principal, database: Database
) -> None:
    wallet = await wallet_of(wallets, ada)
    limits = [Money("5.00", "USD"), Money("1.00", "XXX")]
    with pytest.raises(ledger_errors.AssetUnknown) as found:
        await wallets.registry.limit(principal=operator, wallet_id=ids.parse(wallet), limits=limits)
    assert found.value.pointer == "/credit_limits/1/asset"
    assert len(await events_of(database, wallet)) == 1
    assert await wallets.balances.now(principal=ada, wallet_id=ids.parse(wallet)) == []


async def test_two_credit_limits_for_one_asset_are_refused(
    wallets: Wallets, ada: Principal, operator: Principal, database: Database
) -> None:
    wallet = await wallet_of(wallets, ada, holding="1.00")
    limits = [Money("5.00", "USD"), Money("1.00", "EUR"), Money("6.00", "USD")]
    with pytest.raises(errors.CreditLimitRepeated) as found:
        await wallets.registry.limit(principal=operator, wallet_id=ids.parse(wallet), limits=limits)
    assert found.value.pointer == "/credit_limits/2/asset"
    assert len(await events_of(database, wallet)) == 1
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=ids.parse(wallet))
    assert (balance.asset, balance.credit_limit) == ("USD", "0.00")


async def test_a_credit_limit_lets_the_balance_go_below_zero_and_no_further(
    wallets: Wallets, ada: Principal, operator: Principal
) -> None:
    wallet = await wallet_of(wallets, ada)
    limits = [Money("5.00", "USD")]
    for lacking in (ada, without(operator, contracts.OPERATOR), without(operator, contracts.LIMITS_WRITE)):
        with pytest.raises(MissingScope):
            await wallets.registry.limit(principal=lacking, wallet_id=ids.parse(wallet), limits=limits)
    await wallets.registry.limit(principal=operator, wallet_id=ids.parse(wallet), limits=limits)
    await move(wallets, ada, "withdrawal", source=wallet, amount="5.00")
    with pytest.raises(ledger_errors.InsufficientFunds):
        await move(wallets, ada, "withdrawal", source=wallet, amount="0.01")
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=ids.parse(wallet))
    assert (balance.posted, balance.available, balance.credit_limit) == ("-5.00", "-5.00", "5.00")
    with pytest.raises(ledger_errors.InsufficientFunds):
        await wallets.registry.limit(principal=operator, wallet_id=ids.parse(wallet), limits=[Money("4.99", "USD")])
    with pytest.raises(errors.CreditLimitNegative):
        await wallets.registry.limit(principal=operator, wallet_id=ids.parse(wallet), limits=[Money("-1.00", "USD")])


async def test_nothing_enters_or_leaves_a_frozen_wallet_and_its_owner_cannot_unfreeze_it(
    wallets: Wallets, ada: Principal, operator: Principal
) -> None:
    wallet = await wallet_of(wallets, ada, holding="10.00")
    other = await wallet_of(wallets, ada, holding="10.00")
    await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(wallet))
    with pytest.raises(errors.WalletFrozen):
        await move(wallets, ada, source=wallet, target=other)
    with pytest.raises(errors.WalletFrozen):
        await move(wallets, ada, source=other, target=wallet)
    with pytest.raises(errors.WalletFrozen):
        await move(wallets, ada, "deposit", target=wallet)
    with pytest.raises(errors.WalletFrozen):
        await wallets.registry.close(principal=ada, wallet_id=ids.parse(wallet))
    with pytest.raises(MissingScope):
        await wallets.registry.unfreeze(principal=ada, wallet_id=ids.parse(wallet))
    await wallets.registry.unfreeze(principal=operator, wallet_id=ids.parse(wallet))
    await move(wallets, ada, source=wallet, target=other)


async def test_an_asset_that_a_frozen_wallet_never_had_does_not_slip_through(
    wallets: Wallets, ada: Principal, operator: Principal
) -> None:
    wallet = await wallet_of(wallets, ada, holding="10.00")
    await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(wallet))
    with pytest.raises(errors.WalletFrozen):
        await move(wallets, ada, "deposit", target=wallet, asset="EUR")
    await wallets.registry.unfreeze(principal=operator, wallet_id=ids.parse(wallet))
    await move(wallets, ada, "deposit", target=wallet, asset="EUR")


async def test_a_first_use_racing_with_a_freeze_ends_frozen(wallets: Wallets, ada: Principal) -> None:
    for asset in ("USD", "EUR", "GBP", "CHF", "CZK", "THB"):
        wallet = await wallet_of(wallets, ada)
        await asyncio.gather(
            move(wallets, ada, "deposit", target=wallet, asset=asset),
            wallets.registry.freeze(principal=ada, wallet_id=ids.parse(wallet)),
            return_exceptions=True,
        )
        with pytest.raises(errors.WalletFrozen):
            await move(wallets, ada, "deposit", target=wallet, asset=asset)


async def test_whatever_is_posted_after_a_freeze_was_answered_is_refused(
    wallets: Wallets, ada: Principal, ledger: Ledger
) -> None:
    source = await wallet_of(wallets, ada, holding="1000.00")
    target = await wallet_of(wallets, ada)
    enough, frozen = asyncio.Event(), asyncio.Event()
    late: list[Moved] = []

    async def pay() -> int:
        paid = 0
        while True:
            begun_after = frozen.is_set()
            try:
                moved = await move(wallets, ada, source=source, target=target, amount="0.01")
            except errors.WalletFrozen:
                return paid
            paid += 1
            if paid == 5:
                enough.set()
            if begun_after:
                late.append(moved)

    async def freeze() -> None:
        await enough.wait()
        await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(source))
        frozen.set()

    *paid, _ = await asyncio.gather(*(pay() for _ in range(8)), freeze())
    assert late == []
    total = sum(count for count in paid if count is not None)
    assert total >= 5
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=ids.parse(target))
    assert balance.posted == f"{total // 100}.{total % 100:02}"
    assert (await ledger.verify()).faults == []


async def test_a_wallet_with_money_or_holds_is_not_closed_and_it_says_where(wallets: Wallets, ada: Principal) -> None:
    wallet = await wallet_of(wallets, ada, holding="12.34")
    await move(wallets, ada, "deposit", target=wallet, amount="0.5", asset="BTC")
    with pytest.raises(errors.WalletNotEmpty) as found:
        await wallets.registry.close(principal=ada, wallet_id=ids.parse(wallet))
    assert "12.34 USD" in found.value.detail
    assert "0.50000000 BTC" in found.value.detail
    await move(wallets, ada, "withdrawal", source=wallet, amount="12.34")
    await move(wallets, ada, "withdrawal", source=wallet, amount="0.5", asset="BTC")
    closed = await wallets.registry.close(principal=ada, wallet_id=ids.parse(wallet))
    assert closed.status == "closed"
    assert await wallets.registry.close(principal=ada, wallet_id=ids.parse(wallet)) == closed


async def test_a_closed_wallet_is_closed_for_ever(wallets: Wallets, ada: Principal, operator: Principal) -> None:
    wallet_id = ids.parse(await wallet_of(wallets, ada))
    await wallets.registry.close(principal=ada, wallet_id=wallet_id)
    with pytest.raises(errors.WalletClosed):
        await wallets.registry.freeze(principal=ada, wallet_id=wallet_id)
    with pytest.raises(errors.WalletClosed):
        await wallets.registry.unfreeze(principal=operator, wallet_id=wallet_id)
    with pytest.raises(errors.WalletClosed):
        await wallets.registry.update(principal=ada, wallet_id=wallet_id, change=WalletChange(name="New"))
    with pytest.raises(errors.WalletClosed):
        await move(wallets, ada, "deposit", target=str(wallet_id))


async def test_another_owners_wallet_is_not_there(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    wallet_id = ids.parse(await wallet_of(wallets, ada, holding="1.00"))
    refused: list[BillfoldError] = []
    for attempt in (
        wallets.registry.wallet(principal=bob, wallet_id=wallet_id),
        wallets.registry.update(principal=bob, wallet_id=wallet_id, change=WalletChange(name="Mine")),
        wallets.registry.freeze(principal=bob, wallet_id=wallet_id),
        wallets.registry.close(principal=bob, wallet_id=wallet_id),
        wallets.balances.now(principal=bob, wallet_id=wallet_id),
    ):
        with pytest.raises(errors.WalletUnknown) as found:
            await attempt
        refused.append(found.value)
    with pytest.raises(errors.WalletUnknown) as found:
        await wallets.registry.wallet(principal=bob, wallet_id=ids.new())
    # One can't even tell it from a wallet that never was.
    assert {error.detail for error in refused} == {found.value.detail}


async def test_an_operator_sees_everybodys_wallets_and_an_owner_only_theirs(
    wallets: Wallets, ada: Principal, bob: Principal, operator: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada), await wallet_of(wallets, bob)
    assert [w.id for w in (await wallets.registry.wallets(principal=ada)).items] == [mine]
    assert [w.id for w in (await wallets.registry.wallets(principal=operator)).items] == [yours, mine]
    assert (await wallets.registry.wallet(principal=operator, wallet_id=ids.parse(mine))).id == mine


async def test_pages_of_wallets_are_stable_while_others_are_created(wallets: Wallets, ada: Principal) -> None:
    made = [await wallet_of(wallets, ada, name=f"W{number}") for number in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await wallets.registry.wallets(principal=ada, cursor=cursor, limit=3)
        seen += [wallet.id for wallet in page.items]
        await wallet_of(wallets, ada, name="later")
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made[::-1]
    with pytest.raises(paging.InvalidCursor):
        await wallets.registry.wallets(principal=ada, cursor="nonsense")


async def test_wallets_are_found_by_external_id_and_by_status(wallets: Wallets, ada: Principal) -> None:
    new, _ = await wallets.registry.create(principal=ada, new=NewWallet(name="B", external_id="c-2"))
    frozen = await wallet_of(wallets, ada)
    await wallets.registry.freeze(principal=ada, wallet_id=ids.parse(frozen))
    assert [w.id for w in (await wallets.registry.wallets(principal=ada, external_id="c-2")).items] == [new.id]
    assert [w.id for w in (await wallets.registry.wallets(principal=ada, status="frozen")).items] == [frozen]


async def test_a_wallet_names_its_ledger_accounts_as_events_do(
    wallets: Wallets, ledger: Ledger, ada: Principal
) -> None:
    wallet = await wallet_of(wallets, ada)
    assert (await wallets.registry.wallet(principal=ada, wallet_id=ids.parse(wallet))).accounts == {}
    for asset in ("USD", "BTC"):
        await move(wallets, ada, "deposit", target=wallet, amount="1.00", asset=asset)
    found = await wallets.registry.wallet(principal=ada, wallet_id=ids.parse(wallet))
    accounts = await ledger.accounts(ids=[ids.parse(account) for account in found.accounts.values()])
    assert {str(account.id): account.asset for account in accounts} == {
        account: asset for asset, account in found.accounts.items()
    }
    assert sorted(found.accounts) == found.assets == ["BTC", "USD"]
