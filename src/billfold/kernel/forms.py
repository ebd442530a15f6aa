"""What a value must look like, and what is said of one that does not, in words and not in those of a parser."""

from __future__ import annotations

import re

_PLACE = re.compile(r" - at (?:`key` in )?`(?P<path>\$[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_PATTERN = re.compile(r"`str` matching regex .*", re.DOTALL)
_EXPECTED = re.compile(r"(?:Expected|got) `[^`]*`")
_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
_TYPE = re.compile(r"\b(?:" + "|".join(_TYPES) + r")\b")
#: What each pattern asks for, by the words in which msgspec says that a text does not match it.
_MEANINGS: dict[str, str] = {}


def pattern(regex: str, meaning: str) -> str:
    """`regex` for a field; a text that does not match it is told that `meaning` was expected."""
    _MEANINGS[f"`str` matching regex {regex!r}"] = meaning
    return regex


#: PostgreSQL can't store the character NUL.
NO_NUL = pattern(r"^[^\u0000]*$", "text without the character NUL")


def placed(error: Exception) -> tuple[str, str]:
    """What msgspec says, and the JSON Pointer of where.

    An entry of a map is not named by msgspec, so the pointer ends at the map.
    """
    message = str(error)
    found = _PLACE.search(message)
    if found is None:
        return message, ""
    steps = _STEP.findall(found["path"].replace("[...]", ""))
    return message[: found.start()], "".join(f"/{escaped(name) if name else index}" for name, index in steps)


def sentence(text: str, pointer: str = "") -> str:
    """What msgspec says, and where if that is given, as a sentence."""
    found = _PATTERN.search(text)
    if found is not None:
        meaning = _MEANINGS.get(found[0], "text in the form that the documentation describes")
        text = text[: found.start()] + meaning
    text = _EXPECTED.sub(lambda part: _TYPE.sub(lambda name: _TYPES[name[0]], part[0]), text)
    text = text.replace("`", "").rstrip(".")
    return f"{text} at {pointer}." if pointer else f"{text}."


def said(error: Exception) -> str:
    """What is wrong and where, in one sentence, for where there is no other place for the pointer."""
    return sentence(*placed(error))


def escaped(name: str) -> str:
    """A name as a step of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
