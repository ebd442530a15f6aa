"""The document as a whole, and what each operation says in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from billfold.platform.web.openapi import answers, parameters, refusals
from billfold.platform.web.openapi.described import Described, each
from billfold.platform.web.openapi.schemas import Schemas
from billfold.platform.web.policy import Access, Scopes
from billfold.platform.web.problems import Problems

_SCHEME = "api_key"
#: Whoever calls needs none.
_NOBODY: list[dict[str, list[str]]] = []
_REQUEST_ID_EXAMPLE = "019aa2c6-7a00-7000-8000-0000000000ff"

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
            each(self._handlers, self._prefix, self._scopes),
            key=lambda one: (one.operation.tag, one.path, one.method),
        )
        schemas = Schemas(described)
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

    def _operation(self, one: Described, schemas: Schemas) -> dict[str, Any]:
        operation = one.operation
        described: dict[str, Any] = {
            "operationId": one.name,
            "summary": operation.summary,
            "tags": [operation.tag],
            "parameters": [
                *parameters.of_path(one.path),
                *schemas.query(one.shape.parameters),
                *parameters.of_headers(one),
            ],
            "responses": answers.of(one, schemas),
            # OpenAPI 3.1 lets any scheme name the roles that are needed; ours are the scopes.
            "security": _NOBODY
            if operation.scope is Access.ANYBODY
            else [{_SCHEME: [scope for scope in way if isinstance(scope, str)]} for way in operation.ways],
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

    def _examples(self, described: Iterable[Described]) -> dict[str, Any]:
        """An example of every error that occurs, by its code."""
        kinds = {error for one in described for error in refusals.of(one)}
        examples = {}
        for kind in sorted(kinds, key=lambda kind: kind.code):
            problem = self._problems.describe(kind(), instance=self._prefix + "/…", request_id=_REQUEST_ID_EXAMPLE)
            examples[kind.code] = {"summary": problem.title, "value": msgspec.to_builtins(problem)}
        return examples
