"""Makes the table of look-alikes: `python -m tests.unit.identity.confusables` writes it, and a test compares it.

The source is Unicode's confusables.txt as the package confusable-homoglyphs carries it: for each character or sequence
those that look like it. One that looks like exactly one other is the source of a line of that file.
"""

import unicodedata
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from billfold.identity.domain import handles, scripts

FILE = Path(__file__).parents[3] / "src/billfold/identity/domain/confusables.py"
_MARKS = str.maketrans("", "", "\u200e\u200f")
_LINE = 112
_HEAD = '''"""What looks like something else in handles: that part of Unicode's confusables.txt (UTS #39).

Made by `python -m tests.unit.identity.confusables`; not to be changed by hand. The data is © Unicode, Inc., under the
licence in LICENSE.unicode beside it.
"""

# Each item is a character, and what it stands for, by their code points.
_TABLE = """
'''
_TAIL = '''"""


def _read(item: str) -> tuple[int, str]:
    source, _, target = item.partition(":")
    return int(source, 16), "".join(chr(int(code, 16)) for code in target.split("+"))


#: By code point, as str.translate wants it.
LOOKALIKES = dict(map(_read, _TABLE.split()))
'''


def made() -> str:
    """The text of the file."""
    items = [f"{ord(source):x}:{_codes(target)}" for source, target in sorted(_table().items())]
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) >= _LINE:
            lines.append(line)
            line = ""
        line = f"{line} {item}".lstrip()
    return _HEAD + "\n".join([*lines, line]) + "\n" + _TAIL


def _table() -> dict[str, str]:
    """What each character of a decomposed handle is replaced by, to the end of the chain."""
    alike = _alike()
    # Handles have no capital letters, nor anything else that folding replaces.
    lasting = [letter for letter in scripts.letters() if handles.folded(letter) == letter]
    wanted = set(unicodedata.normalize("NFD", "".join([*lasting, *"0123456789_"])))
    found = {}
    for character in wanted:
        target = _settled(character, alike)
        if target != character:
            found[character] = target
    return found


def _settled(text: str, alike: Mapping[str, str]) -> str:
    while True:
        once = unicodedata.normalize("NFD", "".join(alike.get(part, part) for part in text)).casefold()
        if once == text:
            return text
        text = once


def _alike() -> dict[str, str]:
    data: dict[str, list[dict[str, Any]]] = import_module("confusable_homoglyphs.confusables").confusables_data
    found = {}
    for source, targets in data.items():
        if len(targets) == 1 and len(source.translate(_MARKS)) == 1:
            target = targets[0]["c"]
            mutual = len(data[target]) == 1
            # Of two that look like each other alone, either can stand for both.
            if not mutual or (not target.isascii(), target) < (not source.isascii(), source):
                found[source.translate(_MARKS)] = target.translate(_MARKS)
    return found


def _codes(text: str) -> str:
    return "+".join(f"{ord(character):x}" for character in text)


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
