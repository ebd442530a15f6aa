"""The OpenAPI 3.1 document, made of the routes as they are: their types, operations and errors.

Both kinds of routes are described by the same code, and all schemas come from msgspec, which also decides what is
valid.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from billfold.kernel import errors, idempotency, ids
from billfold.kernel.principal import MissingScope, SessionNeeded
from billfold.platform.postgres.database import DatabaseUnavailable, RowsLocked
from billfold.platform.rpc.errors import ServiceUnavailable
from billfold.platform.web import errors as web_errors
from billfold.platform.web import operations, prefer
from billfold.platform.web.cookies import SAFE
from billfold.platform.web.policy import Access, Scopes
from billfold.platform.web.problems import MEDIA_TYPE, Problem, Problems, status_of

_REFERENCE = "#/components/schemas/{name}"
_SCHEME = "api_key"
#: Whoever calls needs none.
_NOBODY: list[dict[str, list[str]]] = []
_PREFERENCE_APPLIED = {"description": "What of `Prefer` was done.", "schema": {"type": "string"}}
_REQUEST_ID_EXAMPLE = "019aa2c6-7a00-7000-8000-0000000000ff"
#: How msgspec names a generic struct: Page[Wallet] is Page_Wallet_.
_GENERIC = re.compile(r"^([A-Za-z]+)_([A-Za-z]+)_$")

# What may happen to any operation, to those that need credentials, a body, or an idempotency key.
_ALWAYS = (
    web_errors.BadRequest,
    web_errors.UnknownQueryParameter,
    web_errors.InternalError,
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


_INTRODUCTION = """
Amounts are exact decimal texts with their asset: `{"amount": "12.34", "asset": "USD"}`. Instants are RFC 3339 in UTC.

**Authentication.** `Authorization: Bearer bf_…`, an API key. It carries scopes; each operation names the one it needs.

**Idempotency.** What moves money takes an `Idempotency-Key`. After any failure or silence, send the same request with
the same key: it happens once, and the answer is the same.

**Errors** are problem details (RFC 9457). Decide by `code`; `retryable` says whether the same request may succeed
later.

**Lists** give a page, the newest first, and in `next` the path of the next page: follow it as it is.

