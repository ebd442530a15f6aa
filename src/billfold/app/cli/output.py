"""How commands print: a table or a sentence for people, JSON for programs."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

#: Columns where there is no terminal: no row of ours is longer.
WIDE = 200


def print_json(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode() + "\n")
    sys.stdout.flush()


def newest(found: list[T], limit: int) -> list[T]:
    """The first `limit` of what was found, which is one more if there is. That is said: none takes these for all."""
    if len(found) > limit:
        sys.stderr.write(f"billfold: There are more than these {limit:,}; --limit shows more.\n")
    return found[:limit]


def printable(text: str) -> str:
    """`text` from anywhere, so that it can't take control of the terminal: control characters are spelled out."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """While somebody is asked, Ctrl-C is an answer (KeyboardInterrupt).

    An event loop's own way to take it is to cancel its task, which would be after the line has been read.
    """
    of_the_loop = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, of_the_loop)


def console() -> Console:
    """The terminal. Rich is imported where something is drawn: its import takes longer than many a command."""
    from rich.console import Console  # noqa: PLC0415

    # A file or a pipe has no width: whoever reads it wants each row of a table on one line.
    width = None if sys.stdout.isatty() else WIDE
    return Console(highlight=False, soft_wrap=True, width=width)


def show_fields(fields: Sequence[tuple[str, str]], *, indent: str = "") -> None:
    """Show names and values below each other, as plain lines that can be copied and searched: none is ever wrapped."""
    width = max(len(name) for name, _ in fields)
    for name, text in fields:
        sys.stdout.write(f"{indent}{name:{width}}  {text}\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table of plain texts; nothing in them is read as markup."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console().print(table)
