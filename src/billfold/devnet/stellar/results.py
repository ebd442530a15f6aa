"""What becomes of a transaction as a whole: its code, those of its operations, in XDR and in Horizon's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stellar_sdk import xdr as stellar_xdr

from billfold.devnet.stellar.envelopes import Envelope
from billfold.devnet.stellar.operations import Outcome

Code = stellar_xdr.TransactionResultCode
#: Where Horizon's word is another than the code's in the protocol.
_WORDS = {Code.txNO_ACCOUNT: "tx_no_source_account"}


@dataclass(frozen=True)
class Verdict:
    """Of a transaction. With a fee bump, `code` is that of the inner one unless `outer` refuses it."""

    code: Code
    outcomes: tuple[Outcome, ...] = ()
    #: The fee bump itself is wrong, and the inner transaction was not looked at.
    outer: bool = False

    @property
    def succeeded(self) -> bool:
        return self.code is Code.txSUCCESS

    def words(self, envelope: Envelope) -> dict[str, Any]:
        """Horizon's `result_codes`."""
        word = _word(self.code)
        told: dict[str, Any] = {"transaction": word}
        if envelope.inner_hash is not None and not self.outer:
            told = {
                "transaction": f"tx_fee_bump_inner_{'success' if self.succeeded else 'failed'}",
                "inner_transaction": word,
            }
        if self.outcomes:
            told["operations"] = [outcome.word for outcome in self.outcomes]
        return told

    def result(self, envelope: Envelope, *, charged: int) -> stellar_xdr.TransactionResult:
        """As the ledger has it."""
        results = [outcome.result for outcome in self.outcomes] if self._tried() else None
        fee, nothing = stellar_xdr.Int64(charged), stellar_xdr.Int64(0)
        if envelope.inner_hash is None or self.outer:
            whole = stellar_xdr.TransactionResultResult(self.code, results=results)
            return stellar_xdr.TransactionResult(fee, whole, stellar_xdr.TransactionResultExt(0))
        inner = stellar_xdr.InnerTransactionResult(
            nothing,
            stellar_xdr.InnerTransactionResultResult(self.code, results=results),
            stellar_xdr.InnerTransactionResultExt(0),
        )
        around = Code.txFEE_BUMP_INNER_SUCCESS if self.succeeded else Code.txFEE_BUMP_INNER_FAILED
        pair = stellar_xdr.InnerTransactionResultPair(stellar_xdr.Hash(envelope.inner_hash), inner)
        return stellar_xdr.TransactionResult(
            fee,
            stellar_xdr.TransactionResultResult(around, inner_result_pair=pair),
            stellar_xdr.TransactionResultExt(0),
        )

    def _tried(self) -> bool:
        return self.code in {Code.txSUCCESS, Code.txFAILED}


def _word(code: Code) -> str:
    return _WORDS.get(code, f"tx_{code.name.removeprefix('tx').lower()}")
