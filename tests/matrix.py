"""Who may call which operation, as the OpenAPI document declares it: the table in the documentation, and what the walk
over every route expects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from billfold.identity.contracts import KEY_SCOPES, PERSONAL, ROLE_SCOPES, Role

#: What a caller sees or changes by an operation.
NO, YES, OWN, EVERYBODY, TWO, EVERYBODY_TWO = "–", "yes", "own", "everybody", "by two", "everybody, by two"
#: Parameters of paths that name nothing of anybody's.
NOBODYS = frozenset({"provider", "chain", "tx_id", "snapshot_id"})
_PARAMETER = re.compile(r"{(\w+)}")
_LOOKING = "everybody:read"
_OPERATOR = "operator"


class Policy(NamedTuple):
    """What an operation asks of its caller."""

    method: str
    #: Without the API's prefix.
    path: str
    #: The scopes that it takes: all of one of these. None is for everybody, without credentials; empty is any caller.
    ways: tuple[frozenset[str], ...] | None
    #: The scope with which it reaches what belongs to anybody.
    everybody: str | None
    #: Whether it may wait for a second person.
    by_two: bool
    #: Whether it may take a fresh factor of the caller's.
    step_up: bool
    #: An example of what it is sent.
    body: Any

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scopes(self) -> frozenset[str] | None:
        """All that are named in any of the ways."""
        return None if self.ways is None else frozenset[str]().union(*self.ways)

    @property
    def things(self) -> list[str]:
        """The parameters of the path that name something of somebody's."""
        return [name for name in _PARAMETER.findall(self.path) if name not in NOBODYS]

    @property
    def personal(self) -> bool:
        """Whether it takes a person who has logged in."""
        return self.scopes is not None and not PERSONAL.isdisjoint(self.scopes)

    def lets_in(self, scopes: frozenset[str]) -> bool:
        return self.ways is None or any(way <= scopes for way in self.ways)

    def reaches_everybody(self, scopes: frozenset[str]) -> bool:
        if self.everybody is None:
            return False
        return self.everybody in scopes or (self.everybody == _LOOKING and _OPERATOR in scopes)

    def cell(self, scopes: frozenset[str]) -> str:
        """What somebody with these scopes can do by it."""
        if not self.lets_in(scopes):
            return NO
        if self.reaches_everybody(scopes):
            if not self.by_two:
                return EVERYBODY
            return TWO if self.everybody in (self.scopes or ()) and self.personal else EVERYBODY_TWO
        return OWN if self.everybody is not None or self.things else YES

    def of_role(self, role: Role) -> str:
        """The same for somebody with this role, who has logged in."""
        return self.cell(ROLE_SCOPES[role])

    def by_key(self) -> bool:
        """Whether an API key can carry what it takes."""
        return self.lets_in(KEY_SCOPES)


def policies(document: dict[str, Any]) -> Iterator[Policy]:
    """What every operation of the OpenAPI document asks of its caller."""
    prefix = "/api/v1"
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            ways = tuple(
                frozenset(scope for needed in way.values() for scope in needed) for way in operation["security"]
            )
            accepted = operation["responses"].get("202", {})
            denied = operation["responses"].get("403", {})
            content = (operation.get("requestBody") or {}).get("content", {})
            yield Policy(
                method=method.upper(),
                path=path.removeprefix(prefix),
                ways=ways or None,
                everybody=operation.get("x-everybody"),
                by_two="Location" in accepted.get("headers", {}),
                step_up="`step_up_required`" in denied.get("description", ""),
                body=content.get("application/json", {}).get("example"),
            )
