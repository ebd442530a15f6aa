"""Support and auditors see what belongs to anybody, and change none of it, whatever else they may do to their own."""

from collections.abc import Awaitable, Callable

import pytest

from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import errors as ledger_errors
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import NewHold, Order, Settlement, TransactionFilter, WalletChange
from tests.integration.wallets.support import SCOPES, move, wallet_of

ONE = Money("1.00", "USD")


@pytest.fixture
def looking() -> Principal:
    """Somebody with every scope for their own things who sees everybody's: support or an auditor, and a user too."""
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES | {"everybody:read"})


@pytest.fixture
async def hers(wallets: Wallets, ada: Principal) -> str:
    return await wallet_of(wallets, ada, holding="10.00")


async def held(wallets: Wallets, ada: Principal, wallet: str) -> str:
    placed = await wallets.holds.place(principal=ada, new=NewHold(wallet=wallet, money=ONE), key=str(ids.new()))
    return str(placed.hold.id)


async def test_they_see_everybodys_things(wallets: Wallets, ada: Principal, looking: Principal, hers: str) -> None:
    wallet_id = ids.parse(hers)
    hold = await held(wallets, ada, hers)
    paid = (await move(wallets, ada, "withdrawal", source=hers)).transfer
    assert (await wallets.registry.wallet(principal=looking, wallet_id=wallet_id)).owner_id == str(ada.owner_id)
    assert [one.id for one in (await wallets.registry.wallets(principal=looking)).items] == [hers]
    (balance,) = await wallets.balances.now(principal=looking, wallet_id=wallet_id)
    assert (balance.posted, balance.held) == ("9.00", "1.00")
    assert (await wallets.balances.chart(principal=looking, wallet_id=wallet_id)).asset == "USD"
    assert (await wallets.holds.hold(principal=looking, hold_id=ids.parse(hold))).wallet == hers
    assert [str(one.id) for one in (await wallets.holds.holds(principal=looking)).items] == [hold]
    seen = await wallets.movements.transfer(principal=looking, transfer_id=paid.id)
    assert (seen.source, seen.from_balance) == (hers, "9.00")
    everything = await wallets.transactions.page(principal=looking, wanted=TransactionFilter())
    assert [one.wallet for one in everything.items] == [hers, hers]
    (summary,) = await wallets.transactions.summary(principal=looking, wanted=TransactionFilter())
    assert summary.asset == "USD"
    one = await wallets.transactions.transaction(principal=looking, transaction_id=paid.id)
    assert one.wallet == hers
    head, _ = await wallets.transactions.statement(principal=looking, wallet_id=wallet_id)
    assert head.wallet == hers


async def test_they_change_nothing_of_it(wallets: Wallets, ada: Principal, looking: Principal, hers: str) -> None:
    wallet_id, mine = ids.parse(hers), await wallet_of(wallets, looking)
    hold = ids.parse(await held(wallets, ada, hers))
    key = "k"
    acts: list[tuple[type[BillfoldError], Callable[[], Awaitable[object]]]] = [
        (
            errors.WalletUnknown,
            lambda: wallets.registry.update(principal=looking, wallet_id=wallet_id, change=WalletChange(name="Mine")),
        ),
        (errors.WalletUnknown, lambda: wallets.registry.freeze(principal=looking, wallet_id=wallet_id)),
        (MissingScope, lambda: wallets.registry.unfreeze(principal=looking, wallet_id=wallet_id)),
        (errors.WalletUnknown, lambda: wallets.registry.close(principal=looking, wallet_id=wallet_id)),
        (MissingScope, lambda: wallets.registry.limit(principal=looking, wallet_id=wallet_id, limits=[ONE])),
        (errors.WalletUnknown, lambda: move(wallets, looking, source=hers, target=mine)),
        (errors.WalletUnknown, lambda: move(wallets, looking, "withdrawal", source=hers)),
        (errors.WalletUnknown, lambda: move(wallets, looking, "deposit", target=hers)),
        (
            errors.WalletUnknown,
            lambda: wallets.bulk.move(
                principal=looking, orders=[Order(source=hers, target=mine, money=ONE)], atomic=True, key=key
            ),
        ),
        (
            errors.WalletUnknown,
            lambda: wallets.holds.place(principal=looking, new=NewHold(wallet=hers, money=ONE), key=key),
        ),
        (
            ledger_errors.HoldUnknown,
            lambda: wallets.holds.settle(
                principal=looking, hold_id=hold, settlement=Settlement(target=contracts.OUTSIDE), key=key
            ),
        ),
        (ledger_errors.HoldUnknown, lambda: wallets.holds.release(principal=looking, hold_id=hold, key=key)),
    ]
    for expected, act in acts:
        with pytest.raises(expected):
            await act()
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=wallet_id)
    assert (balance.posted, balance.held, balance.credit_limit) == ("10.00", "1.00", "0.00")


@pytest.mark.parametrize("kind", ["deposit", "withdrawal", "transfer"])
async def test_what_they_see_of_others_they_cannot_reverse(
    wallets: Wallets, ada: Principal, looking: Principal, hers: str, kind: contracts.OrderKind
) -> None:
    his = await wallet_of(wallets, Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES))
    sides = {"deposit": (None, hers), "withdrawal": (hers, None), "transfer": (hers, his)}[kind]
    done = await move(wallets, ada, kind, source=sides[0], target=sides[1])
    with pytest.raises(errors.ReversalNotAllowed):
        await wallets.movements.reverse(principal=looking, transfer_id=done.transfer.id, money=None, key="k")
