"""The widest amounts, and texts of every kind: kept faithfully or refused, never a stumbling block for others."""

import asyncio
import random

import msgspec
import pytest

from billfold.kernel import money
from billfold.kernel.assets import Asset
from billfold.ledger import errors
from billfold.ledger.contracts import EntryFilter, NewHold, Transfer
from tests.integration.ledger.support import Bank, key, names, new

LARGEST = 10**78 - 1


async def test_the_largest_balance_and_its_opposite_are_kept_to_the_last_unit(bank: Bank) -> None:
    await bank.ledger.add_asset(asset=Asset(code="WEI", scale=18, kind="native", name="Wei"))
    outside = await bank.ledger.external_account(asset="WEI")
    a, b = await bank.accounts(2, asset="WEI")
    paid = await bank.pay(outside, a, LARGEST, asset="WEI")
    assert (paid.amount, paid.credit_balance, paid.debit_balance) == (LARGEST, LARGEST, -LARGEST)
    assert await bank.ledger.transfer(transfer_id=paid.id) == paid
    await bank.pay(a, b, LARGEST - 1, asset="WEI")
    assert await bank.balances(outside, a, b) == [-LARGEST, 1, LARGEST - 1]
    summary = await bank.ledger.summary(account_ids=[a, b], filter=EntryFilter(amount_min=LARGEST))
    assert (summary.count, summary.credited) == (1, LARGEST)
    now = await bank.now()
    for read in (bank.ledger.balances_recorded, bank.ledger.balances_effective):
        assert [point.posted for point in await read(points=[(outside, now), (b, now)])] == [-LARGEST, LARGEST - 1]
    await bank.verified()


@pytest.mark.parametrize("amount", [10**78, 10**79, 2**260, 10**200])
async def test_an_amount_that_no_column_can_hold_is_refused(bank: Bank, amount: int) -> None:
    a, b = await bank.accounts(2, floor=None)
    with pytest.raises(errors.BalanceTooLarge):
        await bank.pay(a, b, amount)
    with pytest.raises(errors.BalanceTooLarge):
        await bank.ledger.place_hold(key=key(), hold=NewHold(account=a, amount=amount, asset="USD"))
    assert await bank.balances(a, b) == [0, 0]


async def test_no_sum_of_transfers_or_holds_outgrows_its_column(bank: Bank) -> None:
    a, b = await bank.accounts(2, floor=None)
    half = 5 * 10**77
    posting = await bank.post(new(a, b, half), new(a, b, half), new(b, a, half), atomic=False)
    assert names(posting.results) == ["Transfer", "BalanceTooLarge", "Transfer"]
    await bank.hold(a, half)
    with pytest.raises(errors.BalanceTooLarge):
        await bank.hold(a, half)


async def test_an_amount_between_balances_that_would_fit_is_still_too_large_itself(bank: Bank) -> None:
    """From the highest to the lowest balance there are two columns' worth of units."""
    a, b, c, d = await bank.accounts(4, floor=None)
    await bank.pay(c, a, LARGEST)
    await bank.pay(b, d, LARGEST)
    with pytest.raises(errors.BalanceTooLarge):
        await bank.pay(a, b, LARGEST + 1)
    await bank.pay(a, b, LARGEST)
    assert await bank.balances(a, b) == [0, 0]


def test_the_limits_of_the_ledger_are_those_of_money() -> None:
    assert money.UNITS_MAX == LARGEST


TROUBLESOME = [
    "tab\there",
    "line\nbreak\r\nand return\r",
    "\\",
    "\\N",
    "\\.",
    "\\.\n",
    "\\t\\n\\\\",
    "a\\\tb",
    "'; DROP TABLE ledger.transfers; --",
    '{"json": "in text"}',
    "\x01\x02\x1b\x7f\x80\x85\xa0",
    "Grüße \N{PILE OF POO} 你好 \N{RIGHT-TO-LEFT OVERRIDE} e\N{COMBINING ACUTE ACCENT}",
    "\ufeff\uffff\U0010ffff",
    " leading and trailing ",
    "\N{NO-BREAK SPACE}",
]


