"""Who may call an operation. Access is denied by default: what has no policy, or one that nobody knows, does not start.

A policy is a scope, which the caller's credentials must carry, or one of `Access`, which has to be written out: nothing
is open to everybody because somebody has forgotten a line.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import msgspec

from billfold.kernel.principal import Principal


class Access(enum.Enum):
    """What an operation asks of its caller instead of a scope."""

    #: Nothing: it is for everybody, also without credentials.
    ANYBODY = "anybody"
    #: Valid credentials, whatever they carry. What they see is what is theirs.
    CALLER = "any caller"


class Scopes(msgspec.Struct, frozen=True, kw_only=True):
    """The scopes that there are."""

    every: frozenset[str]
    #: Of these, what only a person who has logged in can use, whatever other credentials carry.
    personal: frozenset[str] = frozenset()

    def check(self, policies: Iterable[object], *, where: str) -> None:
        """Go on only with policies that mean something. Any other is a mistake of ours."""
        for policy in policies:
            known = isinstance(policy, Access) or policy in self.every
            assert known, f"{where} has the scope {policy!r}; there are {sorted(self.every)} and web.Access"

    def allow(self, principal: Principal, ways: Sequence[Sequence[str | Access]]) -> None:
        """Go on only if all policies of one of the ways let the caller in.

        Raises:
            MissingScope: of the first way, if there is none for the caller.
            SessionNeeded
        """
        carried = ({policy for policy in way if isinstance(policy, str)} <= principal.scopes for way in ways)
        for policy in next((way for way, its in zip(ways, carried, strict=True) if its), ways[0]):
            if isinstance(policy, str):
                principal.require(policy)
                if policy in self.personal:
                    principal.require_person()
