"""Whether a transaction may be in a ledger: its time, fee, sequence, signatures.

The order of the questions is the network's, because the first that is answered with no gives the code.
"""

from __future__ import annotations

from stellar_sdk import DecoratedSignature, Keypair
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import BadSignatureError
from stellar_sdk.operation import Operation

from billfold.devnet.stellar import operations
from billfold.devnet.stellar.envelopes import OPERATIONS_MAX, Envelope
from billfold.devnet.stellar.operations import Outcome
from billfold.devnet.stellar.results import Code, Verdict
from billfold.devnet.stellar.state import BASE_FEE, Account, State


def minimum_fee(envelope: Envelope) -> int:
    """What it must offer to be taken at all: a fee bump not less for each operation than what it is around."""
    least = BASE_FEE * envelope.charged_operations
    if envelope.inner_hash is None or not envelope.operations:
        return least
    inner = -(-envelope.transaction.fee * envelope.charged_operations // len(envelope.operations))
    return max(least, inner)


def check(state: State, envelope: Envelope, *, at: int, owed: int = 0, charged: bool = False) -> Verdict | None:
    """Why it can't be in the ledger that closes at `at` (seconds since 1970); None: it may.

    `owed` is what other waiting transactions may charge the account that pays; `charged`: the fee is paid already.
    """
    outer = envelope.inner_hash is not None
    if envelope.fee < minimum_fee(envelope):
        return Verdict(Code.txINSUFFICIENT_FEE, outer=outer)
    payer = state.account(envelope.fee_account)
    if payer is None:
        return Verdict(Code.txNO_ACCOUNT, outer=outer)
    if outer:
        used = _Signatures(envelope.fee_signatures, envelope.hash)
        if not used.weigh(payer, payer.low):
            return Verdict(Code.txBAD_AUTH, outer=True)
        if not used.all_used():
            return Verdict(Code.txBAD_AUTH_EXTRA, outer=True)
    wrong = _inner(state, envelope, at)
    if wrong is not None and wrong.code is not Code.txFAILED:
        return wrong
    if not charged and payer.balance - payer.reserve() < envelope.fee + owed:
        return Verdict(Code.txINSUFFICIENT_BALANCE, outer=outer)
    return wrong


def _inner(state: State, envelope: Envelope, at: int) -> Verdict | None:
    wrong = _bounds(envelope, at)
    if wrong is not None:
        return Verdict(wrong)
    source = state.account(envelope.source)
    if source is None:
        return Verdict(Code.txNO_ACCOUNT)
    if envelope.transaction.sequence != source.sequence + 1:
        return Verdict(Code.txBAD_SEQ)
    used = _Signatures(envelope.signatures, envelope.signed)
    if not used.weigh(source, source.low):
        return Verdict(Code.txBAD_AUTH)
    outcomes = tuple(_may(state, envelope, operation, used) for operation in envelope.operations)
    if any(outcome is not None for outcome in outcomes):
        good = Outcome(succeeded=True, word="op_success", result=_untried())
        return Verdict(Code.txFAILED, tuple(outcome or good for outcome in outcomes))
    return None if used.all_used() else Verdict(Code.txBAD_AUTH_EXTRA)


def _bounds(envelope: Envelope, at: int) -> Code | None:
    if not envelope.operations:
        return Code.txMISSING_OPERATION
    if len(envelope.operations) > OPERATIONS_MAX:
        return Code.txMALFORMED
    conditions = envelope.transaction.preconditions
    bounds = conditions and conditions.time_bounds
    if bounds and bounds.min_time > at:
        return Code.txTOO_EARLY
    if bounds and bounds.max_time and bounds.max_time < at:
        return Code.txTOO_LATE
    return None


def _may(state: State, envelope: Envelope, operation: Operation, used: _Signatures) -> Outcome | None:
    codes = stellar_xdr.OperationResultCode
    if not operations.known(operation):
        return operations.refused(codes.opNOT_SUPPORTED, "op_not_supported")
    account = state.account(source_of(envelope, operation))
    if account is None:
        return operations.no_account()
    if not used.weigh(account, operations.threshold(operation, account)):
        return operations.refused(codes.opBAD_AUTH, "op_bad_auth")
    return None


def _untried() -> stellar_xdr.OperationResult:
    """What the ledger writes for an operation that nothing was wrong with, beside one that was refused."""
    success = stellar_xdr.PaymentResult(stellar_xdr.PaymentResultCode.PAYMENT_SUCCESS)
    inner = stellar_xdr.OperationResultTr(stellar_xdr.OperationType.PAYMENT, payment_result=success)
    return stellar_xdr.OperationResult(stellar_xdr.OperationResultCode.opINNER, inner)


def source_of(envelope: Envelope, operation: Operation) -> str:
    """Whose operation it is."""
    return operation.source.account_id if operation.source else envelope.source


class _Signatures:
    """The signatures of an envelope, and which of them have been of use."""

    def __init__(self, signatures: tuple[DecoratedSignature, ...], signed: bytes) -> None:
        self._signatures = signatures
        self._signed = signed
        self._used: set[int] = set()

    def weigh(self, account: Account, needed: int) -> bool:
        """Whether they are enough of an account's. One there must be, even where nothing is asked."""
        weights = {account.id: account.master_weight, **account.signers}
        total, counted = 0, set[str]()
        for place, signature in enumerate(self._signatures):
            for key, weight in weights.items():
                if weight and key not in counted and self._is_of(signature, key):
                    counted.add(key)
                    self._used.add(place)
                    total += weight
        return bool(counted) and total >= needed

    def all_used(self) -> bool:
        return len(self._used) == len(self._signatures)

    def _is_of(self, signature: DecoratedSignature, key: str) -> bool:
        if not key.startswith("G"):
            return False
        pair = Keypair.from_public_key(key)
        if pair.signature_hint() != signature.signature_hint:
            return False
        try:
            pair.verify(self._signed, signature.signature)
        except BadSignatureError:
            return False
        return True
