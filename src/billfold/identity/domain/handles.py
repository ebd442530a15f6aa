"""Handles: how they are written, and which of them look the same.

A handle is folded (NFKC, then case) to its canonical form, which is also the only one that is ever shown. Two handles
with the same skeleton (UTS #39) look the same to somebody who pays, so only one of them can exist.
"""

from __future__ import annotations

import re
import unicodedata

from billfold.identity import errors
from billfold.identity.domain.confusables import LOOKALIKES
from billfold.identity.domain.scripts import script_of

LENGTH_MIN = 3
LENGTH_MAX = 30
#: More marks than these on one letter run into other lines (UTS #39 §5.4); no language of ours needs more.
_MARKS_MAX = 2

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_UNDERSCORES = re.compile(r"_{2,}")
_WORD = re.compile(r"[^\W_]")

#: Whoever has one of these could be taken for us, or for something that is no payee.
RESERVED = frozenset(
    """
    abuse account admin administrator alias aliases anonymous api approval approvals auditor auth bank billfold
    billing bot compliance contact customerservice deposit everybody everyone finance fraud help helpdesk
    hostmaster info legal login mail me moderator myself nobody null official operator outside owner payment
    payments postmaster privacy refund refunds reserved root sales security service settings staff status
    support sysadmin system team teller test transfer transfers treasurer undefined unknown user users verified
    verify wallet wallets webmaster withdrawal you
    """.split()  # noqa: SIM905 - a list of words is read as one.
)


def normalised(text: str) -> str:
    """The text after NFKC: full-width letters, ligatures and the like are what they stand for."""
    return unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    """The text after NFKC and case folding, twice: folding one letter can make another that NFKC changes."""
    for _ in range(2):
        text = normalised(normalised(text).casefold())
    return text


def canonical(name: str) -> str:
    """The handle, without its @, in the form that is compared and shown.

    Raises:
        HandleInvalid, HandleMixed
    """
    text = folded(name)
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        raise errors.HandleInvalid(f"A handle has {LENGTH_MIN} to {LENGTH_MAX} characters after its @.")
    if not _WORD.search(text) or unicodedata.category(text[0])[0] == "M":
        raise errors.HandleInvalid
    _check_letters(text)
    return text


def skeleton(text: str) -> str:
    """What is left of a canonical handle when everything that looks like something else is replaced by that."""
    alike = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(LOOKALIKES))
    return _UNDERSCORES.sub("_", alike)


def check_new(text: str) -> None:
    """Go on only if somebody may take this canonical handle.

    Raises:
        HandleReserved
        HandleMixed: it is written in one script and looks as if it was in another.
    """
    if skeleton(text) in _RESERVED or skeleton(text.replace("1", "i")) in _RESERVED:
        raise errors.HandleReserved
    if not text.isascii() and skeleton(text).isascii() and _scripts(text) - {"Latin"}:
        raise errors.HandleMixed(
            "Every letter of this handle looks like a Latin one; add one that doesn't, or write it in Latin letters."
        )


def _check_letters(text: str) -> None:
    if len(_scripts(text)) > 1:
        raise errors.HandleMixed
    marks = 0
    for letter in text:
        if letter not in _PLAIN and script_of(letter) is None:
            raise errors.HandleInvalid(
                f"A handle is made of letters, digits 0 to 9 and underscores, and not of {_named(letter)}."
            )
        marks = marks + 1 if unicodedata.category(letter) == "Mn" else 0
        if marks > _MARKS_MAX:
            raise errors.HandleInvalid(f"A letter of a handle has at most {_MARKS_MAX} marks.")


def _scripts(text: str) -> set[str]:
    return {script for letter in text if (script := script_of(letter)) is not None}


def _named(letter: str) -> str:
    """A character in words that can be shown: it may be one that nobody sees, or that turns text around."""
    return unicodedata.name(letter, f"U+{ord(letter):04X}")


_RESERVED = frozenset(map(skeleton, RESERVED))
