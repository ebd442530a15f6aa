"""What an operation answers: when it is done, when it has to wait, and what it may be refused for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from billfold.kernel import errors
from billfold.platform.web import errors as web_errors
from billfold.platform.web.openapi import refusals
from billfold.platform.web.openapi.described import Described
from billfold.platform.web.openapi.schemas import REFERENCE, Schemas
from billfold.platform.web.problems import MEDIA_TYPE, status_of

_PREFERENCE_APPLIED = {"description": "What of `Prefer` was done.", "schema": {"type": "string"}}


def of(one: Described, schemas: Schemas) -> dict[str, Any]:
    """Each answer by its status."""
    return {str(one.shape.status): _success(one, schemas), **_deferred(one, schemas), **_failures(one)}


def _success(one: Described, schemas: Schemas) -> dict[str, Any]:
    operation = one.operation
    further = {name: {"description": text, "schema": {"type": "string"}} for name, text in operation.headers.items()}
    described: dict[str, Any] = {
        "description": "Done." if one.method != "GET" else "Found.",
        "headers": _headers(one) | further,
    }
    if one.shape.prefers:
        described["headers"]["Preference-Applied"] = _PREFERENCE_APPLIED
    content: dict[str, Any] = {}
    for media_type in operation.media_types:
        if media_type != "application/json":
            content[media_type] = {"schema": {"type": "string"}}
        elif one.shape.answer is not None:
            content[media_type] = {"schema": schemas.of(one.shape.answer)}
            if operation.answers is not None:
                content[media_type]["example"] = operation.answers
    if content:
        described["content"] = content
    return described


def _deferred(one: Described, schemas: Schemas) -> dict[str, Any]:
    """The answer to a request that is accepted and waits for something."""
    found = [schemas.of(form) for form in one.later]
    if not found:
        return {}
    content: dict[str, Any] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
    if one.operation.answers_async is not None:
        content["example"] = one.operation.answers_async
    headers = _headers(one)
    headers["Location"] = {"description": "The path of what it waits for.", "schema": {"type": "string"}}
    why = ["it waits for somebody else"] if one.operation.defers is not None else []
    if one.operation.responds_async is not None:
        why.append("it is carried out later, as you prefer")
        headers["Preference-Applied"] = _PREFERENCE_APPLIED
    return {
        str(int(HTTPStatus.ACCEPTED)): {
            "description": f"Accepted: {', or '.join(why)}. Nothing has changed yet.",
            "headers": headers,
            "content": {"application/json": content},
        }
    }


def _failures(one: Described) -> dict[str, Any]:
    """Each status with the codes that it may carry."""
    by_status: dict[int, list[type[errors.BillfoldError]]] = defaultdict(list)
    for error in sorted(set(refusals.of(one)), key=lambda error: error.code):
        by_status[status_of(error)].append(error)
    return {str(status): _failure(one, by_status[status]) for status in sorted(by_status)}


def _failure(one: Described, kinds: Sequence[type[errors.BillfoldError]]) -> dict[str, Any]:
    codes = [kind.code for kind in kinds]
    schema = {"allOf": [{"$ref": REFERENCE.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "headers": _headers(one, kinds),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _headers(one: Described, kinds: Sequence[type[errors.BillfoldError]] = ()) -> dict[str, Any]:
    text = {"type": "string"}
    headers: dict[str, Any] = {
        "X-Request-Id": {"description": "The caller's own, or one that was made for the request.", "schema": text}
    }
    if one.shape.idempotent:
        headers["Idempotency-Replayed"] = {
            "description": "`true` when this repeats the answer of an earlier request with the same key.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    if any(issubclass(kind, errors.Unavailable | web_errors.TooManyRequests) for kind in kinds):
        headers["Retry-After"] = {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}
    if web_errors.UnsupportedContentEncoding in kinds:
        headers["Accept-Encoding"] = {"description": "The encoding of bodies that is taken: identity.", "schema": text}
    if web_errors.TooManyRequests in kinds:
        headers["RateLimit-Policy"] = {"description": "The limit: `q` requests in `w` seconds.", "schema": text}
        headers["RateLimit"] = {"description": "What is left, `r`, for how many seconds, `t`.", "schema": text}
    if any(issubclass(kind, errors.Unauthenticated) for kind in kinds):
        headers["WWW-Authenticate"] = {"description": "The scheme that is wanted: Bearer.", "schema": text}
    return headers