async def kept(bank: Bank, texts: list[str]) -> None:
    """Post each text in every place, all in one batch, and read it back in every way."""
    a, b = await bank.accounts(2, 10 * len(texts))
    wanted = [new(a, b, 1, reference=text, description=text, metadata={text[:40]: text}) for text in texts]
    posted = [result for result in (await bank.post(*wanted)).results if isinstance(result, Transfer)]
    assert len(posted) == len(texts)
    for transfer, text in zip(posted, texts, strict=True):
        read = await bank.ledger.transfer(transfer_id=transfer.id)
        assert read == transfer
        assert (read.reference, read.description, read.metadata) == (text, text, {text[:40]: text})
        (entry,) = await bank.ledger.entries(
            account_ids=[b], filter=EntryFilter(reference=text, recorded_from=read.recorded_at), after=None, limit=1
        )
        assert (entry.reference, entry.metadata) == (text, {text[:40]: text})


async def test_troublesome_texts_are_kept_as_they_are(bank: Bank) -> None:
    await kept(bank, TROUBLESOME)


async def test_troublesome_texts_of_holds_are_kept_as_they_are(bank: Bank) -> None:
    a = await bank.account(100)
    for text in TROUBLESOME:
        wanted = NewHold(account=a, amount=1, asset="USD", reference=text, description=text)
        change = await bank.ledger.place_hold(key=key("hold" + text.encode().hex()), hold=wanted)
        again = await bank.ledger.place_hold(key=key("hold" + text.encode().hex()), hold=wanted)
        assert again.hold == change.hold == await bank.ledger.hold(hold_id=change.hold.id)
        assert (change.hold.reference, change.hold.description) == (text, text)


async def test_the_events_of_troublesome_texts_tell_them_as_they_are(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    await bank.post(*[new(a, b, 1, reference=text, metadata={"m": text}) for text in TROUBLESOME])
    async with bank.database.connection() as connection:
        pointer = await connection.fetchval("SELECT payload FROM messaging.outbox ORDER BY seq DESC LIMIT 1")
        (events,) = await bank.ledger.expand(connection, [pointer])
    told = [msgspec.json.decode(msgspec.json.encode(event.data)) for event in events]
    assert [(data["reference"], data["metadata"]) for data in told] == [(text, {"m": text}) for text in TROUBLESOME]


async def test_any_text_is_kept_as_it_is(bank: Bank) -> None:
    chance = random.Random(20261121)
    # All that is no half of a surrogate pair and not NUL; the lower ones more often.
    ranges = [range(1, 0x80), range(1, 0x100), range(0x100, 0xD800), range(0xE000, 0x110000)]
    await kept(
        bank,
        [
            "".join(chr(chance.choice(chance.choice(ranges))) for _ in range(chance.randrange(1, 60)))
            for _ in range(300)
        ],
    )


REFUSED = [
    {"reference": "\x00"},
    {"description": "a\x00b"},
    {"reference": "\ud800"},
    {"description": "half \udfff pair"},
    {"metadata": {"a": "\x00"}},
    {"metadata": {"\ud83d": "b"}},
    {"reference": "x" * 1_000_000},
    {"description": "x" * 1_000_000},
    {"metadata": {str(n): "v" for n in range(10_000)}},
]


@pytest.mark.parametrize("texts", REFUSED, ids=range(len(REFUSED)))
async def test_a_text_that_can_not_be_kept_is_refused_and_fails_no_neighbour(
    bank: Bank, texts: dict[str, object]
) -> None:
    a, b = await bank.accounts(2, 1_000)
    refused = msgspec.structs.replace(new(a, b, 1), **texts)
    outcomes = await asyncio.gather(
        *[bank.post(new(a, b, 1)) for _ in range(10)], bank.post(refused), *[bank.post(new(a, b, 1)) for _ in range(10)]
    )
    assert [names(outcome.results) for outcome in outcomes] == [
        *[["Transfer"]] * 10,
        ["InvalidText"],
        *[["Transfer"]] * 10,
    ]
    assert await bank.balances(a, b) == [980, 1_020]


async def test_a_hold_whose_text_can_not_be_kept_fails_no_neighbour(bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    for text in ("\x00", "\ud800", "x" * 1_000_000):
        outcomes = await asyncio.gather(
            bank.pay(a, b, 1),
            bank.ledger.place_hold(
                key=key(), hold=NewHold(account=a, amount=1, asset="USD", reference=text, description=text)
            ),
            bank.pay(a, b, 1),
            return_exceptions=True,
        )
        assert names(outcomes) == ["Transfer", "InvalidText", "Transfer"]
