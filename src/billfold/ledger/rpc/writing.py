"""Contracts as messages: what a client asks, and a server answers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger.contracts import (
    Account,
    Entry,
    EntryFilter,
    EntrySummary,
    Hold,
    HoldChange,
    NewHold,
    NewTransfer,
    Posting,
    Transfer,
    Unopened,
)
from billfold.ledger.errors import LedgerError
from billfold.ledger.rpc import values
from billfold.ledger.rpc.v1 import ledger_pb2 as pb


def key(own: Key) -> pb.Key:
    """A key that has been digested."""
    return pb.Key(digested=pb.DigestedKey(digest=str(own.digest), fingerprint=own.fingerprint))


def new_transfer(new: NewTransfer) -> pb.NewTransfer:
    """A transfer that is wanted."""
    return pb.NewTransfer(
        debit_account=str(new.debit_account),
        credit_account=str(new.credit_account),
        amount=str(new.amount),
        asset=new.asset,
        kind=values.TRANSFER_KINDS.number[new.kind],
        reference=new.reference,
        description=new.description,
        metadata=new.metadata,
        effective_at=None if new.effective_at is None else values.instant(new.effective_at),
        forced=new.forced,
    )


def wanted(new: NewTransfer | LedgerError) -> pb.Wanted:
    """A transfer that is wanted, or the refusal that stands for it."""
    if isinstance(new, LedgerError):
        return pb.Wanted(refusal=refusal(new))
    return pb.Wanted(transfer=new_transfer(new))


def unopened(account: Unopened) -> pb.UnopenedAccount:
    """An account that nobody has opened."""
    return pb.UnopenedAccount(
        id=str(account.id), asset=account.asset, status=values.ACCOUNT_STATUSES.number[account.status]
    )


def new_hold(new: NewHold) -> pb.NewHold:
    """A hold that is wanted."""
    return pb.NewHold(
        account=str(new.account),
        amount=str(new.amount),
        asset=new.asset,
        expires_at=None if new.expires_at is None else values.instant(new.expires_at),
        reference=new.reference,
        description=new.description,
    )


def entry_filter(narrowed: EntryFilter) -> pb.EntryFilter:
    """Which entries are wanted."""
    return pb.EntryFilter(
        recorded_from=None if narrowed.recorded_from is None else values.instant(narrowed.recorded_from),
        recorded_to=None if narrowed.recorded_to is None else values.instant(narrowed.recorded_to),
        kinds=None
        if narrowed.kinds is None
        else pb.TransferKinds(kinds=[values.TRANSFER_KINDS.number[kind] for kind in sorted(narrowed.kinds)]),
        direction=None if narrowed.direction is None else values.DIRECTIONS.number[narrowed.direction],
        reference=narrowed.reference,
        asset=narrowed.asset,
        amount_min=optional_units(narrowed.amount_min),
        amount_max=optional_units(narrowed.amount_max),
    )


def optional_units(units: int | None) -> str | None:
    """An amount that may be left out."""
    return None if units is None else str(units)


def refusal(error: BillfoldError) -> pb.Refusal:
    """Why something was refused."""
    return pb.Refusal(code=error.code, detail=error.detail, replayed=error.replayed, retryable=error.retryable)


def transfer(posted: Transfer) -> pb.Transfer:
    """A posted transfer."""
    return _filled(pb.Transfer(), posted)


def _filled(message: pb.Transfer, posted: Transfer) -> pb.Transfer:
    """`message` with the transfer in it. Bulk writes these by the ten thousand: each field by itself, in its place."""
    # As texts by a library in C, since UUID's own way to one takes longer than all the rest.
    texts = msgspec.to_builtins((posted.id, posted.debit_account, posted.credit_account))
    message.id, message.debit_account, message.credit_account = texts
    message.amount = str(posted.amount)
    message.asset = posted.asset
    message.kind = values.TRANSFER_KINDS.number[posted.kind]
    message.reference = posted.reference
    message.description = posted.description
    if posted.metadata:
        message.metadata.update(posted.metadata)
    message.debit_version = posted.debit_version
    message.credit_version = posted.credit_version
    message.debit_balance = str(posted.debit_balance)
    message.credit_balance = str(posted.credit_balance)
    seconds, nanos = values.seconds_of(posted.recorded_at)
    message.recorded_at.seconds, message.recorded_at.nanos = seconds, nanos
    if posted.effective_at is not posted.recorded_at:
        seconds, nanos = values.seconds_of(posted.effective_at)
    message.effective_at.seconds, message.effective_at.nanos = seconds, nanos
    return message


def results(found: Sequence[Transfer | LedgerError]) -> list[pb.Result]:
    """What became of each transfer."""
    return [
        pb.Result(transfer=transfer(one)) if isinstance(one, Transfer) else pb.Result(refusal=refusal(one))
        for one in found
    ]


def posting(found: Posting) -> pb.Posting:
    """What became of a request's transfers."""
    return pb.Posting(results=results(found.results), replayed=found.replayed)


