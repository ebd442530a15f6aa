"""The log lines of all programs on one terminal, each headed by the name of the one that wrote it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TextIO

#: One colour for each name, in the order of their appearance: cyan, green, yellow, magenta, blue.
_COLOURS = (36, 32, 33, 35, 34)
_NAME_WIDTH = 8
#: Continuations of a line that PostgreSQL wrote before.
_CONTINUATIONS = ("DETAIL:", "HINT:", "CONTEXT:", "STATEMENT:", "QUERY:")
#: What the servers mark as routine: their starts, stops and checkpoints. Shown at log level debug alone.
_ROUTINE = ("LOG:", "[INF]", "[DBG]")


class Terminal:
    """Writes lines to a stream, coloured where the stream is a terminal."""

    def __init__(self, stream: TextIO, *, colour: bool, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._colour = colour
        self._gone = gone
        self._colours: dict[str, int] = {}

    def write(self, name: str, line: str) -> None:
        """Write one line. A reader that has gone is told of; a line that can't be written, to a full disk, is lost."""
        heading = name.ljust(_NAME_WIDTH)
        if self._colour:
            number = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            heading = f"\x1b[{number}m{heading}\x1b[0m"
        try:
            print(f"{heading} │ {line}", file=self._stream, flush=True)
        except BrokenPipeError:
            self._gone()
        except OSError as error:
            if error.errno == errno.EIO:
                # The terminal was closed.
                self._gone()


def without_routine(write: Callable[[str], None]) -> Callable[[str], None]:
    """Lets through what a server writes that is not routine, together with the lines that continue it."""
    shown = True

    def passed(line: str) -> None:
        nonlocal shown
        if not line.startswith(_CONTINUATIONS):
            shown = not any(mark in line for mark in _ROUTINE)
        if shown:
            write(line)

    return passed
