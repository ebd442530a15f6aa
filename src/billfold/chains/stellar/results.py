"""Results of transactions, read from the XDR that Horizon passes on from the ledger."""

from __future__ import annotations

from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import SdkError
from xdrlib3 import Error as XdrError

from billfold.chains import errors

#: A result of a hundred operations with a thousand trades each is longer than any that we need to read.
RESULT_MAX = 512 * 1024


def parsed(text: str) -> stellar_xdr.TransactionResult:
    """The result.

    Raises:
        NodeWrong
    """
    try:
        return stellar_xdr.TransactionResult.from_xdr(text)
    except (ValueError, KeyError, TypeError, EOFError, SdkError, XdrError):
        raise errors.NodeWrong("In a node's answer result_xdr is no result.") from None


def operations(result: stellar_xdr.TransactionResult) -> list[stellar_xdr.OperationResult]:
    """The results of the operations; none where none was tried."""
    pair = result.result.inner_result_pair
    whole = result.result if pair is None else pair.result.result
    return whole.results or []


def merged(text: str, place: int) -> int:
    """How many stroops the account_merge at `place` (from 0) has moved.

    Raises:
        NodeWrong
    """
    found = operations(parsed(text))
    inner = found[place].tr if place < len(found) else None
    result = inner and inner.account_merge_result
    if not result or result.source_account_balance is None:
        raise errors.NodeWrong("In a node's answer result_xdr has no merge where there must be one.")
    return int(result.source_account_balance.int64)


def reason(text: str) -> str:
    """The codes of a failure by their names in the protocol: the transaction's, and those of its operations.

    Raises:
        NodeWrong
    """
    result = parsed(text)
    pair = result.result.inner_result_pair
    code = result.result.code if pair is None else pair.result.result.code
    return " ".join([code.name, *(_word(each) for each in operations(result))])


def _word(result: stellar_xdr.OperationResult) -> str:
    if result.tr is None:
        return result.code.name
    bodies = (value for name, value in vars(result.tr).items() if name != "type" and value is not None)
    return next((str(body.code.name) for body in bodies), result.code.name)
