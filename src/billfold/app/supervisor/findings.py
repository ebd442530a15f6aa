"""What a check of a stack has found."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    check: str
    state: State
    found: str
    #: What to do; empty when all is well.
    advice: str = ""
