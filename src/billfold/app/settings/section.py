"""What every section of the settings can do: be read by dotted names, and be shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec

_SECRET = msgspec.Meta(extra={"secret": True})
#: A server that listens on all addresses is reached on the loopback one.
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared with, never listened on.
#: A text that is shown masked.
Secret = Annotated[str, _SECRET]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the tree. Its text form shows no secret, so that none gets into a log by accident."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_masked(self, name)!r}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({shown})"


AnySection = TypeVar("AnySection", bound=Section)


def mask(value: str) -> str:
    """What may be shown of a secret: of a URL all but the password, of anything else nothing."""
    if "://" not in value:
        return "********"
    without_login = re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:********@", value)
    return re.sub(r"(?<=[?&]password=)[^&]*", "********", without_login)


def leaves(section: Section, prefix: str = "", *, masked: bool = True) -> Iterator[tuple[str, object]]:
    """Every dotted name with its value."""
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, f"{prefix}{name}.", masked=masked)
        else:
            yield prefix + name, _masked(section, name) if masked else value


def fields(section: type[Section], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted name with its type."""
    for name, hint in _hints(section).items():
        if _is_section(hint):
            yield from fields(hint, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def build(section: type[AnySection], values: Mapping[str, object], prefix: str = "") -> AnySection:
    """The section with these values, by dotted name and of the right types already; the rest are defaults."""
    given: dict[str, Any] = {}
    for name, hint in _hints(section).items():
        if _is_section(hint):
            given[name] = build(hint, values, f"{prefix}{name}.")
        elif prefix + name in values:
            given[name] = values[prefix + name]
    return section(**given)


def replaced(section: AnySection, values: Mapping[str, object]) -> AnySection:
    """The section with these values, by dotted name and of the right types already, in the place of its own."""
    given: dict[str, Any] = {}
    for key, value in values.items():
        name, _, below = key.partition(".")
        given[name] = replaced(given.get(name, getattr(section, name)), {below: value}) if below else value
    return msgspec.structs.replace(section, **given)


def url_here(host: str, port: int, *, scheme: str = "http") -> str:
    """The address of a server for programs on its machine."""
    address = "127.0.0.1" if host in _ALL_ADDRESSES else host
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def _masked(section: Section, name: str) -> object:
    value = getattr(section, name)
    return mask(value) if isinstance(value, str) and _is_secret(_hints(type(section))[name]) else value


@cache
def _hints(section: type[Section]) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)


def _is_secret(hint: Any) -> bool:
    """Whether `Secret` occurs in the type, as in `Secret | None`."""
    return any(part is _SECRET or _is_secret(part) for part in get_args(hint))
