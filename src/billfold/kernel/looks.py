"""Whose things are shown to somebody who may see everybody's: what audits of looks are kept by.

The edge begins a look for the time of a request, and a use case that knows the owner of what it has found says so.
What nobody has said anything of counts as somebody else's: forgetting to tell records too much and never too little.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec


class Look(msgspec.Struct, gc=False):
    """What was told by now of what one request shows."""

    told: bool = False
    others: bool = False

    @property
    def is_own(self) -> bool:
        """Whether all that is shown is the caller's own."""
        return self.told and not self.others


_current: ContextVar[Look | None] = ContextVar("look", default=None)


def begin() -> Look:
    """From here on, in this task and those that it starts, what is shown is a part of this look."""
    look = Look()
    _current.set(look)
    return look


def saw(*, own: bool) -> None:
    """Something is shown, and belongs to the caller or not. Where nobody watches, nothing happens."""
    look = _current.get()
    if look is not None:
        look.told = True
        look.others = look.others or not own
