"""What people are called."""

from __future__ import annotations

import re
import unicodedata

from billfold.identity import errors
from billfold.identity.contracts import NAME_MAX

#: Joiners, by which some scripts and emoji are written. Every other invisible character, such as those that turn the
#: direction of writing, makes one name look like another.
_JOINERS = "\u200c\u200d"
#: Thai vowels that are written before the letter that they are spoken after. A syllable is named by that letter.
_WRITTEN_BEFORE = "เแโใไ"
_BLANKS = re.compile(r"\s+")


def display_name(text: str, *, pointer: str = "/display_name") -> str:
    """The name in NFC, with single blanks.

    Raises:
        InvalidDisplayName.
    """
    # By its length first: no work is done on what can be no name.
    if len(text) > 4 * NAME_MAX or any(_is_hidden(character) for character in text):
        raise errors.InvalidDisplayName(pointer=pointer)
    name = _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if len(name) > NAME_MAX or not any(unicodedata.category(character)[0] in "LNS" for character in name):
        raise errors.InvalidDisplayName(pointer=pointer)
    return name


def initials(name: str) -> str:
    """One or two letters that stand for somebody where a picture of them would."""
    words = [word for word in map(_letters, name.split()) if word]
    ends = words[:1] + words[-1:] if len(words) > 1 else words
    return "".join(word[0] for word in ends).upper() or name[:1]


def _letters(word: str) -> str:
    return "".join(letter for letter in word if letter.isalnum() and letter not in _WRITTEN_BEFORE)


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] == "C" and character not in _JOINERS) or category in {"Zl", "Zp"}
