"""What is kept of an answer under its key, and how it is told again."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import errors as kernel_errors
from billfold.kernel import ids
from billfold.ledger import errors
from billfold.ledger.contracts import Hold, HoldChange, Posting, Transfer
from billfold.ledger.service import commands
from billfold.ledger.store import rows
from tests.unit.ledger.books import Shelf, pay

REFUSALS = [error for error in kernel_errors.catalogue(errors.LedgerError) if issubclass(error, kernel_errors.Refusal)]


def transfer() -> Transfer:
    shelf = Shelf()
    return pay(shelf.book(), shelf.account(5), shelf.account(), 5)


def told_again(outcome: Posting | HoldChange | errors.LedgerError, *journal: Transfer) -> object:
    subject, answer = commands.keep(outcome)
    return commands.replay(commands.stored(subject, answer), {item.id: item for item in journal})


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
    assert commands.keep(Posting(results=[posted])) == (posted.id, None)
    assert told_again(Posting(results=[posted]), posted) == Posting(results=[posted], replayed=True)


def test_a_mixed_answer_is_told_again_in_its_order() -> None:
    first, second = transfer(), transfer()
    again = told_again(Posting(results=[first, errors.InsufficientFunds(), second]), second, first)
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


def test_the_end_of_an_old_hold_is_dated_by_now() -> None:
    """Records are forgotten by their subject's date: the hold's own would be forgotten too soon."""
    old = UUID(int=(ids.floor_of(1_600_000_000_000).int | 7))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    hold = Hold(
        id=old,
        account=ids.new(),
        asset="USD",
        amount=5,
        settled=0,
        status="released",
        expires_at=None,
        reference="",
        description="",
        created_at=now,
        ended_at=now,
    )
    subject, _ = commands.keep(HoldChange(hold=hold))
    assert subject > ids.floor_of(1_700_000_000_000)


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
