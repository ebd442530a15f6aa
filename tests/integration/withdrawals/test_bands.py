"""What is too much at the hot address goes to the warm one, once; what is too little is asked for."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from billfold.custody.store import queue
from billfold.kernel import idempotency, ids
from billfold.ledger.contracts import NewTransfer
from tests.integration.withdrawals.simulated import TOKEN
from tests.integration.withdrawals.support import BAND, HOT, TOKEN_ASSET, WARM, Office

one_chain = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
LOW, TARGET, _ = BAND


async def warm(office: Office, asset: str | None = None) -> int:
    """What lies at the warm address by the ledger."""
    posted, _ = await office.posted(await office.house.account(kind="warm", asset=asset or office.chain.coin))
    return -posted


async def bring(office: Office, amount: int) -> None:
    """As the watcher does when money has come from the warm address."""
    asset = office.chain.coin
    account = await office.house.account(kind="warm", asset=asset)
    transfer = NewTransfer(
        debit_account=await office.house.account(kind="omnibus", asset=asset),
        credit_account=account,
        amount=amount,
        asset=asset,
        kind="deposit",
    )
    key = idempotency.key(owner=ids.new(), text="k", operation="test", content=b"")
    (await office.ledger.post(key=key, transfers=[transfer])).single()
    office.chain.fund(HOT, amount)
    office.chain.mine(2)
    await office.watch()
    async with office.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind, "
            "state, detected_at, credited_at) VALUES ($1, $2, $3, '0', $4, '', '', $5, $6, 'warm', 'credited', $7, $7)",
            *(ids.new(), office.chain.name, str(ids.new()), HOT, asset, amount, office.clock.now()),
        )


async def refill(office: Office) -> dict[str, str | int | None]:
    """The newest."""
    async with office.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM custody.refills ORDER BY id DESC LIMIT 1")
    return {} if row is None else dict(row)


async def test_a_surplus_goes_to_the_warm_address_once(office: Office) -> None:
    await office.customer(10_000, coins=4)
    office.chain.mine()
    await office.watch()
    assert await office.tend(1) == 0, "one look is not enough"
    found = await asyncio.gather(*(office.tend(1) for _ in range(3)))
    assert sum(found) == 1
    await office.finish()
    assert office.chain.received(WARM) == [10_000 - TARGET]
    await office.tend(3)
    assert (await office.open(), await warm(office)) == (0, 10_000 - TARGET)
    (told,) = await office.told("treasury.moved.v1")
    assert (told["kind"], told["address"], told["money"]["asset"]) == ("warm", WARM, office.chain.coin)
    await office.check_conserved()


@one_chain
async def test_a_surplus_that_can_t_be_signed_stays_and_goes_later(office: Office) -> None:
    await office.customer(10_000)
    office.signer.refuses = True
    assert await office.tend() == 1
    await office.finish()
    assert (office.chain.received(WARM), await warm(office), await office.told("treasury.moved.v1")) == ([], 0, [])
    office.signer.refuses = False
    assert await office.tend() == 1
    await office.finish()
    assert office.chain.received(WARM) == [10_000 - TARGET]
    await office.check_conserved()


@one_chain
async def test_a_warm_address_that_is_served_here_gets_nothing_and_that_is_said_once(office: Office) -> None:
    await office.customer(10_000)
    async with office.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO custody.addresses (chain, address, purpose, place, created_at) "
            "VALUES ($1, $2, 'hot', 1, now())",
            office.chain.name,
            WARM,
        )
    with capture_logs() as told:
        assert await office.tend(4) == 0
    assert [(line["log_level"], line["address"]) for line in told if "setting" in line] == [("error", WARM)]


@one_chain
async def test_a_token_has_a_band_in_parts_of_all_that_is_held(office: Office) -> None:
    await office.endow(LOW)
    await office.customer(1_000, asset=TOKEN_ASSET)
    assert await office.tend() == 1
    await office.finish()
    assert (office.chain.received(WARM), await warm(office, TOKEN_ASSET)) == ([800], 800)
    assert office.chain.balances()[WARM, TOKEN] == 800
    # The parts are of what lies at both, so nothing more goes.
    assert await office.tend(3) == 0
    await office.check_conserved()


@one_chain
async def test_a_surplus_stays_while_chain_and_books_differ(office: Office) -> None:
    await office.customer(10_000)
    await office.stop()
    assert await office.tend(3) == 0
    await office.stop(stopped=False)
    assert await office.tend() == 1


@one_chain
async def test_what_one_of_two_transactions_pays_is_committed_once_and_never_when_a_block_has_one(
    office: Office,
) -> None:
    async def committed() -> tuple[int, int]:
        async with office.database.connection() as connection:
            pays, fees = await queue.committed(connection, office.chain.name)
        return int(pays.get(None, 0)), fees

    account = await office.customer(3_000)
    asked = (await office.request(account, 500, "sim-a")).withdrawal
    await office.work()
    amount, fee = await committed()
    assert (amount, fee > 0) == (500, True)
    await office.bump(asked.id)
    await office.work()
    assert (await committed())[0] == 500
    assert fee < (await committed())[1] < 3 * fee
    office.chain.mine()
    await office.work()
    assert await committed() == (0, 0)


@one_chain
async def test_a_dear_hour_is_waited_out(office: Office) -> None:
    await office.customer(10_000)
    office.chain.spike = 100
    assert await office.tend(3) == 0
    office.chain.spike = 1
    assert await office.tend() == 1


@one_chain
async def test_what_is_missing_is_asked_for_once_until_it_has_come(office: Office) -> None:
    def asked() -> float | None:
        return REGISTRY.get_sample_value("billfold_custody_refill_units", {"chain": "ethereum", "asset": "ETH"})

    account = await office.customer(3_000)
    assert (await office.tend(3), await refill(office)) == (0, {})
    waiting = (await office.request(account, 2_500, "sim-a")).withdrawal
    await office.tend(1)
    assert await refill(office) == {}, "one look is not enough"
    await office.tend(3)
    missing = TARGET - (3_000 - 2_500 - waiting.network_fee)
    (told,) = await office.told("refill.requested.v1")
    assert (told["address"], (await refill(office))["amount"], asked()) == (HOT, missing, missing)

    await bring(office, 100)
    await office.tend(1)
    assert ((await refill(office))["received"], (await refill(office))["outcome"]) == (100, None)
    await bring(office, missing)
    await office.tend(1)
    found = await refill(office)
    assert (found["received"], found["outcome"], asked()) == (missing + 100, "received", 0)
    assert len(await office.told("refill.closed.v1")) == 1
    (ended,) = await office.finish(waiting.id)
    assert await warm(office) == -missing - 100
    await office.check_conserved(ended)


@one_chain
async def test_what_is_not_needed_any_more_is_not_asked_for_any_more(office: Office) -> None:
    account = await office.customer(3_000)
    waiting = (await office.request(account, 2_500, "sim-a")).withdrawal
    await office.tend(3)
    await office.withdrawals.cancel(withdrawal_id=waiting.id)
    await office.tend(1)
    assert (await refill(office))["outcome"] == "not_needed"


@one_chain
async def test_a_withdrawal_without_hot_money_says_so_and_leaves_when_some_was_brought(office: Office) -> None:
    account = await office.customer(10_000)
    assert await office.tend() == 1
    await office.finish()
    asked = (await office.request(account, 5_000, "sim-a")).withdrawal
    await office.work()
    assert (await office.look(asked.id)).reason == "house_short"
    await office.tend()
    await bring(office, int((await refill(office))["amount"] or 0))
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    await office.check_conserved(ended)
