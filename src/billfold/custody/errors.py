"""Why custody turns a request down.

CustodyError
├── ChainUnknown                    a chain that is not served
├── ChainNotHalted                  there is nothing to resume
├── RescanTooHigh                   what was read below is not on the chain any more
├── ChannelsNotKnown                only Stellar has channels
├── DepositUnknown
├── DepositNotUnmatched             it is somebody's already
├── DepositNotRefunded              nothing sends it back
├── DepositNotReleasable            its chain may still take it back
├── CursorMoved                     another process reads the chain
├── TooManyAddresses                the wallet has had enough of them
└── BlockWrong                      what a node says of a block can't be
├── WithdrawalUnknown, AssetNotOnChain, AddressIsOurs, AmountBelowMinimum, DestinationRefused
├── WithdrawalTooLate               it is too far on its way
├── TransactionNotWaiting           no node has it among what waits for a block
├── TransactionNotHurried           no child would help it, or may be had
├── NoCoins                         the chain's money is not coins
├── FeesUnknown                     nobody knows what the chain asks now
├── FeeAboveMaximum                 the chain asks more than whoever pays it has agreed to
├── SigningUnavailable              there is no signer
├── WithdrawalsStopped              the chain holds another amount than the ledger says
├── WithdrawalsNotStopped           there is nothing to resume
├── DifferenceChanged               nobody has looked at what it is now
├── ReconciliationBusy              another process reconciles the chain
├── KeyExportUnknown                no such seed was asked for
├── KeyExportWaits                  nobody has approved it
├── KeysWithSigner, KeysImported    the chain's keys are not to be imported, or not again
├── AddressKnown                    an address is listed or given out already
├── UnsignedUnknown, UnsignedGone   nothing of that id waits for signatures, or not any more
├── SignedAlready                   it was handed in with other signatures
├── UnsignedOnChain                 somebody has brought it onto the chain
├── UnsignedMayHappen               somebody may yet bring it there
├── ReservesUnknown                 no such proof of reserves
├── ReservesPending                 one is being made
├── ReservesIncomplete              wallets were left out of it
├── ReservesNotReady                what it takes is not there yet
AddressesUnavailable                the signer does not answer, or there is none
└── AddressesUsedUp                 each of the list is given out
"""

from __future__ import annotations

from billfold.kernel import errors


class CustodyError(errors.BillfoldError):
    """Custody could not do this."""

    code = "custody_error"


class ChainUnknown(CustodyError, errors.NotFound):
    """There is no such chain here; `GET /chains` lists those that are served."""

    code = "chain_unknown"


class ChainNotHalted(CustodyError, errors.Conflict):
    """The chain is being read: there is nothing to resume."""

    code = "chain_not_halted"


class RescanTooHigh(CustodyError, errors.Invalid):
    """Reading anew has to begin at an earlier block."""

    code = "rescan_too_high"


class ChannelsNotKnown(CustodyError, errors.Invalid):
    """The chain has no channels: it sends as many transactions at a time as it likes."""

    code = "channels_not_known"


class DepositUnknown(CustodyError, errors.NotFound):
    """There is no such deposit, or it is not yours."""

    code = "deposit_unknown"


class DepositNotUnmatched(CustodyError, errors.Conflict):
    """The deposit is somebody's already."""

    code = "deposit_not_unmatched"


class DepositNotRefunded(CustodyError, errors.Conflict):
    """Nothing sends this deposit back, so there is no fee to raise."""

    code = "deposit_not_refunded"


class DepositNotReleasable(CustodyError, errors.Conflict):
    """The deposit may not leave on a chain yet: the blocks that have it may still be replaced."""

    code = "deposit_not_releasable"


class CursorMoved(CustodyError):
    """Another process has read on in the chain meanwhile."""

    code = "cursor_moved"


class BlockWrong(CustodyError):
    """What the nodes say of a block can't be."""

    code = "block_wrong"


class TooManyAddresses(CustodyError, errors.Conflict):
    """The wallet has had so many addresses that it gets no more; all of them stay good."""

    code = "too_many_addresses"


class AddressesUnavailable(CustodyError, errors.Unavailable):
    """No new address can be had now; try again later."""

    code = "addresses_unavailable"


class WithdrawalUnknown(CustodyError, errors.NotFound):
    """There is no such withdrawal, or it is not yours."""

    code = "withdrawal_unknown"


class AssetNotOnChain(CustodyError, errors.Invalid):
    """The asset is on no chain that is served here, so it can't leave for one."""

    code = "asset_not_on_chain"


class AddressIsOurs(CustodyError, errors.Invalid):
    """The address belongs to a wallet of this house; move the money by a transfer, which costs nothing."""

    code = "address_is_ours"