Unknown fields and unknown query parameters are refused. Of a JSON key that stands twice in an object, the last counts.
A slash at the end of a path changes nothing.
""".strip()


class _Described(msgspec.Struct, frozen=True):
    """One method of one path."""

    path: str
    method: str
    operation: operations.Operation
    shape: operations.Shape
    #: Whether it takes a person who has logged in.
    personal: bool

    @property
    def name(self) -> str:
        """The summary in camel case: Create a wallet is createAWallet."""
        words: list[str] = re.findall(r"[A-Za-z0-9]+", self.operation.summary)
        return words[0].lower() + "".join(word.capitalize() for word in words[1:])


class Document:
    """The document of an API."""

    def __init__(
        self,
        handlers: Sequence[HTTPRouteHandler],
        problems: Problems,
        *,
        prefix: str,
        public_url: str,
        version: str,
        scopes: Scopes,
    ) -> None:
        self._scopes = scopes
        self._handlers = handlers
        self._problems = problems
        self._prefix = prefix
        self._public_url = public_url
        self._version = version

    def encoded(self) -> bytes:
        """The document as JSON.

        Raises:
            TypeError: a body, a query or an answer has a type that nothing can be read into.
        """
        return msgspec.json.encode(self.content())

    def content(self) -> dict[str, Any]:
        """The document."""
        described = sorted(
            _described(self._handlers, self._prefix, self._scopes),
            key=lambda one: (one.operation.tag, one.path, one.method),
        )
        schemas = _Schemas(described)
        paths: dict[str, dict[str, Any]] = defaultdict(dict)
        for one in described:
            paths[one.path][one.method.lower()] = self._operation(one, schemas)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Billfold",
                "version": self._version,
                "summary": "Wallets and money on a double-entry ledger.",
                "description": _INTRODUCTION,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": self._public_url}],
            "tags": [{"name": tag} for tag in sorted({one.operation.tag for one in described})],
            "paths": dict(paths),
            "components": {
                "schemas": schemas.components,
                "examples": self._examples(described),
                "securitySchemes": {
                    _SCHEME: {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "An API key (bf_live_… or bf_test_…), or the access token of a login. "
                        "Browsers can send the latter as a cookie instead, with X-CSRF-Token.",
                    }
                },
            },
        }

    def _operation(self, one: _Described, schemas: _Schemas) -> dict[str, Any]:
        operation = one.operation
        described: dict[str, Any] = {
            "operationId": one.name,
            "summary": operation.summary,
            "tags": [operation.tag],
            "parameters": [*_path_parameters(one.path), *schemas.query(one.shape.parameters), *_header_parameters(one)],
            "responses": {str(one.shape.status): _success(one, schemas), **_deferred(one, schemas), **_failures(one)},
            # OpenAPI 3.1 lets any scheme name the roles that are needed; ours are the scopes.
            "security": _NOBODY
            if operation.scope is Access.ANYBODY
            else [{_SCHEME: [scope for scope in operation.policies if isinstance(scope, str)]}],
        }
        if operation.everybody is not None:
            described["x-everybody"] = operation.everybody
        if operation.description:
            described["description"] = operation.description
        if one.shape.command is not None:
            content: dict[str, Any] = {"schema": schemas.of(one.shape.command)}
            if operation.sends is not None:
                content["example"] = operation.sends
            described["requestBody"] = {"required": True, "content": {"application/json": content}}
        return described

    def _examples(self, described: Iterable[_Described]) -> dict[str, Any]:
        """An example of every error that occurs, by its code."""
        kinds = {error for one in described for error in _errors(one)}
        examples = {}
        for kind in sorted(kinds, key=lambda kind: kind.code):
            problem = self._problems.describe(kind(), instance=self._prefix + "/…", request_id=_REQUEST_ID_EXAMPLE)
            examples[kind.code] = {"summary": problem.title, "value": msgspec.to_builtins(problem)}
        return examples


class _Schemas:
    """The schemas of every type in the document, as msgspec writes them."""

    def __init__(self, described: Iterable[_Described]) -> None:
        types: list[Any] = [Problem]
        for one in described:
            types += (
                found
                for found in (one.shape.command, one.shape.parameters, one.shape.answer, *_later(one))
                if found is not None
            )
        # The same type may stand in several operations; msgspec wants it once.
        self._types = list({repr(found): found for found in types}.values())
        found, components = msgspec.json.schema_components(self._types, ref_template=_REFERENCE)
        renamed = {name: _GENERIC.sub(r"\2\1", name) for name in components}
        self._found = {repr(form): _renamed(schema, renamed) for form, schema in zip(self._types, found, strict=True)}
        components = {renamed[name]: _renamed(schema, renamed) for name, schema in components.items()}
        self._parameters: dict[str, Any] = {}
        for one in described:
            if one.shape.parameters is not None:
                name = _name_of(self.of(one.shape.parameters))
                self._parameters.setdefault(repr(one.shape.parameters), components.get(name))
        for form in {repr(one.shape.parameters) for one in described if one.shape.parameters is not None}:
            # What only the query strings use is written out where it is used.
            components.pop(_name_of(self._found[form]), None)
        self.components = dict(sorted(components.items()))

    def of(self, form: Any) -> dict[str, Any]:
        """The schema of a type; mostly a reference."""
        found: dict[str, Any] = self._found[repr(form)]
        return found

    def query(self, form: type[msgspec.Struct] | None) -> Iterator[dict[str, Any]]:
        """Each field of a struct as a query parameter."""
        if form is None:
            return
        described = self._parameters[repr(form)]
        for name, field in described["properties"].items():
            schema = _without_null(field)
            inner = {key: value for key, value in schema.items() if key not in {"description", "examples"}}
            parameter = {
                "name": name,
                "in": "query",
                "required": name in described.get("required", ()),
                "schema": inner,
            }
            if "description" in schema:
                parameter["description"] = schema["description"]
            if "examples" in schema:
                parameter["example"] = schema["examples"][0]
            yield parameter


def _described(handlers: Iterable[HTTPRouteHandler], prefix: str, scopes: Scopes) -> Iterator[_Described]:
    for handler in handlers:
        operation, shape = operations.of(handler), handler.opt[operations.SHAPE]
        assert operation is not None, "`plain` makes these handlers"
        for path in handler.paths:
            for method in handler.http_methods:
                full = prefix + operations.PARAMETER.sub(r"{\1}", path)
                yield _Described(
                    full, method, operation, shape, personal=not scopes.personal.isdisjoint(operation.policies)
                )


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in operations.PARAMETER.findall(path):
        is_id = name == "id" or name.endswith("_id")
        schema: dict[str, Any] = {"type": "string", "format": "uuid"} if is_id else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters(one: _Described) -> Iterator[dict[str, Any]]:
    if one.shape.idempotent:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Any text of your own that is unique to this operation. Sent again, it gets the same answer "
            "and nothing happens twice; it is remembered for ever.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": idempotency.KEY_MAX,
                "pattern": "^[!-~]+$",
            },
            "example": "order-4711",
        }
    if one.shape.stepped_up:
        yield _step_up_parameter()
    if one.shape.prefers:
        yield _prefer_parameter(one)
    for name, text in one.operation.heeds.items():
        yield {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _step_up_parameter() -> dict[str, Any]:
    return {
        "name": "Step-Up",
        "in": "header",
        "required": False,
        "description": "The id of what you have approved, when this was refused with `step_up_required`.",
        "schema": {"type": "string", "format": "uuid"},
    }


def _prefer_parameter(one: _Described) -> dict[str, Any]:
    waits = f"`wait=N` waits up to N seconds, {prefer.WAIT_MAX_S} at most, for it to end"
    if one.operation.responds_async is None:
        text, example = f"{waits}; the answer is how it is then.", "wait=20"
    else:
        text = (
            f"`respond-async` has it carried out later, and the answer says where to look (RFC 7240); with it {waits}."
        )
        example = "respond-async, wait=5"
    schema = {"type": "string"}
    return {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": text,
        "schema": schema,
        "example": example,
    }


def _later(one: _Described) -> list[Any]:
    """What may be answered before an operation is carried out, or instead."""
    return [form for form in (one.operation.defers, one.operation.responds_async) if form is not None]


def _headers(one: _Described, kinds: Sequence[type[errors.BillfoldError]] = ()) -> dict[str, Any]:
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


def _success(one: _Described, schemas: _Schemas) -> dict[str, Any]:
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


def _deferred(one: _Described, schemas: _Schemas) -> dict[str, Any]:
    """The answer to a request that is accepted and waits for something."""
    found = [schemas.of(form) for form in _later(one)]
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


def _failures(one: _Described) -> dict[str, Any]:
    """Each status with the codes that it may carry."""
    by_status: dict[int, list[type[errors.BillfoldError]]] = defaultdict(list)
    for error in sorted(set(_errors(one)), key=lambda error: error.code):
        by_status[status_of(error)].append(error)
    return {str(status): _failure(one, by_status[status]) for status in sorted(by_status)}


def _failure(one: _Described, kinds: Sequence[type[errors.BillfoldError]]) -> dict[str, Any]:
    codes = [kind.code for kind in kinds]
    schema = {"allOf": [{"$ref": _REFERENCE.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "headers": _headers(one, kinds),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _errors(one: _Described) -> Iterator[type[errors.BillfoldError]]:
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


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a query parameter can be: it is there as a text, or it is not there."""
    kinds = [inner for inner in schema.get("anyOf", ()) if inner != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**kinds[0], **rest}


def _name_of(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """`schema` with its references pointing to the new names."""
    if isinstance(schema, dict):
        return {key: _renamed(value, names) for key, value in schema.items()} | (
            {"$ref": _REFERENCE.format(name=names[_name_of(schema)])} if "$ref" in schema else {}
        )
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    return schema
