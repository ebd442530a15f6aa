"""One method of one path, with all that its route says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from billfold.platform.web import operations
from billfold.platform.web.policy import Scopes


class Described(msgspec.Struct, frozen=True):
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

    @property
    def later(self) -> list[Any]:
        """What may be answered before it is carried out, or instead."""
        return [form for form in (self.operation.defers, self.operation.responds_async) if form is not None]


def each(handlers: Iterable[HTTPRouteHandler], prefix: str, scopes: Scopes) -> Iterator[Described]:
    """Every method of every path."""
    for handler in handlers:
        operation, shape = operations.of(handler), handler.opt[operations.SHAPE]
        assert operation is not None, "`plain` makes these handlers"
        for path in handler.paths:
            for method in handler.http_methods:
                full = prefix + operations.PARAMETER.sub(r"{\1}", path)
                yield Described(
                    full, method, operation, shape, personal=not scopes.personal.isdisjoint(operation.policies)
                )
