"""Errors go from one process to the other as they are."""

from typing import Any

import grpc
import pytest
from google.rpc import code_pb2

from billfold.kernel import errors as kernel
from billfold.kernel import idempotency
from billfold.ledger import errors
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.platform.rpc import statuses
from billfold.platform.rpc.errors import CallerNotAllowed, CallerUnknown, DeadlinePassed, MessageInvalid

#: The stubs ask for more than it takes.
AioRpcError: Any = grpc.aio.AioRpcError


def sent(error: kernel.BillfoldError | None) -> grpc.aio.AioRpcError:
    """What a client is told that a server has ended a call with."""
    status: Any = statuses.of(error, request_id="r-1")
    failed: grpc.aio.AioRpcError = AioRpcError(
        status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), status.details
    )
    return failed


@pytest.mark.parametrize("error", kernel.catalogue(errors.LedgerError))
def test_every_error_of_the_ledger_comes_through_as_itself(error: type[errors.LedgerError]) -> None:
    original = error("What is wrong here.", pointer="/transfers/0")
    original.replayed = True
    found = statuses.said(sent(original))
    assert type(found) is error
    assert (found.detail, found.pointer, found.replayed) == ("What is wrong here.", "/transfers/0", True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AmountNotPositive(), grpc.StatusCode.INVALID_ARGUMENT),
        (MessageInvalid(), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.AccountUnknown(), grpc.StatusCode.NOT_FOUND),
        (errors.AccountFrozen(), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.InsufficientFunds(), grpc.StatusCode.FAILED_PRECONDITION),
        (idempotency.IdempotencyKeyInUse(), grpc.StatusCode.ABORTED),
        (idempotency.IdempotencyKeyReused(), grpc.StatusCode.INVALID_ARGUMENT),
        (CallerUnknown(), grpc.StatusCode.UNAUTHENTICATED),
        (CallerNotAllowed(), grpc.StatusCode.PERMISSION_DENIED),
        (DatabaseUnavailable(), grpc.StatusCode.UNAVAILABLE),
        (errors.Overloaded(), grpc.StatusCode.UNAVAILABLE),
        (DeadlinePassed(), grpc.StatusCode.DEADLINE_EXCEEDED),
        (None, grpc.StatusCode.INTERNAL),
    ],
)
def test_a_family_of_errors_has_a_status(error: kernel.BillfoldError | None, status: grpc.StatusCode) -> None:
    assert sent(error).code() is status


def test_an_error_that_nobody_expected_says_nothing_of_itself() -> None:
    failed = sent(None)
    assert "defect of ours" in (failed.details() or "")
    found = statuses.said(failed)
    assert type(found) is kernel.InternalError
    assert found.retryable


def test_a_code_that_this_version_does_not_know_is_an_error_all_the_same() -> None:
    found = statuses.named("made_up_next_year", "Something new.")
    assert type(found) is kernel.BillfoldError
    assert found.detail == "Something new."
    assert statuses.named("made_up_next_year", "Later.", retryable=True).retryable


def test_what_the_network_says_is_no_error_of_ours() -> None:
    lost = AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "connection reset")
    assert statuses.said(lost) is None


def test_every_family_has_a_status() -> None:
    assert set(statuses.STATUSES.values()) <= set(code_pb2.Code.values())
    assert kernel.BillfoldError in statuses.STATUSES
