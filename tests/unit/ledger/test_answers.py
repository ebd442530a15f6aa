"""What is kept of an answer under its key, and how it is told again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billfold.kernel import errors as kernel_errors
from billfold.kernel import ids
from billfold.ledger import errors
from billfold.ledger.contracts import Hold, HoldChange, Posting, Transfer
from billfold.ledger.service import commands
from billfold.ledger.store import rows
from tests.unit.ledger.books import Shelf, pay

#: The highest number that PostgreSQL gives a database transaction without its epoch.
BATCH = 2**32 - 1
REFUSALS = [error for error in kernel_errors.catalogue(errors.LedgerError) if issubclass(error, kernel_errors.Refusal)]


def transfer() -> Transfer:
    shelf = Shelf()
    return pay(shelf.book(), shelf.account(5), shelf.account(), 5)


def told_again(outcome: Posting | HoldChange | errors.LedgerError, *journal: Transfer) -> object:
    answer = commands.stored(*commands.keep(outcome, batch=BATCH))
    several = {} if answer.span is None else {answer.span: journal}
    return commands.replay(answer, {item.id: item for item in journal}, several)


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.__name__)
def test_every_refusal_is_told_again_in_the_same_words(error: type[errors.LedgerError]) -> None:
    first = error("It was like this.")
    again = told_again(first)
    assert type(again) is error
    assert isinstance(again, errors.LedgerError)
    assert again.detail == "It was like this."
    assert again.replayed
    assert not first.replayed


def test_a_single_transfer_is_read_back_from_the_journal_alone() -> None:
    posted = transfer()
    assert commands.keep(Posting(results=[posted]), batch=BATCH) == (posted.id, None)
    assert told_again(Posting(results=[posted]), posted) == Posting(results=[posted], replayed=True)


def test_a_mixed_answer_is_told_again_in_its_order() -> None:
    first, second = transfer(), transfer()
    again = told_again(Posting(results=[first, errors.InsufficientFunds(), second]), first, second)
    assert isinstance(again, Posting)
    assert again.replayed
    assert again.results[0] == first
    assert isinstance(again.results[1], errors.InsufficientFunds)
    assert again.results[1].replayed
    assert again.results[2] == second


@pytest.mark.parametrize("settled", [True, False])
def test_a_hold_is_told_again_as_it_was_then(*, settled: bool) -> None:
    posted = transfer() if settled else None
    now = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    hold = Hold(
        id=ids.new(),
        account=ids.new(),
        asset="ETH",
        amount=10**77,
        settled=5,
        status="active",
        expires_at=now + timedelta(days=1),
        reference="r\N{PILE OF POO}\n",
        description="",
        created_at=now,
        ended_at=None,
    )
    change = HoldChange(hold=hold, transfer=posted)
    again = told_again(change, *([posted] if posted else []))
    assert again == msgspec.structs.replace(change, replayed=True)


def test_a_thousand_posted_transfers_are_kept_in_a_few_bytes() -> None:
    posted = [transfer() for _ in range(1_000)]
    subject, answer = commands.keep(Posting(results=posted), batch=BATCH)
    assert subject is None
    assert answer is not None
    assert len(answer) < 200
    assert commands.stored(None, answer).span == (posted[0].id, posted[-1].id, BATCH)


def test_an_answer_of_refusals_alone_needs_no_transfers() -> None:
    again = told_again(Posting(results=[errors.InsufficientFunds(), errors.AccountUnknown()]))
    assert isinstance(again, Posting)
    assert [type(result) for result in again.results] == [errors.InsufficientFunds, errors.AccountUnknown]


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        ("plain", "plain"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\\", "\\\\"),
        ("\\N", "\\\\N"),
        ("\\.", "\\\\."),
        ("\\t", "\\\\t"),
        ("\x0b\x0c\x08 'quoted' \"too\"", "\x0b\x0c\x08 'quoted' \"too\""),
    ],
)
def test_no_text_breaks_out_of_its_field(text: str, copied: str) -> None:
    assert rows.escape(text) == copied
    assert "\t" not in copied
    assert "\n" not in copied


def test_no_metadata_is_no_text() -> None:
    assert rows.metadata_text({}) == ""
    assert rows.metadata_text({"a": "\t"}) == '{"a":"\\t"}'