class DestinationRefused(CustodyError, errors.Refusal):
    """A payment to this address would be lost or refused."""

    code = "destination_refused"


class AmountBelowMinimum(CustodyError, errors.Invalid):
    """The amount is less than what is sent."""

    code = "amount_below_minimum"


class WithdrawalTooLate(CustodyError, errors.Conflict):
    """The withdrawal is too far on its way for this, or has ended."""

    code = "withdrawal_too_late"


class TransactionNotWaiting(CustodyError, errors.Conflict):
    """No node has this transaction among those that wait for a block; it may be in one."""

    code = "transaction_not_waiting"


class TransactionNotHurried(CustodyError, errors.Conflict):
    """There can be no child of this transaction, or it would not help."""

    code = "transaction_not_hurried"


class NoCoins(CustodyError, errors.NotFound):
    """The money of this chain is not coins: what an address holds of it is one sum."""

    code = "no_coins"


class FeesUnknown(CustodyError, errors.Unavailable):
    """What the chain asks for a place in a block has not been known for too long; try again later."""

    code = "fees_unknown"


class FeeAboveMaximum(CustodyError, errors.Conflict):
    """It would cost more now than `max_fee`: ask for the fees again, and say what it may cost."""

    code = "fee_above_maximum"


class SigningUnavailable(CustodyError, errors.Unavailable):
    """Nothing can be signed now; what is to leave waits."""

    code = "signing_unavailable"


class WithdrawalsStopped(CustodyError, errors.Conflict):
    """Withdrawals of this asset are stopped until an operator has looked: its chain and our books differ."""

    code = "withdrawals_stopped"


class WithdrawalsNotStopped(CustodyError, errors.Conflict):
    """Withdrawals of this asset are not stopped: there is nothing to resume."""

    code = "withdrawals_not_stopped"


class DifferenceChanged(CustodyError, errors.Conflict):
    """The chain and our books differ by another amount than the one that was accepted: look at the last report."""

    code = "difference_changed"


class ReconciliationBusy(CustodyError, errors.Unavailable):
    """The chain is being reconciled by somebody else, or its nodes are too slow; try again later."""

    code = "reconciliation_busy"


class KeyExportUnknown(CustodyError, errors.NotFound):
    """There is no such export, or somebody else has asked for it."""

    code = "key_export_unknown"


class KeyExportWaits(CustodyError, errors.Conflict):
    """The export is not carried out, so there is no package."""

    code = "key_export_waits"


class AddressesUsedUp(AddressesUnavailable):
    """Each address that was imported has been given to a wallet; an operator has to import more."""

    code = "addresses_used_up"


class KeysWithSigner(CustodyError, errors.Conflict):
    """The keys of this chain are the signer's; its setting `keys` says so."""

    code = "keys_with_signer"


class KeysImported(CustodyError, errors.Conflict):
    """The chain has its public key, or addresses, already; they are never changed."""

    code = "keys_imported"


class AddressKnown(CustodyError, errors.Conflict):
    """An address is twice in the list, or was imported or given out before."""

    code = "address_known"


class UnsignedUnknown(CustodyError, errors.NotFound):
    """There is no such transaction."""

    code = "unsigned_unknown"


class UnsignedGone(CustodyError, errors.Conflict):
    """This transaction is not wanted any more: its time is over, or it was taken back. List what waits again."""

    code = "unsigned_gone"


class SignedAlready(CustodyError, errors.Conflict):
    """This transaction was handed in before, with other signatures; those are kept."""

    code = "signed_already"


class UnsignedOnChain(CustodyError, errors.Conflict):
    """The chain knows this transaction: somebody has signed and sent it. It is settled as if it had been handed in."""

    code = "unsigned_on_chain"


class UnsignedMayHappen(CustodyError, errors.Conflict):
    """Somebody may have signed it, and it may still happen. When its time is over it is looked for, and given up."""

    code = "unsigned_may_happen"


class ReservesUnknown(CustodyError, errors.NotFound):
    """There is no such proof of reserves, it is not done, or it is so old that wallets' own proofs are not kept."""

    code = "reserves_unknown"


class ReservesPending(CustodyError, errors.Conflict):
    """A proof of reserves is being made; there is one at a time."""

    code = "reserves_pending"


class ReservesIncomplete(CustodyError):
    """The tree of what is owed does not have all of it, so nothing is proved by it."""

    code = "reserves_incomplete"


class ReservesNotReady(CustodyError, errors.Unavailable):
    """A chain has not been read yet, so nobody knows what is held on it."""

    code = "reserves_not_ready"
