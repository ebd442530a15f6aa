"""What operations of wallets may be refused for, in the groups in which it happens."""

from billfold.identity import errors as identity
from billfold.kernel import clock, errors, ids, money, paging
from billfold.ledger import errors as ledger
from billfold.wallets import errors as wallets

_Kinds = tuple[type[errors.BillfoldError], ...]

#: Where an alias is named.
ALIAS: _Kinds = (
    identity.AliasInvalid,
    identity.HandleInvalid,
    identity.HandleMixed,
    identity.InvalidEmail,
    identity.InvalidPhone,
    identity.AliasUnknown,
    identity.TooManyAliasRequests,
)
#: Where money goes to an alias.
PAYEE: _Kinds = (*ALIAS, wallets.AliasHasNoWallet, wallets.PayeeMismatch, wallets.PayeeNotAsked)
WALLET: _Kinds = (ids.InvalidId, wallets.WalletUnknown)
#: An amount that is to be moved or held.
AMOUNT: _Kinds = (
    ledger.AssetUnknown,
    money.InvalidAmount,
    money.AmountTooPrecise,
    money.AmountTooLarge,
    ledger.AmountNotPositive,
)
#: What only the ledger knows.
POSTING: _Kinds = (
    wallets.WalletFrozen,
    wallets.WalletClosed,
    ledger.InsufficientFunds,
    ledger.BalanceTooLarge,
    ledger.OutcomeUnknown,
    ledger.Overloaded,
)
VALUE_DATE: _Kinds = (clock.InvalidInstant, ledger.EffectiveInFuture, ledger.EffectiveTooEarly)
ORDER: _Kinds = (*WALLET, *PAYEE, *AMOUNT, *VALUE_DATE, *POSTING)
#: Of what comes from the world outside, or leaves for it.
CROSSING: _Kinds = (wallets.AssetOnChain,)
#: Of what takes money out of the house.
STEPPED_UP: _Kinds = (identity.StepUpRequired, identity.SecondFactorMissing)
#: Of what may take a second person.
SUPERVISED: _Kinds = (identity.ApprovalEnded, identity.ApprovalStale, identity.TooManyApprovals)
#: Of what can be carried out later; that it was cancelled or has expired answers its key for ever.
LATER: _Kinds = (wallets.BacklogFull, wallets.CredentialsWithdrawn, ledger.Voided)
PAGE: _Kinds = (paging.InvalidCursor, paging.InvalidLimit)
#: Which transactions are meant.
FILTER: _Kinds = (
    *WALLET,
    wallets.WalletNeeded,
    wallets.AssetNeeded,
    wallets.PeriodWrong,
    ledger.AssetUnknown,
    clock.InvalidInstant,
    money.InvalidAmount,
    money.AmountTooPrecise,
    money.AmountTooLarge,
)
