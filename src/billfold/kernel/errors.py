"""The root of every error that a caller is expected to meet.

    BillfoldError
    ├── Refusal            the request is understood and turned down: nothing changed
    │   ├── Invalid        the request itself is wrong; sending it again will not help
    │   ├── NotFound       what it names is not there, or not for this caller
    │   │   └── Gone       what it names was there, and is not kept any more
    │   ├── Conflict       what it names is in a state that forbids it
    │   └── Denied         the caller may not do this
    │   │   └── Unauthenticated  nobody knows who the caller is
    │   └── TooOften       the caller has done it so often that they have to wait
    ├── Unavailable        something the service needs is not there now; the same request may succeed later
    └── InternalError      a defect of ours, as the caller is told of it

A broken assumption is no BillfoldError: it is an assertion, and it ends the request and is logged with its trace. Only
who called from elsewhere meets an InternalError: it is what the edge answers then, and what a client of it raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class BillfoldError(Exception):
    """The request could not be served."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    #: Set on an error that answers a repeated request, where the first one met it.
    replayed = False
    #: What else its receiver needs to go on, by name; without any secret.
    extensions: Mapping[str, Any] = {}

    def __init__(self, detail: str | None = None, *, pointer: str | None = None) -> None:
        """`detail` says what is wrong in one sentence (the class docstring by default).

        `pointer` is the JSON Pointer of the field at fault, where there is one.
        """
        self.detail = detail or self.sentence()
        self.pointer = pointer
        super().__init__(self.detail)

    @classmethod
    def sentence(cls) -> str:
        """What is wrong, when nothing more is known: the first line of the class's docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class Refusal(BillfoldError):
    """The request was refused and nothing changed."""

    code = "refused"


class Invalid(Refusal):
    """The request is not valid."""

    code = "invalid_request"


class NotFound(Refusal):
    """There is no such thing, or it is not yours."""

    code = "not_found"


class Gone(NotFound):
    """It was there and is not kept any more."""

    code = "not_kept"


class Conflict(Refusal):
    """The present state does not allow this."""

    code = "conflict"


class Denied(Refusal):
    """You may not do this."""

    code = "forbidden"


class Unauthenticated(Denied):
    """You have not shown who you are."""

    code = "unauthenticated"


class TooOften(Refusal):
    """You have done this too often; try again later."""

    code = "too_often"
    retryable = True

    #: Until then there is no use in trying again.
    wait_s = 1


class Unavailable(BillfoldError):
    """A part of the service is not available now; try again with the same idempotency key."""

    code = "unavailable"
    retryable = True


class InternalError(BillfoldError):
    """Something is broken on our side; tell us the request_id. The same idempotency key makes it safe to try again."""

    code = "internal_error"
    retryable = True


def catalogue(root: type[BillfoldError] = BillfoldError) -> list[type[BillfoldError]]:
    """Every error class below `root` that has been imported, sorted by code: the source of the error reference."""
    found: dict[str, type[BillfoldError]] = {}
    waiting = [root]
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        known = found.setdefault(error.code, error)
        assert known is error or issubclass(error, known) or issubclass(known, error), f"two errors share {error.code}"
    return [found[code] for code in sorted(found)]
