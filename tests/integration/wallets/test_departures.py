"""Owners who leave, while money is on its way to them."""

import asyncio
from uuid import UUID

import pytest

from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, errors
from billfold.wallets.contracts import NewWallet
from billfold.wallets.service.departures import Remaining
from tests.integration.wallets.support import move, wallet_of


class Kept(Exception):
    """Whoever closes an account rolls back when something is left."""


async def leave(database: Database, wallets: Wallets, who: Principal) -> list[Remaining]:
    remaining: list[Remaining] = []
    try:
        async with database.transaction() as connection:
            remaining = await wallets.departures.close_all(connection, owner_id=who.owner_id)
            if remaining:
                raise Kept
    except Kept:
        pass
    return remaining


async def statuses(wallets: Wallets, who: Principal) -> list[str]:
    return [wallet.status for wallet in (await wallets.registry.wallets(principal=who, limit=100)).items]


async def test_all_wallets_of_an_owner_are_closed_and_there_is_no_new_one(
    database: Database, wallets: Wallets, ada: Principal, bob: Principal
) -> None:
    first, _ = await wallet_of(wallets, ada, holding="5.00"), await wallet_of(wallets, ada)
    bobs = await wallet_of(wallets, bob)
    await move(wallets, ada, source=first, target=bobs, amount="5.00")
    assert await leave(database, wallets, ada) == []
    assert await statuses(wallets, ada) == ["closed", "closed"]
    assert await statuses(wallets, bob) == ["open"]
    with pytest.raises(BillfoldError, match="closed"):
        await move(wallets, bob, source=bobs, target=first)
    with pytest.raises(errors.OwnerDeparted):
        await wallets.registry.create(principal=ada, new=NewWallet(name="another"))
    assert await leave(database, wallets, ada) == []


async def test_where_money_is_left_nothing_is_closed(database: Database, wallets: Wallets, ada: Principal) -> None:
    await wallet_of(wallets, ada, name="Empty")
    full = await wallet_of(wallets, ada, holding="12.34", name="Savings")
    assert await leave(database, wallets, ada) == [Remaining(full, "Savings", "has 12.34 USD")]
    assert await statuses(wallets, ada) == ["open", "open"]
    await wallets.registry.create(principal=ada, new=NewWallet(name="another"))


async def test_a_frozen_wallet_keeps_its_owner(database: Database, wallets: Wallets, ada: Principal) -> None:
    frozen = await wallet_of(wallets, ada, name="Frozen")
    await wallets.registry.freeze(principal=ada, wallet_id=UUID(frozen))
    assert await leave(database, wallets, ada) == [Remaining(frozen, "Frozen", "is frozen")]


async def test_money_that_comes_meanwhile_arrives_or_is_refused_and_never_lies_in_a_closed_wallet(
    database: Database, wallets: Wallets, ada: Principal, bob: Principal
) -> None:
    bobs = await wallet_of(wallets, bob, holding="1000.00")
    outcomes = set()
    for round_ in range(12):
        # Some have had money before, so that their account is there; for others it is opened by this very transfer.
        target = await wallet_of(wallets, ada, name=str(round_))
        if round_ % 2:
            await move(wallets, bob, source=bobs, target=target)
            await move(wallets, ada, source=target, target=bobs)
        paid, remaining = await asyncio.gather(
            move(wallets, bob, source=bobs, target=target), leave(database, wallets, ada), return_exceptions=True
        )
        assert not isinstance(remaining, BaseException), remaining
        arrived = not isinstance(paid, BaseException)
        outcomes.add(arrived)
        balances = await wallets.balances.now(principal=ada, wallet_id=UUID(target))
        assert sum(float(balance.posted) for balance in balances) == (1.0 if arrived else 0.0)
        status = (await wallets.registry.wallet(principal=ada, wallet_id=UUID(target))).status
        assert status == ("open" if arrived else "closed"), paid
        if not arrived:
            ada = Principal(credential_id=ada.credential_id, owner_id=UUID(int=round_ + 1), scopes=ada.scopes)
        else:
            await move(wallets, ada, source=target, target=bobs)
    assert outcomes


async def test_a_wallet_that_is_created_meanwhile_is_closed_or_refused(
    database: Database, wallets: Wallets, ada: Principal
) -> None:
    for round_ in range(12):
        who = Principal(credential_id=ada.credential_id, owner_id=UUID(int=1000 + round_), scopes=ada.scopes)
        await asyncio.gather(
            *(wallets.registry.create(principal=who, new=NewWallet(name="x")) for _ in range(4)),
            leave(database, wallets, who),
            return_exceptions=True,
        )
        assert "open" not in await statuses(wallets, who)
