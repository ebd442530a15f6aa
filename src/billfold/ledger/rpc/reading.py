"""Messages as contracts: what a server reads of a request, and a client of an answer.

Both sides check what they read: neither can know which program, of which version, is at the other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import idempotency
from billfold.kernel.errors import BillfoldError
from billfold.ledger import errors
from billfold.ledger.contracts import (
    Account,
    Entry,
    EntryFilter,
    EntrySummary,
    Hold,
    HoldChange,
    NewAccount,
    NewHold,
    NewTransfer,
    Posting,
    Transfer,
    Unopened,
)
from billfold.ledger.rpc import values
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.rpc import statuses
from billfold.platform.rpc.errors import MessageInvalid

#: Whose keys those are that come as texts: there is one caller, as far as the ledger knows.
KEYS_OWNER = UUID("019aa2c6-7a00-7000-8000-6772706b6579")
#: Three ids at once are read as fast as one.
_THREE = tuple[UUID, UUID, UUID]


def key(message: pb.Key, operation: str, *content: object, pointer: str = "/key") -> idempotency.Key:
    """The key, and what it stands for: as the caller has digested it, or the operation with its content.

    Raises:
        MessageInvalid, InvalidId, InvalidIdempotencyKey.
    """
    form = message.WhichOneof("form")
    if form == "text":
        told = msgspec.json.encode(content, order="deterministic", enc_hook=_enc)
        return idempotency.key(owner=KEYS_OWNER, text=message.text, operation=operation, content=told)
    if form != "digested":
        raise values.missing(pointer)
    digest = values.read_id(message.digested.digest, f"{pointer}/digested/digest")
    return idempotency.Key(digest, message.digested.fingerprint)


def new_transfer(message: pb.NewTransfer, pointer: str) -> NewTransfer:
    """A transfer that is wanted."""
    # Reading an empty map takes as long as all the ids.
    metadata = message.metadata
    return NewTransfer(
        debit_account=values.read_id(message.debit_account, f"{pointer}/debit_account"),
        credit_account=values.read_id(message.credit_account, f"{pointer}/credit_account"),
        amount=values.read_units(message.amount, f"{pointer}/amount"),
        asset=values.read_text(message.asset, f"{pointer}/asset"),
        kind=values.TRANSFER_KINDS.read(message.kind, f"{pointer}/kind", default="transfer"),
        reference=message.reference,
        description=message.description,
        metadata=dict(metadata) if metadata else {},
        effective_at=optional_instant(message, "effective_at", pointer),
        forced=message.forced,
    )


def wanted(message: pb.Wanted, pointer: str) -> NewTransfer | errors.LedgerError:
    """A transfer that is wanted, or the refusal that stands for it."""
    form = message.WhichOneof("form")
    if form == "transfer":
        return new_transfer(message.transfer, f"{pointer}/transfer")
    if form is None:
        raise values.missing(f"{pointer}/transfer")
    return ledger_refusal(message.refusal, f"{pointer}/refusal")


def unopened(message: pb.UnopenedAccount, pointer: str) -> Unopened:
    """An account that nobody has opened."""
    return Unopened(
        id=values.read_id(message.id, f"{pointer}/id"),
        asset=values.read_text(message.asset, f"{pointer}/asset"),
        status=values.ACCOUNT_STATUSES.read(message.status, f"{pointer}/status"),
    )


def new_hold(message: pb.NewHold, pointer: str = "/hold") -> NewHold:
    """A hold that is wanted."""
    return NewHold(
        account=values.read_id(message.account, f"{pointer}/account"),
        amount=values.read_units(message.amount, f"{pointer}/amount"),
        asset=values.read_text(message.asset, f"{pointer}/asset"),
        expires_at=optional_instant(message, "expires_at", pointer),
        reference=message.reference,
        description=message.description,
    )


def new_account(message: pb.NewAccount, pointer: str) -> NewAccount:
    """An account that is to be opened."""
    lowest = message.WhichOneof("lowest")
    floor = values.read_units(message.floor, f"{pointer}/floor") if lowest == "floor" else 0
    return NewAccount(
        id=values.read_id(message.id, f"{pointer}/id"),
        asset=values.read_text(message.asset, f"{pointer}/asset"),
        kind=values.ACCOUNT_KINDS.read(message.kind, f"{pointer}/kind", default="user"),
        floor=None if lowest == "unlimited" and message.unlimited else floor,
    )


def entry_filter(message: pb.EntryFilter, pointer: str = "/filter") -> EntryFilter:
    """Which entries are wanted."""
    kinds = [values.TRANSFER_KINDS.read(kind, f"{pointer}/kinds/kinds") for kind in message.kinds.kinds]
    return EntryFilter(
        recorded_from=optional_instant(message, "recorded_from", pointer),
        recorded_to=optional_instant(message, "recorded_to", pointer),
        kinds=frozenset(kinds) if message.HasField("kinds") else None,
        direction=values.DIRECTIONS.read(message.direction, f"{pointer}/direction") if message.direction else None,
        reference=message.reference if message.HasField("reference") else None,
        asset=message.asset if message.HasField("asset") else None,
        amount_min=optional_units(message, "amount_min", pointer),
        amount_max=optional_units(message, "amount_max", pointer),
    )


def optional_instant(message: Any, field: str, pointer: str = "") -> datetime | None:
    """An instant that may be left out."""
    return values.read_instant(getattr(message, field), f"{pointer}/{field}") if message.HasField(field) else None


def optional_units(message: Any, field: str, pointer: str = "") -> int | None:
    """An amount that may be left out."""
    return values.read_units(getattr(message, field), f"{pointer}/{field}") if message.HasField(field) else None


def refusal(message: pb.Refusal) -> BillfoldError:
    """Why something was refused."""
    error = statuses.named(message.code, message.detail, retryable=message.retryable)
    error.replayed = message.replayed
    return error


def ledger_refusal(message: pb.Refusal, pointer: str) -> errors.LedgerError:
    """A refusal of the ledger's own.

    Raises:
        MessageInvalid: it is of somebody else, or of nobody.
    """
    error = refusal(message)
    if not isinstance(error, errors.LedgerError):
        raise MessageInvalid(f"{message.code[:40]!r} is no code of the ledger.", pointer=f"{pointer}/code")
    return error


def transfer(message: pb.Transfer) -> Transfer:
    """A posted transfer."""
    ids = (message.id, message.debit_account, message.credit_account)
    transfer_id, debit_account, credit_account = msgspec.convert(ids, _THREE)
    return Transfer(
        id=transfer_id,
        debit_account=debit_account,
        credit_account=credit_account,
        amount=int(message.amount),
        asset=message.asset,
        kind=values.TRANSFER_KINDS.word[message.kind],
        reference=message.reference,
        description=message.description,
        metadata=dict(message.metadata),
        effective_at=values.read_instant(message.effective_at, "/effective_at"),
        recorded_at=values.read_instant(message.recorded_at, "/recorded_at"),
        debit_version=message.debit_version,
        credit_version=message.credit_version,
        debit_balance=int(message.debit_balance),
        credit_balance=int(message.credit_balance),
    )


def results(messages: Sequence[pb.Result]) -> list[Transfer | errors.LedgerError]:
    """What became of each transfer."""
    return [
        transfer(message.transfer)
        if message.WhichOneof("outcome") == "transfer"
        else ledger_refusal(message.refusal, "/refusal")
        for message in messages
    ]


def posting(message: pb.Posting) -> Posting:
    """What became of a request's transfers."""
    return Posting(results=results(message.results), replayed=message.replayed)


