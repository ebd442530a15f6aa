"""Lists over HTTP: what is asked for, and a page with the link to the next one."""

from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from billfold.kernel import paging

T = TypeVar("T")

#: For the struct of a list's query parameters.
Cursor = Annotated[str, Meta(description="From the link to the next page.")] | None
Limit = Annotated[int, Meta(ge=1, le=paging.LIMIT_MAX, description="How many at most.", examples=[25])]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some items, and the path of the next page if there is one: follow it as it is."""

    items: list[T]
    next: str | None


def page(path: str, parameters: msgspec.Struct, found: paging.Page[T]) -> Page[T]:
    """A page of the list at `path`, with the link to the next one: the same question with another cursor."""
    if found.next_cursor is None:
        return Page(items=found.items, next=None)
    asked = {name: value for name, value in msgspec.to_builtins(parameters).items() if value is not None}
    return Page(items=found.items, next=f"{path}?{urlencode(asked | {'cursor': found.next_cursor}, doseq=True)}")
