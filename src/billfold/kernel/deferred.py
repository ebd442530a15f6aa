"""A request that is accepted and not carried out yet: something has to happen first, and one can look whether."""

from __future__ import annotations

from typing import Any


class Deferred(Exception):
    """Raised instead of an answer. Nothing was refused, and sending the request again changes nothing."""

    def __init__(self, waits_for: Any, *, path: str) -> None:
        """`waits_for` is what the caller is shown, and `path` where it can be looked at, below the API's prefix."""
        self.waits_for = waits_for
        self.path = path
        super().__init__(path)
