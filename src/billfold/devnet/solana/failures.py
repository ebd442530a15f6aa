"""Errors of transactions in the form in which Solana's nodes tell them in JSON (TransactionError, InstructionError)."""

from __future__ import annotations

from typing import Any

from solders.transaction_status import (
    InstructionErrorBorshIO,
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
)

#: What people read of the errors that a preflight finds before any program runs.
SENTENCES = {
    "BlockhashNotFound": "Blockhash not found",
    "AlreadyProcessed": "This transaction has already been processed",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "InsufficientFundsForFee": "Insufficient funds for fee",
}


def told(error: Any) -> Any:
    """What a node says of the error."""
    if isinstance(error, TransactionErrorInstructionError):
        return {"InstructionError": [error.index, _instruction(error.err)]}
    if isinstance(error, TransactionErrorDuplicateInstruction):
        return {"DuplicateInstruction": error.index}
    if isinstance(error, TransactionErrorInsufficientFundsForRent):
        return {"InsufficientFundsForRent": {"account_index": error.account_index}}
    if isinstance(error, TransactionErrorProgramExecutionTemporarilyRestricted):
        return {"ProgramExecutionTemporarilyRestricted": {"account_index": error.account_index}}
    return _name(error)


def sentence(error: Any) -> str:
    """The same for people, as it stands after `Transaction simulation failed: `."""
    if isinstance(error, str):
        return SENTENCES.get(error, error)
    if isinstance(error, dict) and "InstructionError" in error:
        index, what = error["InstructionError"]
        shown = f"custom program error: {what['Custom']:#x}" if isinstance(what, dict) and "Custom" in what else what
        return f"Error processing Instruction {index}: {shown}"
    if isinstance(error, dict) and "InsufficientFundsForRent" in error:
        index = error["InsufficientFundsForRent"]["account_index"]
        return f"Transaction results in an account ({index}) with insufficient funds for rent"
    return str(error)


def _instruction(error: Any) -> Any:
    if isinstance(error, InstructionErrorCustom):
        return {"Custom": error.code}
    if isinstance(error, InstructionErrorBorshIO):
        return {"BorshIoError": error.value}
    return _name(error)


def _name(error: Any) -> str:
    return str(error).rpartition(".")[2]
