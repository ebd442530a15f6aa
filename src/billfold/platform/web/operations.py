"""What an operation of the API says about itself. The OpenAPI document is made of it, and access is decided by it.

A plain Litestar handler carries it as `opt=operation(...)` and takes what it needs by these parameter names:

| parameter | is |
|---|---|
| `command` | the JSON body, as the struct it is annotated with |
| `parameters` | the query string, likewise; without this parameter there may be none |
| `key` | the Idempotency-Key header (`str`) |
| `step_up` | the Step-Up header (`UUID`), or None: what the caller has approved |
| `principal` | who is calling |
| `preferences` | the Prefer header (`web.Preferences`) |
| `client` | where from, and with what program (`web.Client`) |
| `again` | asks once more who is calling, for an answer that goes on (`web.Again`) |
| `request` | Litestar's request, for the rare header that matters |
| a path parameter | its text |
| `cookies` | how a login is put into a browser (`cookies.Cookies`) |
| a dependency of its part | what the part gives |

The routes on which money moves fast are `lean.Route`s instead, with the same `Operation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from billfold.kernel.errors import BillfoldError
from billfold.platform.web.policy import Access

#: Every path of the API begins with it; what changes incompatibly gets another number.
PREFIX = "/api/v1"
#: Where a handler's `opt` keeps its operation, and what it takes and gives.
OPT = "operation"
SHAPE = "shape"
#: What every handler can take by name.
NAMES = frozenset({"command", "parameters", "key", "step_up", "preferences", "principal", "client", "again", "request"})
#: A parameter in a path.
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path, as its callers see it."""

    #: A few words in the imperative: Create a wallet.
    summary: str
    #: The group it is listed in: Wallets.
    tag: str
    #: What the caller's credentials must carry, or who else may call it.
    scope: str | Access
    #: Scopes of which any will do instead; which one it takes depends on what it is about, and its use case knows.
    instead: tuple[str, ...] = ()
    #: What else they must carry.
    also: tuple[str, ...] = ()
    #: The scope with which it reaches what belongs to anybody; without it, what is somebody else's is not found.
    everybody: str | None = None
    description: str = ""
    #: What it may be refused for, beyond what can happen to every operation.
    errors: tuple[type[BillfoldError], ...] = ()
    #: Examples as they stand in JSON: the body that is sent, and the body of the answer.
    sends: Any = None
    answers: Any = None
    #: Media types of an answer that is no JSON, such as text/csv, or that has several forms.
    media_types: tuple[str, ...] = ("application/json",)
    #: Further headers of the answer: name → what it says.
    headers: Mapping[str, str] = {}
    #: Further headers of the request that make a difference: name → what it asks for.
    heeds: Mapping[str, str] = {}
    #: The type of what it may have to wait for; None where it is always carried out at once.
    defers: Any = None
    #: The type of what is answered instead when its caller prefers not to wait for it; None where it can't be so.
    responds_async: Any = None
    #: An example of that.
    answers_async: Any = None
    #: Whether another server writes the query, so that parameters which nobody here knows are passed over.
    open_query: bool = False

    @property
    def ways(self) -> tuple[tuple[str | Access, ...], ...]:
        """What it asks of its caller: all of one of these."""
        return tuple((scope, *self.also) for scope in (self.scope, *self.instead))

    @property
    def policies(self) -> tuple[str | Access, ...]:
        """All that is named in any of the ways."""
        return (self.scope, *self.instead, *self.also)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation takes and gives: the types of its body, query and answer, where it has them."""

    status: int
    command: Any
    parameters: type[msgspec.Struct] | None
    answer: Any
    #: Whether it wants an Idempotency-Key.
    idempotent: bool
    #: Whether it takes a Step-Up header.
    stepped_up: bool = False
    #: Whether it looks at the Prefer header.
    prefers: bool = False


def operation(
    *,
    summary: str,
    tag: str,
    scope: str | Access,
    instead: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    everybody: str | None = None,
    description: str = "",
    errors: tuple[type[BillfoldError], ...] = (),
    sends: Any = None,
    answers: Any = None,
    media_types: tuple[str, ...] = ("application/json",),
    headers: Mapping[str, str] | None = None,
    heeds: Mapping[str, str] | None = None,
    defers: Any = None,
    open_query: bool = False,
) -> dict[str, Any]:
    """The `opt` of a Litestar handler that is this operation; see `Operation` for the fields."""
    return {
        OPT: Operation(
            summary=summary,
            tag=tag,
            scope=scope,
            instead=instead,
            also=also,
            everybody=everybody,
            description=description,
            errors=errors,
            sends=sends,
            answers=answers,
            media_types=media_types,
            headers=headers or {},
            heeds=heeds or {},
            defers=defers,
            open_query=open_query,
        )
    }


def of(handler: Any) -> Operation | None:
    """The operation of a Litestar handler, if it is one of the API's."""
    found = handler.opt.get(OPT)
    assert found is None or isinstance(found, Operation), "opt=operation(...)"
    return found
