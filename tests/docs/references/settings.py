"""Every setting, with the comment that stands above its field."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from billfold.app.settings import sources, tree
from billfold.app.settings.section import Secret, Section
from tests.docs.references.running import Running
from tests.docs.references.tables import table

_COMMENT = re.compile(r"^    #: (?P<text>.*)$")
_FIELD = re.compile(r"^    (?P<name>\w+): ")
_NO_VALUE = "none"


def parts(_seen: Running) -> dict[str, str]:
    """A section for each of the tree's."""
    return {"settings": "\n".join(_sections(tree.Settings, ""))}


def _sections(section: type[Section], name: str) -> Iterator[str]:
    if any(not _is_section(hint) for hint in get_type_hints(section).values()):
        yield _section(section, name)
    for inner, hint in get_type_hints(section).items():
        if _is_section(hint):
            yield from _sections(hint, f"{name}.{inner}" if name else inner)


def _section(section: type[Section], name: str) -> str:
    title = name or "At the top of the file"
    doc = (section.__doc__ or "").strip() if name else "Before the first `[section]`."
    rows = _rows(section, f"{name}." if name else "")
    return f"## {title}\n\n{doc}\n\n{table(('setting', 'is', 'default', 'what for'), rows)}"


def _rows(section: type[Section], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    comments = _comments(section)
    values = section()
    for name, hint in get_type_hints(section, include_extras=True).items():
        if _is_section(hint):
            continue
        key = prefix + name
        assert name in comments, f"{key} needs a comment: `#: What it is for.` above its field"
        names = f"`{key}`<br>`{sources.variable(key)}`"
        yield names, _kind(hint), _default(key, getattr(values, name)), comments[name]


def _comments(section: type[Section]) -> dict[str, str]:
    """The comments of its own fields, and of those that it has from another section."""
    inherited = [base for base in section.__mro__[1:] if issubclass(base, Section) and base is not Section]
    found: dict[str, str] = {}
    for one in [*reversed(inherited), section]:
        found |= _own_comments(one)
    return found


def _own_comments(section: type[Section]) -> dict[str, str]:
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(section).splitlines():
        if comment := _COMMENT.match(line):
            above.append(comment["text"])
        elif field := _FIELD.match(line):
            if above:
                found[field["name"]] = " ".join(above)
            above = []
    return found


def _kind(hint: Any) -> str:
    """What a value is, in words."""
    secret = ", secret" if any(part in get_args(Secret)[1:] for part in _parts(hint)) else ""
    for part in _parts(hint):
        if get_origin(part) is Literal:
            return ", ".join(f"`{value}`" for value in get_args(part))
    kinds = [part for part in _parts(hint) if isinstance(part, type) and part is not type(None)]
    assert len(kinds) == 1, hint
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}[kinds[0]]
    limits = [part for part in _parts(hint) if isinstance(part, Meta) and part.ge is not None]
    return words + "".join(f" from {limit.ge} to {limit.le}" for limit in limits) + secret


def _parts(hint: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    if get_origin(hint) is Literal or not get_args(hint):
        yield hint
        yield from getattr(hint, "__metadata__", ())
        return
    is_union = get_origin(hint) in {Union, UnionType}
    for part in get_args(hint) if is_union else (hint.__origin__, *hint.__metadata__):
        yield from _parts(part)


def _default(key: str, value: object) -> str:
    if key == "data_dir":
        return "`$XDG_DATA_HOME/billfold`, or `~/.local/share/billfold`"
    return _NO_VALUE if value is None else f"`{value}`"


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)
