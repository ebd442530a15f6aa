"""The requests that a batch is made of: what each needs read and locked, what it does, and what its answer keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.kernel.idempotency import Key
from billfold.kernel.origin import Origin
from billfold.ledger import errors
from billfold.ledger.contracts import Hold, HoldChange, NewHold, NewTransfer, Posting, Transfer, Unopened
from billfold.ledger.domain import holds, transfers
from billfold.ledger.domain.book import Book
from billfold.ledger.store.batch import Span
from billfold.platform.telemetry.traces import Place

_BY_CODE: dict[str, type[errors.LedgerError]] = {
    error.code: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.LedgerError)
}


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A refusal as it is kept to be replayed."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: errors.LedgerError) -> Refused:
        """What is kept of `error`."""
        return cls(error.code, error.detail)

    def error(self) -> errors.LedgerError:
        """The same refusal again, marked as a replay."""
        error = _BY_CODE[self.code](self.detail)
        error.replayed = True
        return error


class _Results(msgspec.Struct, frozen=True, tag="results"):
    """Of `count` results, which were refused; the others are the transfers of `span`, in their order."""

    count: int
    refused: dict[int, Refused]
    span: Span | None


class _HoldAnswer(msgspec.Struct, frozen=True, tag="hold"):
    hold: Hold
    transfer: UUID | None


_ANSWER: msgspec.json.Decoder[Refused | _Results | _HoldAnswer] = msgspec.json.Decoder(Refused | _Results | _HoldAnswer)


class Stored(msgspec.Struct, frozen=True):
    """An answer read back: what was kept of it, and the transfers it needs, by their ids or as a span."""

    transfers: list[UUID]
    span: Span | None
    kept: Refused | _Results | _HoldAnswer | None


def stored(subject: UUID | None, answer: bytes | None) -> Stored:
    """Read back what `keep` of a command made."""
    if answer is None:
        assert subject is not None, "an answer is a transfer, or else it is kept"
        return Stored([subject], None, None)
    kept = _ANSWER.decode(answer)
    match kept:
        case _Results():
            return Stored([], kept.span, kept)
        case _HoldAnswer(_, transfer) if transfer is not None:
            return Stored([transfer], None, kept)
    return Stored([], None, kept)


def replay(
    answer: Stored, single: Mapping[UUID, Transfer], several: Mapping[Span, Sequence[Transfer]]
) -> Posting | HoldChange | errors.LedgerError:
    """The answer that was given the first time, marked as a replay."""
    match answer.kept:
        case None:
            return Posting(results=[single[answer.transfers[0]]], replayed=True)
        case _Results(count, refused, span):
            posted = iter(several[span] if span is not None else ())
            results = [refused[place].error() if place in refused else next(posted) for place in range(count)]
            return Posting(results=results, replayed=True)
        case _HoldAnswer(hold, transfer):
            return HoldChange(hold=hold, transfer=single[transfer] if transfer else None, replayed=True)
        case Refused() as refusal:
            return refusal.error()


class Command(Protocol):
    """One request of a batch. `apply` changes the book or raises a LedgerError and leaves it as it was."""

    #: The span of whoever waits for it, if that is recorded.
    trace: Place | None
    #: Where it comes from, if an audit is kept.
    origin: Origin | None

    @property
    def key(self) -> Key | None:
        """Under what its answer is kept; None for our own housekeeping, which guards itself."""
        ...

    @property
    def size(self) -> int:
        """How many transfers it may post."""
        ...

    def accounts(self) -> Sequence[UUID]:
        """The accounts it names itself."""
        ...

    def hold_ids(self) -> Sequence[UUID]:
        """The holds it names: their accounts are locked too."""
        ...

    def original_ids(self) -> Sequence[UUID]:
        """The transfers it names: their accounts are locked too."""
        ...

    def apply(self, book: Book) -> Any:
        """Do it."""
        ...


class _Named:
    """A command that names nothing but what it overrides."""

    size = 1
    trace: Place | None = None
    origin: Origin | None = None

    def accounts(self) -> Sequence[UUID]:
        return ()

    def hold_ids(self) -> Sequence[UUID]:
        return ()

    def original_ids(self) -> Sequence[UUID]:
        return ()


class Post(_Named):
    """Post transfers: all or nothing, or each that fits. One that a rehearsal has refused stands as its refusal."""

    def __init__(self, key: Key | None, wanted: Sequence[NewTransfer | errors.LedgerError], *, atomic: bool) -> None:
        self.key = key
        self.wanted = wanted
        self.atomic = atomic
        self.size = len(wanted)

    def accounts(self) -> Sequence[UUID]:
        return [
            account
            for new in self.wanted
            if isinstance(new, NewTransfer)
            for account in (new.debit_account, new.credit_account)
        ]

    def apply(self, book: Book) -> Posting:
        if self.atomic and self.size > 1:
            group = [new for new in self.wanted if isinstance(new, NewTransfer)]
            if group:
                assert len(group) == self.size, "a group is refused as a whole"
                return Posting(results=transfers.post_group(book, group))
        return Posting(results=transfers.post_each(book, self.wanted))


class Void(_Named):
    """Refuse what a key stands for before it was tried: nobody posts it any more, since its key has an answer."""

    def __init__(self, key: Key) -> None:
        self.key = key

    def apply(self, _: Book) -> Posting:
        return Posting(results=(errors.Voided(),))


class Reverse(_Named):
    """Reverse a transfer or a part of it."""

    def __init__(self, key: Key | None, transfer_id: UUID, amount: int | None) -> None:
        self.key = key
        self.transfer_id = transfer_id
        self.amount = amount

    def original_ids(self) -> Sequence[UUID]:
        return (self.transfer_id,)

    def apply(self, book: Book) -> Posting:
        original = book.originals.get(self.transfer_id)
        if original is None:
            raise errors.TransferUnknown
        return Posting(results=(transfers.reverse(book, original, self.amount),))


class PlaceHold(_Named):
    """Set money aside."""

    def __init__(self, key: Key | None, new: NewHold) -> None:
        self.key = key
        self.new = new

    def accounts(self) -> Sequence[UUID]:
        return (self.new.account,)

    def apply(self, book: Book) -> HoldChange:
        return HoldChange(hold=holds.place(book, self.new, ids.new()))


class Refuse(_Named):
    """Refuse what a key stands for, with what a rehearsal has found."""

    def __init__(self, key: Key, refusal: errors.LedgerError) -> None:
        self.key = key
        self.refusal = refusal

    def apply(self, _: Book) -> HoldChange:
        raise self.refusal


class Rehearse:
    """Find out what a command would do if accounts were there that nobody has opened. Nothing is written or kept."""

    key = None
    trace: Place | None = None
    origin: Origin | None = None

    def __init__(self, command: Command, unopened: Sequence[Unopened]) -> None:
        self.size = command.size
        self.accounts = command.accounts
        self.hold_ids = command.hold_ids
        self.original_ids = command.original_ids
        self._command = command
        self._unopened = unopened

    def apply(self, book: Book) -> Any:
        rehearsal = book.rehearsal(accounts=self.accounts(), holds=self.hold_ids(), unopened=self._unopened)
        return self._command.apply(rehearsal)


class _OnHold(_Named):
    def __init__(self, key: Key | None, hold_id: UUID) -> None:
        self.key = key
        self.hold_id = hold_id

    def hold_ids(self) -> Sequence[UUID]:
        return (self.hold_id,)

    def hold(self, book: Book) -> Hold:
        hold = book.holds.get(self.hold_id)
        if hold is None:
            raise errors.HoldUnknown
        return hold


class SettleHold(_OnHold):
    """Move held money to another account."""

    def __init__(
        self,
        key: Key | None,
        hold_id: UUID,
        *,
        credit_account: UUID,
        amount: int | None,
        release_rest: bool,
        forced: bool = False,
    ) -> None:
        super().__init__(key, hold_id)
        self.credit_account = credit_account
        self.amount = amount
        self.release_rest = release_rest
        self.forced = forced

    def accounts(self) -> Sequence[UUID]:
        return (self.credit_account,)

    def apply(self, book: Book) -> HoldChange:
        hold, transfer = holds.settle(
            book,
            self.hold(book),
            credit_account=self.credit_account,
            amount=self.amount,
            release_rest=self.release_rest,
            forced=self.forced,
        )
        return HoldChange(hold=hold, transfer=transfer)


class ReleaseHold(_OnHold):
    """Give held money back."""

    def apply(self, book: Book) -> HoldChange:
        return HoldChange(hold=holds.release(book, self.hold(book)))


class ExpireHold(_OnHold):
    """Give held money back because its time is over."""

    def apply(self, book: Book) -> HoldChange:
        return HoldChange(hold=holds.expire(book, self.hold(book)))


def moved(outcome: Posting | HoldChange | errors.LedgerError) -> list[UUID]:
    """The ids of the transfers and of the hold that came of a command."""
    if isinstance(outcome, Posting):
        return [result.id for result in outcome.results if isinstance(result, Transfer)]
    if isinstance(outcome, HoldChange):
        return [outcome.hold.id, *([outcome.transfer.id] if outcome.transfer is not None else [])]
    return []


def keep(outcome: Posting | HoldChange | errors.LedgerError, *, batch: int) -> tuple[UUID | None, bytes | None]:
    """What is kept of an outcome under its key: its transfer if that is the whole answer, otherwise the answer.

    `batch` is the number of the batch that posted it.
    """
    if isinstance(outcome, errors.LedgerError):
        return None, msgspec.json.encode(Refused.of(outcome))
    if isinstance(outcome, HoldChange):
        answer = _HoldAnswer(outcome.hold, outcome.transfer.id if outcome.transfer else None)
        return None, msgspec.json.encode(answer)
    results = outcome.results
    if len(results) == 1 and isinstance(results[0], Transfer):
        return results[0].id, None
    posted = [result.id for result in results if isinstance(result, Transfer)]
    refused = {place: Refused.of(result) for place, result in enumerate(results) if not isinstance(result, Transfer)}
    span = Span(posted[0], posted[-1], batch) if posted else None
    return None, msgspec.json.encode(_Results(len(results), refused, span))
