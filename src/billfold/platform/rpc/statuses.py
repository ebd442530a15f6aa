"""How errors travel: a status of gRPC, and a google.rpc.ErrorInfo that has the stable code as its reason."""

from __future__ import annotations

from functools import cache
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from billfold.kernel import errors, idempotency
from billfold.platform.rpc.errors import DeadlinePassed, Stopping

DOMAIN = "billfold"
#: Of an error that nobody expected: what it was stands in the log, under the request's id.
_INTERNAL_DETAIL = "The server failed at this call, which is a defect of ours; its key makes it safe to send it again."

#: The nearest ancestor that stands here decides.
STATUSES: dict[type[errors.BillfoldError], int] = {
    errors.Invalid: code_pb2.INVALID_ARGUMENT,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.Conflict: code_pb2.FAILED_PRECONDITION,
    idempotency.IdempotencyKeyInUse: code_pb2.ABORTED,
    errors.Denied: code_pb2.PERMISSION_DENIED,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.TooOften: code_pb2.RESOURCE_EXHAUSTED,
    errors.Refusal: code_pb2.FAILED_PRECONDITION,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    DeadlinePassed: code_pb2.DEADLINE_EXCEEDED,
    Stopping: code_pb2.UNAVAILABLE,
    errors.BillfoldError: code_pb2.INTERNAL,
}


def of(error: errors.BillfoldError | None, *, request_id: str) -> grpc.Status:
    """What a call ends with that met `error`; None is one that nobody expected."""
    if error is None:
        error = errors.InternalError(_INTERNAL_DETAIL)
    metadata = {
        "request_id": request_id,
        "retryable": _word(flag=error.retryable),
        "replayed": _word(flag=error.replayed),
    }
    if error.pointer is not None:
        metadata["pointer"] = error.pointer
    number = next(STATUSES[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUSES)
    return _status(number, error.detail, error.code, metadata)


def said(failed: grpc.aio.AioRpcError) -> errors.BillfoldError | None:
    """The error of ours that a server has ended the call with; None if it is not a server of ours that has ended it."""
    info = _info(failed)
    if info is None:
        return None
    found = named(
        info.reason,
        failed.details() or "",
        pointer=info.metadata.get("pointer"),
        retryable=info.metadata.get("retryable") == _word(flag=True),
    )
    found.replayed = info.metadata.get("replayed") == _word(flag=True)
    return found


def named(code: str, detail: str, *, pointer: str | None = None, retryable: bool = False) -> errors.BillfoldError:
    """The error of this code. Of one that nobody here knows, such as a newer server's, only `retryable` is known."""
    kind = _kinds().get(code)
    if kind is None:
        _kinds.cache_clear()  # Modules that were imported since then may have brought it.
        kind = _kinds().get(code, errors.Unavailable if retryable else errors.BillfoldError)
    # Some want to be told more when they are made; this one has been made already, elsewhere.
    error = kind.__new__(kind)
    errors.BillfoldError.__init__(error, detail, pointer=pointer)
    return error


@cache
def _kinds() -> dict[str, type[errors.BillfoldError]]:
    return {kind.code: kind for kind in errors.catalogue()}


def _status(number: int, detail: str, reason: str, metadata: dict[str, str]) -> grpc.Status:
    status = status_pb2.Status(code=number, message=detail)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    made: grpc.Status = rpc_status.to_status(status)
    return made


def _info(failed: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    trailing: Any = failed.trailing_metadata() or ()
    for key, value in trailing:
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info
    return None


def _word(*, flag: bool) -> str:
    return "true" if flag else "false"
