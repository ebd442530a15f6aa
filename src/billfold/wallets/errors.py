"""Why the wallets context turns a request down. What the ledger refuses keeps the ledger's error, but for the words.

BillfoldError
├── NotFound   WalletUnknown, TransactionUnknown, DeadLetterUnknown, PaymentRequestUnknown, RequestUnknown,
│              AddressUnknown
├── Conflict   WalletFrozen, WalletClosed, WalletNotEmpty, ExternalIdReused, DeadLetterClosed, DeadLetterInUse,
│              DeadLetterApplied, OwnerDeparted, AliasHasNoWallet, PayeeMismatch
│              PaymentRequestEnded, TooManyPaymentRequests, RequestEnded, HoldOfWithdrawal,
│              ApprovalAwaited, RebuildOvertaken, AssetOnChain
├── Denied     ReversalNotAllowed, CredentialsWithdrawn
├── Unavailable  BacklogFull
└── Invalid    SameWallet, SidesWrong, ItemKeysMixed, ItemKeysAtomic, AssetNeeded, WalletNeeded, CreditLimitNegative,
               CreditLimitRepeated, InstantAmbiguous, VersionNotReached, PeriodWrong, StepWrong,
               ConfirmedTransactionInvalid, ConfirmedTransactionTooLarge, ProcessingFailed, DeliveryLimitReached,
               PayeeNotAsked, PayerIsYou, ExpiryTooLate, TransferNotPosted, RequestNotEnded, OwnerNotDeparted
"""

from __future__ import annotations

from billfold.kernel import errors
from billfold.kernel.errors import BillfoldError
from billfold.ledger import errors as ledger_errors


class AddressUnknown(errors.NotFound):
    """The wallet has no address on this chain yet; `POST /wallets/{id}/addresses` makes one."""

    code = "address_unknown"


class WalletUnknown(errors.NotFound):
    """There is no such wallet, or it is not yours."""

    code = "wallet_unknown"


class TransactionUnknown(errors.NotFound):
    """There is no such transaction in your wallets."""

    code = "transaction_unknown"


class OwnerDeparted(errors.Conflict):
    """The account of this owner is closed, so it gets no wallets any more."""

    code = "owner_departed"


class WalletFrozen(errors.Conflict):
    """The wallet is frozen: nothing enters or leaves it until it is unfrozen."""

    code = "wallet_frozen"


class WalletClosed(errors.Conflict):
    """The wallet is closed."""

    code = "wallet_closed"


class HoldOfWithdrawal(errors.Conflict):
    """This money is set aside for a withdrawal to a chain, and may be there already; cancel the withdrawal instead."""

    code = "hold_of_withdrawal"


class WalletNotEmpty(errors.Conflict):
    """A wallet can be closed only when nothing is left in it."""

    code = "wallet_not_empty"


class ExternalIdReused(errors.Conflict):
    """A wallet with this external_id was created with another name or other metadata."""

    code = "external_id_reused"


class AliasHasNoWallet(errors.Conflict):
    """Whoever has this alias has no wallet that could get the money; they have to open one."""

    code = "alias_has_no_wallet"


class PayeeMismatch(errors.Conflict):
    """The alias stands for somebody else than the payee that you name, or their name has changed; look at it again."""

    code = "payee_mismatch"


class PayeeNotAsked(errors.Invalid):
    """A payee can be named only where the money goes to an alias; a wallet's id has no name."""

    code = "payee_not_asked"


class PaymentRequestUnknown(errors.NotFound):
    """There is no such request for payment, or it is between others."""

    code = "payment_request_unknown"


class PaymentRequestEnded(errors.Conflict):
    """The request has been paid, declined or cancelled, or its time is over."""

    code = "payment_request_ended"


class TooManyPaymentRequests(errors.Conflict):
    """You have asked for as much as may be asked for at a time; wait for an answer, or cancel some."""

    code = "too_many_payment_requests"


class PayerIsYou(errors.Invalid):
    """You can't ask yourself for money."""

    code = "payer_is_you"


class ExpiryTooLate(errors.Invalid):
    """A request can be paid for a year at most."""

    code = "expiry_too_late"


class RequestUnknown(errors.NotFound):
    """There is no such request, or it is not yours."""

    code = "request_unknown"


class RequestEnded(errors.Conflict):
    """The request is completed, failed or expired, so it can't be cancelled any more."""

    code = "request_ended"


class CredentialsWithdrawn(errors.Denied):
    """What the request was sent with was revoked, or its account closed, before it was carried out; nothing moved."""

    code = "credentials_withdrawn"


class ApprovalAwaited(errors.Conflict):
    """By now this takes another person's approval; it is carried out once they have given it."""

    code = "approval_awaited"
    retryable = True


