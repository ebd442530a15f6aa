"""Transfers, deposits, withdrawals and reversals over the real ledger."""

import asyncio

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, contracts, errors
from tests import facades
from tests.integration.wallets.support import SCOPES, move, wallet_of


async def test_money_comes_in_moves_and_goes_out(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine, yours = await wallet_of(wallets, ada), await wallet_of(wallets, bob)
    came = await move(wallets, ada, "deposit", target=mine, amount="10.00")
    assert (came.transfer.source, came.transfer.target) == ("outside", mine)
    assert (came.transfer.from_balance, came.transfer.to_balance) == (None, "10.00")
    paid = await move(wallets, ada, source=mine, target=yours, amount="3.00")
    assert (paid.transfer.from_balance, paid.transfer.to_balance) == ("7.00", None)
    went = await move(wallets, bob, "withdrawal", source=yours, amount="2.00")
    assert (went.transfer.source, went.transfer.target, went.transfer.from_balance) == (yours, "outside", "1.00")


async def test_nobody_pays_from_anothers_wallet(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine, yours = await wallet_of(wallets, ada), await wallet_of(wallets, bob, holding="10.00")
    with pytest.raises(errors.WalletUnknown) as found:
        await move(wallets, ada, source=yours, target=mine)
    assert found.value.pointer == "/from"
    with pytest.raises(errors.WalletUnknown):
        await move(wallets, ada, "withdrawal", source=yours)
    with pytest.raises(errors.WalletUnknown):
        await move(wallets, ada, "deposit", target=yours)
    # Also not after the wallet was seen as the other side of a payment, which is remembered.
    await move(wallets, ada, "deposit", target=mine)
    await move(wallets, ada, source=mine, target=yours)
    with pytest.raises(errors.WalletUnknown):
        await move(wallets, ada, source=yours, target=mine)


async def test_an_unknown_wallet_is_said_to_be_so(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada, holding="10.00")
    with pytest.raises(errors.WalletUnknown) as found:
        await move(wallets, ada, source=mine, target=str(ids.new()))
    assert found.value.pointer == "/to"


async def test_ids_may_be_written_in_capitals(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    moved = await move(wallets, ada, source=mine.upper(), target=other)
    assert moved.transfer.source == mine


async def test_a_repeated_request_gets_the_same_bytes_and_moves_nothing(
    wallets: Wallets, ada: Principal, bob: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, bob)
    first = await move(wallets, ada, source=mine, target=yours, key="k-1")
    await move(wallets, ada, source=mine, target=yours, amount="2.00", key="k-2")
    again = await move(wallets, ada, source=mine, target=yours, key="k-1")
    assert (first.replayed, again.replayed) == (False, True)
    assert msgspec.json.encode(again.transfer) == msgspec.json.encode(first.transfer)
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=ids.parse(mine))
    assert balance.posted == "7.00"


async def test_a_refusal_is_repeated_too_even_when_the_money_has_come_since(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada), await wallet_of(wallets, ada)
    with pytest.raises(ledger_errors.InsufficientFunds):
        await move(wallets, ada, source=mine, target=other, key="k-1")
    await move(wallets, ada, "deposit", target=mine)
    with pytest.raises(ledger_errors.InsufficientFunds) as again:
        await move(wallets, ada, source=mine, target=other, key="k-1")
    assert again.value.replayed
    await move(wallets, ada, source=mine, target=other, key="k-2")


async def test_a_key_used_for_something_else_is_refused(wallets: Wallets, ada: Principal, bob: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    await move(wallets, ada, source=mine, target=other, key="k-1")
    with pytest.raises(IdempotencyKeyReused):
        await move(wallets, ada, source=mine, target=other, amount="2.00", key="k-1")
    with pytest.raises(IdempotencyKeyReused):
        await move(wallets, ada, "withdrawal", source=mine, key="k-1")
    # Another owner's key of the same name is another key.
    yours = await wallet_of(wallets, bob, holding="10.00")
    assert not (await move(wallets, bob, source=yours, target=other, key="k-1")).replayed


async def test_each_kind_of_movement_needs_its_own_scope(wallets: Wallets, ada: Principal) -> None:
    mine, other = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, ada)
    for kind, scope in contracts.ORDER_SCOPES.items():
        lacking = msgspec.structs.replace(ada, scopes=SCOPES - {scope})
        source = None if kind == "deposit" else mine
        target = None if kind == "withdrawal" else other
        with pytest.raises(MissingScope):
            await move(wallets, lacking, kind, source=source, target=target)
        await move(wallets, ada, kind, source=source, target=target)


async def test_concurrent_first_uses_open_one_account(
    wallets: Wallets, ada: Principal, database: Database, ledger: Ledger
) -> None:
    wallet = await wallet_of(wallets, ada)
    others = [Wallets(database=database, ledger=ledger, identity=facades.identity(database)) for _ in range(10)]
    await asyncio.gather(*(move(each, ada, "deposit", target=wallet) for each in others for _ in range(5)))
    (balance,) = await wallets.balances.now(principal=ada, wallet_id=ids.parse(wallet))
    assert balance.posted == "50.00"
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM wallets.accounts")
        opened = await connection.fetchval("SELECT count(*) FROM ledger.accounts WHERE kind = 'user'")
    assert (kept, opened) == (1, 1)


async def test_a_value_date_in_the_future_or_before_1900_is_refused(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada)
    with pytest.raises(ledger_errors.EffectiveInFuture):
        await move(wallets, ada, "deposit", target=mine, effective_at="2999-01-01")
    with pytest.raises(ledger_errors.EffectiveTooEarly):
        await move(wallets, ada, "deposit", target=mine, effective_at="1899-12-31")


async def test_a_transfer_is_read_by_both_its_sides_and_nobody_else(
    wallets: Wallets, ada: Principal, bob: Principal, operator: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, bob, holding="5.00")
    eve = msgspec.structs.replace(ada, owner_id=ids.new())
    moved = await move(wallets, ada, source=mine, target=yours)
    transfer_id = moved.transfer.id
    sent = await wallets.movements.transfer(principal=ada, transfer_id=transfer_id)
    assert sent == moved.transfer
    received = await wallets.movements.transfer(principal=bob, transfer_id=transfer_id)
    assert (received.from_balance, received.to_balance) == (None, "6.00")
    both = await wallets.movements.transfer(principal=operator, transfer_id=transfer_id)
    assert (both.from_balance, both.to_balance) == ("9.00", "6.00")
    with pytest.raises(ledger_errors.TransferUnknown):
        await wallets.movements.transfer(principal=eve, transfer_id=transfer_id)


async def test_only_who_got_the_money_or_an_operator_sends_it_back(
    wallets: Wallets, ada: Principal, bob: Principal, operator: Principal
) -> None:
    mine, yours = await wallet_of(wallets, ada, holding="10.00"), await wallet_of(wallets, bob)
    eve = msgspec.structs.replace(ada, owner_id=ids.new())
    paid = (await move(wallets, ada, source=mine, target=yours, amount="3.00")).transfer.id
    reverse = wallets.movements.reverse
    with pytest.raises(errors.ReversalNotAllowed):
        await reverse(principal=ada, transfer_id=paid, money=None, key="r-1")
    with pytest.raises(ledger_errors.TransferUnknown):
        await reverse(principal=eve, transfer_id=paid, money=None, key="r-1")
    part = await reverse(principal=bob, transfer_id=paid, money=Money("1.00", "USD"), key="r-1")
    assert (part.transfer.kind, part.transfer.source, part.transfer.target) == ("reversal", yours, mine)
    assert (part.transfer.from_balance, part.transfer.to_balance) == ("2.00", None)
    rest = await reverse(principal=operator, transfer_id=paid, money=None, key="r-2")
    assert rest.transfer.money == Money("2.00", "USD")
    with pytest.raises(ledger_errors.ReversalExceedsTransfer):
        await reverse(principal=bob, transfer_id=paid, money=None, key="r-3")
    again = await reverse(principal=bob, transfer_id=paid, money=Money("1.00", "USD"), key="r-1")
    assert again.replayed
    assert again.transfer == part.transfer


async def test_a_deposit_is_given_back_by_the_wallet_and_a_withdrawal_comes_back_like_a_deposit(
    wallets: Wallets, ada: Principal
) -> None:
    mine = await wallet_of(wallets, ada)
    came = (await move(wallets, ada, "deposit", target=mine, amount="3.00")).transfer.id
    went = (await move(wallets, ada, "withdrawal", source=mine, amount="1.00")).transfer.id
    reverse = wallets.movements.reverse
    without = msgspec.structs.replace(ada, scopes=SCOPES - {contracts.ORDER_SCOPES["deposit"]})
    with pytest.raises(MissingScope):
        await reverse(principal=without, transfer_id=went, money=None, key="r-0")
    back = await reverse(principal=ada, transfer_id=went, money=None, key="r-1")
    assert (back.transfer.source, back.transfer.to_balance) == ("outside", "3.00")
    gone = await reverse(principal=without, transfer_id=came, money=None, key="r-2")
    assert (gone.transfer.target, gone.transfer.from_balance) == ("outside", "0.00")


async def test_a_reversal_in_another_asset_is_refused(wallets: Wallets, ada: Principal) -> None:
    mine = await wallet_of(wallets, ada)
    came = (await move(wallets, ada, "deposit", target=mine)).transfer.id
    with pytest.raises(ledger_errors.AssetMismatch):
        await wallets.movements.reverse(principal=ada, transfer_id=came, money=Money("1.00", "EUR"), key="r")


async def test_sending_a_deposit_back_outside_needs_the_scope_of_withdrawals(wallets: Wallets, ada: Principal) -> None:
    wallet = await wallet_of(wallets, ada)
    moved = await move(wallets, ada, "deposit", target=wallet, amount="5.00")
    lacking = msgspec.structs.replace(ada, scopes=SCOPES - {contracts.ORDER_SCOPES["withdrawal"]})
    with pytest.raises(MissingScope):
        await wallets.movements.reverse(principal=lacking, transfer_id=moved.transfer.id, money=None, key="back")
