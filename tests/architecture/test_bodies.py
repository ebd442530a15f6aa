"""A body with a field that nobody knows is refused: whoever mistypes a name would be obeyed otherwise, by halves."""

import importlib
import pkgutil
import typing
from collections.abc import Iterator

from litestar.handlers import HTTPRouteHandler

import billfold


def commands() -> Iterator[type]:
    """The types of all bodies that routes take."""
    for found in pkgutil.walk_packages(billfold.__path__, "billfold."):
        if ".rest" not in found.name:
            continue
        for handler in vars(importlib.import_module(found.name)).values():
            if isinstance(handler, HTTPRouteHandler):
                taken = typing.get_type_hints(handler.fn).get("command")
                if hasattr(taken, "__struct_config__"):
                    yield typing.cast("type", taken)


def test_no_body_takes_fields_that_it_does_not_know() -> None:
    found = list(commands())
    assert len(found) > 10
    lax = {one.__qualname__ for one in found if not one.__struct_config__.forbid_unknown_fields}  # type: ignore[attr-defined]
    assert not lax
