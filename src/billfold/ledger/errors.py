"""Why the ledger turns a request down.

LedgerError
├── AssetUnknown, AssetExists
├── AccountUnknown, AccountFrozen, AccountClosed, AccountNotEmpty
├── AssetMismatch, SameAccount, AmountNotPositive, InsufficientFunds, BalanceTooLarge
├── EffectiveInFuture, EffectiveTooEarly, InstantInFuture, TooManyPoints
├── GroupRefused                       a neighbour in an all-or-nothing group was refused
├── TransferUnknown, TransferNotReversible, ReversalExceedsTransfer
├── HoldUnknown, HoldEnded, SettlementExceedsHold, ExpiryInPast
├── Voided                             its key was voided before anything was posted under it
├── RequestFailed                      a defect of ours, which is no answer to the request
└── OutcomeUnknown, Overloaded         not refused: ask again with the same key
"""

from __future__ import annotations

from billfold.kernel import errors

#: Of a text that is wrong anyway no more is told.
_SHOWN_MAX = 20


class LedgerError(errors.BillfoldError):
    """The ledger could not do this."""

    code = "ledger_error"


class AssetUnknown(LedgerError, errors.Invalid):
    """There is no such asset."""

    code = "asset_unknown"

    @classmethod
    def named(cls, code: str, *, pointer: str | None = None) -> AssetUnknown:
        """Says which one, and how codes are written if that may be why."""
        hint = "" if code == code.upper() else "; codes are written in capitals, such as USD"
        return cls(f"There is no asset {code[:_SHOWN_MAX]!r}{hint}.", pointer=pointer)


class AssetExists(LedgerError, errors.Conflict):
    """The asset exists with other properties; an asset can't be changed."""

    code = "asset_exists"


class AccountUnknown(LedgerError, errors.NotFound):
    """There is no such account."""

    code = "account_unknown"


class AccountFrozen(LedgerError, errors.Conflict):
    """The account is frozen: nothing enters or leaves it until it is unfrozen."""

    code = "account_frozen"


class AccountClosed(LedgerError, errors.Conflict):
    """The account is closed."""

    code = "account_closed"


class AccountNotEmpty(LedgerError, errors.Conflict):
    """An account can be closed only when its balance and its holds are zero."""

    code = "account_not_empty"


class AssetMismatch(LedgerError, errors.Invalid):
    """The account does not hold this asset."""

    code = "asset_mismatch"


class SameAccount(LedgerError, errors.Invalid):
    """Money can't be moved from an account to itself."""

    code = "same_account"


class AmountNotPositive(LedgerError, errors.Invalid):
    """The amount must be greater than zero."""

    code = "amount_not_positive"


class InvalidText(LedgerError, errors.Invalid):
    """A reference, description or metadata is too long, or holds a character that can't be stored."""

    code = "invalid_text"


class InsufficientFunds(LedgerError, errors.Refusal):
    """The available balance is not enough."""

    code = "insufficient_funds"


class BalanceTooLarge(LedgerError, errors.Refusal):
    """The balance after this would be larger than any that can be held."""

    code = "balance_too_large"


class EffectiveInFuture(LedgerError, errors.Invalid):
    """The effective date is in the future; money moves only now or with an earlier value date."""

    code = "effective_in_future"


class EffectiveTooEarly(LedgerError, errors.Invalid):
    """The effective date is before 1900."""

    code = "effective_too_early"


class InstantInFuture(LedgerError, errors.Invalid):
    """The instant asked about is in the future."""

    code = "instant_in_future"


class TooManyPoints(LedgerError, errors.Invalid):
    """The series would have more than 1000 points; take a longer step or a shorter time."""

    code = "too_many_points"


class GroupRefused(LedgerError, errors.Refusal):
    """Another transfer of the same all-or-nothing request was refused, so this one was not posted."""

    code = "group_refused"


class TransferUnknown(LedgerError, errors.NotFound):
    """There is no such transfer."""

    code = "transfer_unknown"


class TransferNotReversible(LedgerError, errors.Conflict):
    """A reversal can't be reversed; make a new transfer."""

    code = "transfer_not_reversible"


class ReversalExceedsTransfer(LedgerError, errors.Conflict):
    """The transfer has been reversed already, or less of it is left than this would reverse."""

    code = "reversal_exceeds_transfer"


class HoldUnknown(LedgerError, errors.NotFound):
    """There is no such hold."""

    code = "hold_unknown"


class HoldEnded(LedgerError, errors.Conflict):
    """The hold has ended: settled, released or expired."""

    code = "hold_ended"


class SettlementExceedsHold(LedgerError, errors.Conflict):
    """More would be settled than is still held."""

    code = "settlement_exceeds_hold"


class ExpiryInPast(LedgerError, errors.Invalid):
    """The expiry is in the past."""

    code = "expiry_in_past"


class Voided(LedgerError, errors.Conflict):
    """This was discarded before it was posted, and never will be posted; send what is new under a key of its own."""

    code = "voided"


class RequestFailed(LedgerError):
    """The ledger failed at this request, which is a defect of ours; its key makes it safe to send it again."""

    code = "request_failed"


class OutcomeUnknown(LedgerError, errors.Unavailable):
    """The connection was lost while the request was being committed; ask again with the same idempotency key."""

    code = "outcome_unknown"


class Overloaded(LedgerError, errors.Unavailable):
    """Too many requests are waiting; try again shortly with the same idempotency key."""

    code = "overloaded"