def hold(message: pb.Hold) -> Hold:
    """A hold."""
    return Hold(
        id=UUID(message.id),
        account=UUID(message.account),
        asset=message.asset,
        amount=int(message.amount),
        settled=int(message.settled),
        status=values.HOLD_STATUSES.word[message.status],
        expires_at=optional_instant(message, "expires_at"),
        reference=message.reference,
        description=message.description,
        created_at=values.read_instant(message.created_at, "/created_at"),
        ended_at=optional_instant(message, "ended_at"),
    )


def hold_change(message: pb.HoldChange) -> HoldChange:
    """A hold after a request."""
    return HoldChange(
        hold=hold(message.hold),
        transfer=transfer(message.transfer) if message.HasField("transfer") else None,
        replayed=message.replayed,
    )


def account(message: pb.Account) -> Account:
    """An account."""
    return Account(
        id=UUID(message.id),
        asset=message.asset,
        kind=values.ACCOUNT_KINDS.word[message.kind],
        floor=optional_units(message, "floor"),
        status=values.ACCOUNT_STATUSES.word[message.status],
        posted=int(message.posted),
        held=int(message.held),
        version=message.version,
        changes=message.changes,
        created_at=values.read_instant(message.created_at, "/created_at"),
    )


def entry(message: pb.Entry) -> Entry:
    """One side of a transfer."""
    return Entry(
        transfer_id=UUID(message.transfer_id),
        account=UUID(message.account),
        version=message.version,
        amount=int(message.amount),
        balance=int(message.balance),
        counterparty=UUID(message.counterparty),
        kind=values.TRANSFER_KINDS.word[message.kind],
        reference=message.reference,
        description=message.description,
        metadata=dict(message.metadata),
        effective_at=values.read_instant(message.effective_at, "/effective_at"),
        recorded_at=values.read_instant(message.recorded_at, "/recorded_at"),
    )


def summary(message: pb.Summary) -> EntrySummary:
    """Count and sums."""
    return EntrySummary(count=message.count, credited=int(message.credited), debited=int(message.debited))


def _enc(value: object) -> object:
    assert isinstance(value, BillfoldError)
    return [value.code, value.detail]
