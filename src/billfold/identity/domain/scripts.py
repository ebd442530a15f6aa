"""The scripts that handles are written in, and which letters and marks of each. What is not listed is in none.

The ranges are those in everyday use. Phonetic, historic and ornamental letters are left out: hardly anybody's name has
one, and most of them look like a letter of another name. Right-to-left scripts are left out because a handle stands in
the middle of other text, where they would change the order in which digits and signs are shown.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right

_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": ((0x61, 0x7A), (0xDF, 0xF6), (0xF8, 0x24F), (0x1E00, 0x1EFF)),
    "Greek": ((0x370, 0x3FF),),
    "Cyrillic": ((0x400, 0x52F),),
    "Armenian": ((0x531, 0x588),),
    "Devanagari": ((0x900, 0x97F),),
    "Thai": ((0xE01, 0xE4E),),
    "Lao": ((0xE81, 0xECE),),
    "Georgian": ((0x10D0, 0x10FF),),
    # Japanese is written with kana and Chinese characters together.
    "Han": ((0x3005, 0x3005), (0x3041, 0x3096), (0x30A1, 0x30FC), (0x4E00, 0x9FFF)),
    "Hangul": ((0xAC00, 0xD7A3),),
}
_ENDS = sorted((first, last, script) for script, ranges in _RANGES.items() for first, last in ranges)
_FIRST = [first for first, _, _ in _ENDS]


def script_of(letter: str) -> str | None:
    """The script of a letter or a mark; None for whatever else there is."""
    place = bisect_right(_FIRST, ord(letter)) - 1
    if place < 0:
        return None
    _, last, script = _ENDS[place]
    return script if ord(letter) <= last and unicodedata.category(letter)[0] in "LM" else None


def letters() -> list[str]:
    """All of them."""
    return [chr(code) for first, last, _ in _ENDS for code in range(first, last + 1) if script_of(chr(code))]