class BacklogFull(errors.Unavailable):
    """Too many accepted requests wait to be carried out, so this one was not accepted; try again later."""

    code = "backlog_full"


class ReversalNotAllowed(errors.Denied):
    """Only whoever received the money, or an operator, can send it back."""

    code = "reversal_not_allowed"


class SameWallet(errors.Invalid):
    """Money can't be moved from a wallet to itself."""

    code = "same_wallet"


class SidesWrong(errors.Invalid):
    """A transfer needs from and to, a deposit only to, a withdrawal only from."""

    code = "sides_wrong"


class AssetOnChain(errors.Conflict):
    """This asset is on a chain: send it by `POST /wallets/{id}/chain-withdrawals`; what arrives there is credited.

    Booked beside its chain it would be owed, or paid out, without being there.
    """

    code = "asset_on_chain"


class ItemKeysMixed(errors.Invalid):
    """Give every item an idempotency_key of its own, or none of them."""

    code = "item_keys_mixed"


class ItemKeysAtomic(errors.Invalid):
    """Items with keys of their own are separate requests, so they can't be atomic together."""

    code = "item_keys_atomic"


class AssetNeeded(errors.Invalid):
    """Say which asset."""

    code = "asset_needed"


class WalletNeeded(errors.Invalid):
    """You have more than 1,000 accounts (one for each asset of a wallet), too many for one list; ask for one wallet."""

    code = "wallet_needed"


class CreditLimitNegative(errors.Invalid):
    """A credit limit is zero or more."""

    code = "credit_limit_negative"


class CreditLimitRepeated(errors.Invalid):
    """Give at most one credit limit for each asset."""

    code = "credit_limit_repeated"


class InstantAmbiguous(errors.Invalid):
    """Ask for the balance as recorded (at) or as effective (effective_at), not both."""

    code = "instant_ambiguous"


class VersionNotReached(errors.Invalid):
    """The balance has not had as many transactions as min_version says."""

    code = "version_not_reached"


class PeriodWrong(errors.Invalid):
    """The period ends before it begins."""

    code = "period_wrong"


class StepWrong(errors.Invalid):
    """The step is a whole number and a unit: s, m, h, d or w, such as 1d."""

    code = "step_wrong"


class DeadLetterUnknown(errors.NotFound):
    """There is no such dead letter."""

    code = "dead_letter_unknown"


class DeadLetterClosed(errors.Conflict):
    """The dead letter has been retried or discarded already."""

    code = "dead_letter_closed"


class DeadLetterInUse(errors.Conflict):
    """The transaction is being applied or discarded at this moment; try again to see what became of it."""

    code = "dead_letter_in_use"
    retryable = True


class DeadLetterApplied(errors.Conflict):
    """The transaction has been applied meanwhile, so it can't be discarded; retry it to be told its transfer."""

    code = "dead_letter_applied"


class ConfirmedTransactionInvalid(errors.Invalid):
    """The message is not a confirmed transaction in one of the forms that the reference describes."""

    code = "confirmed_transaction_invalid"


class ConfirmedTransactionTooLarge(errors.Invalid):
    """The message is larger than 64 KiB."""

    code = "confirmed_transaction_too_large"


class ProcessingFailed(errors.Invalid):
    """The message makes the worker fail, which is a defect of the worker; retry it with a version that is mended."""

    code = "processing_failed"


class DeliveryLimitReached(errors.Invalid):
    """The message has ended the worker whenever it was taken."""

    code = "delivery_limit_reached"


class TransferNotPosted(errors.Invalid):
    """The event tells of a transfer that the ledger does not have."""

    code = "transfer_not_posted"


class RequestNotEnded(errors.Invalid):
    """The event tells of the end of a request that has not ended."""

    code = "request_not_ended"


class OwnerNotDeparted(errors.Invalid):
    """The event tells that the account of an owner was closed, and it was not."""

    code = "owner_not_departed"


class RebuildOvertaken(errors.Conflict):
    """Another rebuild of the history has begun meanwhile, and goes on."""

    code = "rebuild_overtaken"


_WORDS: dict[type[BillfoldError], type[BillfoldError]] = {
    ledger_errors.AccountUnknown: WalletUnknown,
    ledger_errors.AccountFrozen: WalletFrozen,
    ledger_errors.AccountClosed: WalletClosed,
    ledger_errors.AccountNotEmpty: WalletNotEmpty,
    ledger_errors.SameAccount: SameWallet,
}


def in_wallet_words(error: BillfoldError) -> BillfoldError:
    """The ledger speaks of accounts, which no holder of a wallet has heard of: the same refusal in the words here."""
    known = _WORDS.get(type(error))
    if known is None:
        return error
    ours = known(pointer=error.pointer)
    ours.replayed = error.replayed
    return ours
