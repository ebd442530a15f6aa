"""The requests that a batch is made of: what each needs read and locked, what it does, and what its answer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.kernel.idempotency import Key
from billfold.ledger import errors
from billfold.ledger.contracts import Hold, HoldChange, NewHold, NewTransfer, Posting, Transfer
from billfold.ledger.domain import holds, transfers
from billfold.ledger.domain.book import Book

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


class Posted(msgspec.Struct, frozen=True, tag="posted"):
    """A posted transfer as it is kept to be replayed: the journal has the rest."""

    id: UUID


class _Results(msgspec.Struct, frozen=True, tag="results"):
    items: list[Posted | Refused]


class _HoldAnswer(msgspec.Struct, frozen=True, tag="hold"):
    hold: Hold
    transfer: UUID | None


_ANSWER: msgspec.json.Decoder[Refused | _Results | _HoldAnswer] = msgspec.json.Decoder(Refused | _Results | _HoldAnswer)


class Stored(msgspec.Struct, frozen=True):
    """An answer read back: the ids of the transfers it needs, and what was kept of it."""

    transfers: list[UUID]
    kept: Refused | _Results | _HoldAnswer | None


def stored(subject: UUID, answer: bytes | None) -> Stored:
    """Read back what `keep` of a command made."""
    if answer is None:
        return Stored([subject], None)
    kept = _ANSWER.decode(answer)
    match kept:
        case _Results(items):
            return Stored([item.id for item in items if isinstance(item, Posted)], kept)
        case _HoldAnswer(_, transfer) if transfer is not None:
            return Stored([transfer], kept)
    return Stored([], kept)


def replay(answer: Stored, found: dict[UUID, Transfer]) -> Posting | HoldChange | errors.LedgerError:
    """The answer that was given the first time, marked as a replay."""
    match answer.kept:
        case None:
            return Posting(results=[found[answer.transfers[0]]], replayed=True)
        case _Results(items):
            results = [found[item.id] if isinstance(item, Posted) else item.error() for item in items]
            return Posting(results=results, replayed=True)
        case _HoldAnswer(hold, transfer):
            return HoldChange(hold=hold, transfer=found[transfer] if transfer else None, replayed=True)
        case Refused() as refused:
            return refused.error()


class Command(Protocol):
    """One request of a batch. `apply` changes the book or raises a LedgerError and leaves it as it was."""

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

    def accounts(self) -> Sequence[UUID]:
        return ()

    def hold_ids(self) -> Sequence[UUID]:
        return ()

    def original_ids(self) -> Sequence[UUID]:
        return ()


class Post(_Named):
    """Post transfers: all or nothing, or each that fits."""

    def __init__(self, key: Key | None, wanted: Sequence[NewTransfer], *, atomic: bool) -> None:
        self.key = key
        self.wanted = wanted
        self.atomic = atomic
        self.size = len(wanted)

    def accounts(self) -> Sequence[UUID]:
        if self.size == 1:
            new = self.wanted[0]
            return (new.debit_account, new.credit_account)
        return [account for new in self.wanted for account in (new.debit_account, new.credit_account)]

    def apply(self, book: Book) -> Posting:
        grouped = self.atomic and self.size > 1
        return Posting(results=(transfers.post_group if grouped else transfers.post_each)(book, self.wanted))


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
        self, key: Key | None, hold_id: UUID, *, credit_account: UUID, amount: int | None, release_rest: bool
    ) -> None:
        super().__init__(key, hold_id)
        self.credit_account = credit_account
        self.amount = amount
        self.release_rest = release_rest

    def accounts(self) -> Sequence[UUID]:
        return (self.credit_account,)

    def apply(self, book: Book) -> HoldChange:
        hold, transfer = holds.settle(
            book,
            self.hold(book),
            credit_account=self.credit_account,
            amount=self.amount,
            release_rest=self.release_rest,
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


def keep(outcome: Posting | HoldChange | errors.LedgerError) -> tuple[UUID, bytes | None]:
    """What is kept of an outcome under its key: a subject id that dates it, and the answer if the journal lacks it.

    The subject is never a hold: one that was placed long ago would have its release forgotten at once.
    """
    if isinstance(outcome, errors.LedgerError):
        return ids.new(), msgspec.json.encode(Refused.of(outcome))
    if isinstance(outcome, HoldChange):
        answer = _HoldAnswer(outcome.hold, outcome.transfer.id if outcome.transfer else None)
        return ids.new(), msgspec.json.encode(answer)
    first = outcome.results[0]
    if len(outcome.results) == 1 and isinstance(first, Transfer):
        return first.id, None
    items = [Posted(item.id) if isinstance(item, Transfer) else Refused.of(item) for item in outcome.results]
    return ids.new(), msgspec.json.encode(_Results(items))
