"""Every error that an operation may be refused with: those that it names, and those of all that are like it."""

from __future__ import annotations

from collections.abc import Iterator

from billfold.kernel import errors, idempotency, ids
from billfold.kernel.principal import MissingScope, SessionNeeded
from billfold.platform.postgres.database import DatabaseUnavailable, RowsLocked
from billfold.platform.rpc.errors import ServiceUnavailable
from billfold.platform.web import errors as web_errors
from billfold.platform.web.cookies import SAFE
from billfold.platform.web.openapi.described import Described
from billfold.platform.web.policy import Access

# What may happen to any operation, to those that need credentials, a body, or an idempotency key.
_ALWAYS = (
    web_errors.BadRequest,
    web_errors.UnknownQueryParameter,
    errors.InternalError,
    web_errors.ShuttingDown,
    web_errors.TooManyRequests,
    DatabaseUnavailable,
    RowsLocked,
    ServiceUnavailable,
)
_WITH_CREDENTIALS = (web_errors.Unauthorized, web_errors.TooManyWrongCredentials, MissingScope)
_PERSONAL = (SessionNeeded,)
_WITH_PARAMETERS = (web_errors.InvalidQueryParameter,)
_WITH_BODY = (
    web_errors.UnsupportedMediaType,
    web_errors.UnsupportedContentEncoding,
    web_errors.RequestTimeout,
    web_errors.BodyTooLarge,
    web_errors.MalformedJson,
    web_errors.NestingTooDeep,
    web_errors.UnknownField,
    web_errors.MissingField,
    web_errors.WrongType,
    web_errors.InvalidValue,
)
_WITH_KEY = (
    idempotency.IdempotencyKeyMissing,
    idempotency.InvalidIdempotencyKey,
    idempotency.IdempotencyKeyReused,
    idempotency.IdempotencyKeyInUse,
)


def of(one: Described) -> Iterator[type[errors.BillfoldError]]:
    """All of them; some may be named twice."""
    yield from _ALWAYS
    yield from one.operation.errors
    if one.operation.scope is not Access.ANYBODY:
        yield from _WITH_CREDENTIALS
        if one.method not in SAFE:
            yield from (web_errors.CrossSite, web_errors.CsrfTokenWrong)
    if one.personal:
        yield from _PERSONAL
    if one.shape.parameters is not None:
        yield from _WITH_PARAMETERS
    if one.shape.command is not None:
        yield from _WITH_BODY
    if one.shape.idempotent:
        yield from _WITH_KEY
    if one.shape.stepped_up:
        yield ids.InvalidId
