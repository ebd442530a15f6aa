"""Balances outside of the database: what is kept of them there, and what comparing it with the ledger finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec


class Kept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of an account. Amounts are whole smallest units of its asset; no floor is None."""

    account: UUID
    asset: str
    #: The ledger's count of changes: with the same, everything else is the same.
    changes: int
    version: int
    posted: int
    held: int
    floor: int | None

    @property
    def available(self) -> int:
        """What is posted less what is held."""
        return self.posted - self.held


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts of a wallet by their asset, as they were at one moment or later."""

    #: That moment in microseconds since 1970, by the clock of where it is kept.
    read_at_us: int
    accounts: Mapping[str, Kept]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a wallet, if anything is; and when it was looked at, by the clock of where it is kept."""

    at_us: int
    picture: Picture | None

    @property
    def age_us(self) -> int | None:
        """How old what is kept may be at most. None where there is nothing, or a clock was put back."""
        if self.picture is None or self.picture.read_at_us > self.at_us:
            return None
        return self.at_us - self.picture.read_at_us


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an account is wrong: it can't be explained by events that are still under way."""

    wallet: UUID
    asset: str
    detail: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What comparing has found. `behind` counts accounts of which the last change is still under way."""

    wallets: int
    accounts: int
    behind: int
    drift: Sequence[Drift]


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """How many wallets were written anew, and for how many there was no room."""

    wallets: int
    full: int


#: What became of a picture that was to be kept: it is, a later one is kept already, or there is no room.
WriteOutcome = Literal["written", "older", "full"]
#: How many are read or written in one question.
PICTURES_BLOCK = 100
