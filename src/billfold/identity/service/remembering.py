"""A dictionary that stays small."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def keep(known: dict[bytes, T], token_hash: bytes, value: T, limit: int) -> None:
    """Put it last, and let go of the first ones: those that were kept longest ago."""
    known.pop(token_hash, None)
    while len(known) >= limit:
        del known[next(iter(known))]
    known[token_hash] = value