def answers(outcomes: Sequence[Posting | BillfoldError], *, ids_only: bool) -> pb.PostStreamResponse:
    """What became of each request of a block."""
    message = pb.PostStreamResponse()
    for outcome in outcomes:
        answer = message.answers.add()
        if not isinstance(outcome, Posting):
            answer.failure.CopyFrom(refusal(outcome))
            continue
        (result,) = outcome.results
        if not isinstance(result, Transfer):
            answer.posting.CopyFrom(posting(outcome))
        elif ids_only:
            answer.posted_id = msgspec.to_builtins(result.id)
        else:
            answer.posting.replayed = outcome.replayed
            _filled(answer.posting.results.add().transfer, result)
    return message


def hold(found: Hold) -> pb.Hold:
    """A hold."""
    return pb.Hold(
        id=str(found.id),
        account=str(found.account),
        asset=found.asset,
        amount=str(found.amount),
        settled=str(found.settled),
        status=values.HOLD_STATUSES.number[found.status],
        expires_at=None if found.expires_at is None else values.instant(found.expires_at),
        reference=found.reference,
        description=found.description,
        created_at=values.instant(found.created_at),
        ended_at=None if found.ended_at is None else values.instant(found.ended_at),
    )


def hold_change(change: HoldChange) -> pb.HoldChange:
    """A hold after a request."""
    return pb.HoldChange(
        hold=hold(change.hold),
        transfer=None if change.transfer is None else transfer(change.transfer),
        replayed=change.replayed,
    )


def asset(known: Asset, external_account: UUID) -> pb.Asset:
    """An asset with the account of the outside world."""
    return pb.Asset(
        code=known.code,
        scale=known.scale,
        kind=values.ASSET_KINDS.number[known.kind],
        name=known.name,
        chain=known.chain,
        contract=known.contract,
        external_account=str(external_account),
    )


def account(found: Account) -> pb.Account:
    """An account."""
    return pb.Account(
        id=str(found.id),
        asset=found.asset,
        kind=values.ACCOUNT_KINDS.number[found.kind],
        floor=optional_units(found.floor),
        status=values.ACCOUNT_STATUSES.number[found.status],
        posted=str(found.posted),
        held=str(found.held),
        version=found.version,
        changes=found.changes,
        created_at=values.instant(found.created_at),
    )


def entry(found: Entry) -> pb.Entry:
    """One side of a transfer."""
    return pb.Entry(
        transfer_id=str(found.transfer_id),
        account=str(found.account),
        version=found.version,
        amount=str(found.amount),
        balance=str(found.balance),
        counterparty=str(found.counterparty),
        kind=values.TRANSFER_KINDS.number[found.kind],
        reference=found.reference,
        description=found.description,
        metadata=found.metadata,
        effective_at=values.instant(found.effective_at),
        recorded_at=values.instant(found.recorded_at),
    )


def summary(sums: EntrySummary) -> pb.Summary:
    """Count and sums."""
    return pb.Summary(count=sums.count, credited=str(sums.credited), debited=str(sums.debited))
