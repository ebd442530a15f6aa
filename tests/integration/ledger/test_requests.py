"""Requests in one batch and with one key: refusals, repeats, neighbours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import prometheus_client
import pytest
import structlog.testing

from billfold.kernel import ids
from billfold.kernel.idempotency import IdempotencyKeyInUse, IdempotencyKeyReused, Key
from billfold.ledger import Ledger, errors
from billfold.ledger.contracts import GROUP_MAX, NewHold, NewTransfer, Posting, Transfer
from billfold.ledger.domain import transfers
from billfold.platform.messaging import cloudevents
from tests.integration.ledger.support import Bank, key, names, new


async def test_a_refusal_never_fails_its_neighbours(bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    frozen = await bank.account()
    await bank.ledger.set_status(account_ids=[frozen], status="frozen")
    wanted = [new(a, b, 1), new(a, ids.new(), 1), new(a, b, 5_000), new(a, frozen, 1), new(a, a, 1), new(b, a, 2)]
    postings = await asyncio.gather(*[bank.post(one) for one in wanted])
    assert [names(posting.results) for posting in postings] == [
        ["Transfer"],
        ["AccountUnknown"],
        ["InsufficientFunds"],
        ["AccountFrozen"],
        ["SameAccount"],
        ["Transfer"],
    ]
    assert await bank.balances(a, b) == [1_001, 999]


async def test_not_atomic_each_that_fits_is_posted_and_each_refusal_stands_at_its_place(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    posting = await bank.post(new(a, b, 60), new(a, b, 60), new(a, b, 40), atomic=False)
    assert names(posting.results) == ["Transfer", "InsufficientFunds", "Transfer"]
    assert await bank.balances(a, b) == [0, 200]


async def test_atomic_nothing_is_posted_when_one_is_refused(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    posting = await bank.post(new(a, b, 60), new(a, b, 60), new(a, b, 40))
    assert names(posting.results) == ["GroupRefused", "InsufficientFunds", "GroupRefused"]
    assert await bank.balances(a, b) == [100, 100]


async def test_a_thousand_in_one_request_are_answered_in_their_order(bank: Bank) -> None:
    a, b = await bank.accounts(2, 2_000)
    posting = await bank.post(*[new(a, b, 1, reference=str(n)) for n in range(GROUP_MAX)])
    assert [cast("Transfer", result).reference for result in posting.results] == [str(n) for n in range(GROUP_MAX)]


async def test_the_same_request_again_gets_the_same_answer_and_posts_nothing(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    first = await bank.post(new(a, b, 10, metadata={"order": "7"}), text="again")
    await bank.pay(a, b, 5)
    for process in (bank, other_bank):
        again = await process.post(new(a, b, 10, metadata={"order": "7"}), text="again")
        assert again == Posting(results=first.results, replayed=True)
    assert await bank.balances(a, b) == [85, 115]


async def test_a_refusal_is_replayed_even_when_the_request_would_fit_by_now(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2)
    with pytest.raises(errors.InsufficientFunds) as first:
        await bank.pay(a, b, 10, text="refused")
    assert not first.value.replayed
    await bank.pay(bank.outside, a, 100)
    for process in (bank, other_bank):
        with pytest.raises(errors.InsufficientFunds) as again:
            await process.pay(a, b, 10, text="refused")
        assert again.value.replayed
        assert again.value.detail == first.value.detail
    assert await bank.balances(a, b) == [100, 0]


async def test_refused_holds_settlements_and_reversals_are_replayed(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    hold = await bank.hold(a, 50)
    paid = await bank.pay(a, b, 50)
    ledger = bank.ledger
    requests: list[tuple[type[errors.LedgerError], Callable[[Key], Awaitable[object]]]] = [
        (errors.InsufficientFunds, lambda k: ledger.place_hold(key=k, hold=NewHold(account=a, amount=1, asset="USD"))),
        (
            errors.SettlementExceedsHold,
            lambda k: ledger.settle_hold(key=k, hold_id=hold, credit_account=b, amount=51, release_rest=False),
        ),
        (errors.HoldUnknown, lambda k: ledger.release_hold(key=k, hold_id=ids.new())),
        (errors.ReversalExceedsTransfer, lambda k: ledger.reverse(key=k, transfer_id=paid.id, amount=51)),
        (errors.TransferUnknown, lambda k: ledger.reverse(key=k, transfer_id=ids.new(), amount=None)),
    ]
    for error, request in requests:
        own = key()
        for replayed in (False, True, True):
            with pytest.raises(error) as refused:
                await request(own)
            assert refused.value.replayed is replayed


async def test_the_same_key_with_another_body_is_refused_and_the_first_answer_stays(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    first = await bank.ledger.post(key=key("body", content="10"), transfers=[new(a, b, 10)])
    with pytest.raises(IdempotencyKeyReused):
        await bank.ledger.post(key=key("body", content="11"), transfers=[new(a, b, 11)])
    again = await bank.ledger.post(key=key("body", content="10"), transfers=[new(a, b, 10)])
    assert again.results == first.results
    assert await bank.balances(a, b) == [90, 110]


@pytest.mark.in_process("calls of their own may come one after the other")
async def test_a_key_in_use_in_this_process_is_told_so_and_answered_later(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    outcomes = await asyncio.gather(
        *[bank.post(new(a, b, 10), text="at once") for _ in range(5)], return_exceptions=True
    )
    assert sorted(names(outcomes)) == ["IdempotencyKeyInUse"] * 4 + ["Posting"]
    assert all(outcome.retryable for outcome in outcomes if isinstance(outcome, IdempotencyKeyInUse))
    assert (await bank.post(new(a, b, 10), text="at once")).replayed
    assert await bank.balances(a, b) == [90, 110]


async def test_a_key_sent_by_two_processes_at_once_applies_once(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    for n in range(20):
        outcomes = await asyncio.gather(
            *[process.post(new(a, b, 10), text=f"both {n}") for process in (bank, other_bank)]
        )
        assert outcomes[0].results == outcomes[1].results
        assert sorted(outcome.replayed for outcome in outcomes) == [False, True]
    assert await bank.balances(a, b) == [800, 1_200]


@pytest.mark.in_process("it looks into the log of the process")
@pytest.mark.parametrize(
    "poison",
    [
        {"kind": "no such kind"},
        {"amount": "12"},
        {"amount": None},
        {"effective_at": "yesterday"},
        {"debit_account": "somebody"},
        {"reference": b"bytes"},
    ],
    ids=str,
)
async def test_a_request_that_breaks_its_batch_fails_alone(bank: Bank, poison: dict[str, Any]) -> None:
    """No caller of ours sends such things; if one does after all, nobody else shall notice."""
    a, b = await bank.accounts(2, 1_000)
    fields: dict[str, Any] = {"debit_account": a, "credit_account": b, "amount": 1, "asset": "USD"} | poison
    broken = bank.ledger.post(key=key(), transfers=[NewTransfer(**fields)])
    good = [bank.post(new(a, b, 1)) for _ in range(40)]
    with structlog.testing.capture_logs() as logs:
        outcomes = await asyncio.gather(*good[:20], broken, *good[20:], return_exceptions=True)
    (told,) = [line["event"] for line in logs if line["log_level"] == "error"]
    assert told in {"a request failed", "a batch of one failed"}
    assert isinstance(outcomes.pop(20), Exception)
    assert names(outcomes) == ["Posting"] * 40
    assert await bank.balances(a, b) == [960, 1_040]


async def test_an_error_of_ours_that_one_request_causes_is_not_taken_for_everybodys(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudevents, "EVENT_MAX_BYTES", 100)
    a, b = await bank.accounts(2, 100)
    wanted = NewHold(account=a, amount=1, asset="USD")
    with structlog.testing.capture_logs():
        outcomes = await asyncio.gather(
            *[bank.post(new(a, b, 1)) for _ in range(5)],
            bank.ledger.place_hold(key=key(), hold=wanted),
            *[bank.post(new(a, b, 1)) for _ in range(5)],
            return_exceptions=True,
        )
    assert names(outcomes) == [*["Posting"] * 5, "EventTooLarge", *["Posting"] * 5]
    assert await bank.balances(a, b) == [90, 110]


async def test_a_breach_of_another_unique_index_is_not_told_as_a_key_in_use(bank: Bank, monkeypatch: Any) -> None:
    a, b = await bank.accounts(2, 100)
    paid = await bank.pay(a, b, 1)
    monkeypatch.setattr("billfold.kernel.ids.many", lambda count: [paid.id] * count)
    with structlog.testing.capture_logs(), pytest.raises(Exception, match="transfers_pkey") as broken:
        await bank.pay(a, b, 1)
    assert not isinstance(broken.value, IdempotencyKeyInUse)


@pytest.mark.in_process("a call that is not sent yet is not posted")
async def test_a_caller_who_goes_away_does_not_undo_what_is_done(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    calls = [asyncio.create_task(bank.post(new(a, b, 10), text=f"gone {n}")) for n in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.gather(calls[0], calls[2])
    again = await bank.post(new(a, b, 10), text="gone 1")
    assert again.replayed
    assert await bank.balances(a, b) == [70, 130]


async def test_many_are_each_answered_at_their_place(ledger: Ledger, bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    same = key()
    requests = [(key(), new(a, b, 60)), (same, new(a, b, 60)), (same, new(a, b, 1)), (key(), new(a, b, 40))]
    outcomes = await ledger.post_many(requests=requests)
    assert names(outcomes) == ["Posting", "Posting", "IdempotencyKeyInUse", "Posting"]
    assert [names(outcome.results) for outcome in outcomes if isinstance(outcome, Posting)] == [
        ["Transfer"],
        ["InsufficientFunds"],
        ["Transfer"],
    ]
    assert await bank.balances(a, b) == [0, 200]


@pytest.mark.in_process("it looks into the log of the process")
async def test_one_of_many_that_breaks_the_ledger_hides_no_answer_of_the_others(ledger: Ledger, bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    broken = new(a, b, "12")  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        outcomes = await ledger.post_many(
            requests=[(key(), new(a, b, 1)), (key(), broken), (key(), new(a, b, 2)), (key(), new(a, b, 98))]
        )
    assert [(line["event"], line["log_level"]) for line in logs] == [("a request failed", "error")]
    assert names(outcomes) == ["Posting", "RequestFailed", "Posting", "Posting"]
    assert await bank.balances(a, b) == [97, 103]


async def test_a_defect_leaves_nothing_behind_and_keeps_no_key(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = await bank.accounts(2, 100)

    def post_and_fail(book: Any, wanted: Any) -> Any:
        results = post_each(book, wanted)
        if wanted[0].reference == "cursed":
            raise TypeError("after the money has moved")
        return results

    post_each = transfers.post_each
    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(transfers, "post_each", post_and_fail)
        outcomes = await bank.ledger.post_many(
            requests=[
                (key(), new(a, b, 1)),
                (key("cursed once"), new(a, b, 50, reference="cursed")),
                (key(), new(b, a, 2)),
                (key(), new(a, b, 7, reference="cursed")),
                (key(), new(a, b, 4)),
            ]
        )
    assert names(outcomes) == ["Posting", "RequestFailed", "Posting", "RequestFailed", "Posting"]
    assert [line["event"] for line in logs] == ["a request failed"] * 2
    assert await bank.balances(a, b) == [97, 103]
    posted = [outcome.single().id for outcome in outcomes if isinstance(outcome, Posting)]
    assert await bank.count("SELECT count(DISTINCT batch::text) FROM ledger.transfers WHERE id = ANY($1)", posted) == 1
    assert not (await bank.post(new(a, b, 50), text="cursed once")).replayed
    await bank.verified()


async def test_a_reserved_key_stands_for_one_request_before_and_after_its_answer(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    ours, other = key("reserved", content="this"), key("reserved", content="another")
    async with bank.database.transaction() as connection:
        await bank.ledger.reserve(keys=[ours], transaction=connection)
    assert await bank.ledger.answered(keys=[ours]) == set()
    for process in (bank, other_bank):
        with pytest.raises(IdempotencyKeyReused):
            await process.ledger.post(key=other, transfers=[new(a, b, 1)])
    first = await other_bank.ledger.post(key=ours, transfers=[new(a, b, 10)])
    assert not first.replayed
    assert await bank.ledger.post(key=ours, transfers=[new(a, b, 10)]) == Posting(results=first.results, replayed=True)
    assert await bank.ledger.answered(keys=[ours]) == {ours.digest}
    async with bank.database.transaction() as connection:
        await bank.ledger.unreserve(keys=[ours], transaction=connection)
    with pytest.raises(IdempotencyKeyReused):
        await bank.ledger.post(key=other, transfers=[new(a, b, 1)])
    assert await bank.balances(a, b) == [90, 110]


async def test_a_reserved_key_can_be_voided(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    ours = key("reserved and voided")
    async with bank.database.transaction() as connection:
        await bank.ledger.reserve(keys=[ours], transaction=connection)
    assert names((await bank.ledger.void(key=ours)).results) == ["Voided"]
    assert names((await bank.ledger.post(key=ours, transfers=[new(a, b, 1)])).results) == ["Voided"]
    assert await bank.balances(a, b) == [100, 100]


async def test_too_much_that_waits_is_refused_as_retryable(bank: Bank, monkeypatch: Any) -> None:
    monkeypatch.setattr("billfold.ledger.service.posting.WAITING_MAX", 10)
    a, b = await bank.accounts(2, 1_000)
    outcomes = await asyncio.gather(*[bank.post(new(a, b, 1)) for _ in range(30)], return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.Overloaded)]
    assert all(outcome.retryable for outcome in refused)
    assert len(refused) == 20
    assert await bank.balances(b) == [1_010]


async def test_closing_finishes_what_waits_and_takes_nothing_more(shared_database: Any) -> None:
    async with Bank.opened(shared_database.app_dsn) as bank:
        a, b = await bank.accounts(2, 1_000)
        calls = [asyncio.create_task(bank.post(new(a, b, 1))) for _ in range(50)]
        await asyncio.sleep(0)
        await bank.ledger.close()
        assert names(await asyncio.gather(*calls)) == ["Posting"] * 50
        with pytest.raises(errors.Overloaded):
            await bank.pay(a, b, 1)
        assert await bank.balances(b) == [1_050]


@pytest.mark.in_process("it looks into the metrics of the process")
async def test_a_batch_is_counted_with_how_many_it_held(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)

    def counted() -> tuple[float, float]:
        registry = prometheus_client.REGISTRY
        batches = registry.get_sample_value("billfold_ledger_batch_seconds_count")
        requests = registry.get_sample_value("billfold_ledger_batch_requests_sum")
        assert batches is not None
        assert requests is not None
        return batches, requests

    batches, requests = counted()
    await asyncio.gather(*(bank.pay(a, b, 1) for _ in range(50)))
    more_batches, more_requests = counted()
    assert more_requests - requests == 50
    assert 1 <= more_batches - batches < 50
    assert prometheus_client.REGISTRY.get_sample_value("billfold_ledger_waiting") == 0
