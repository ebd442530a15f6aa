"""Finds the examples to run in a page.

An example is run when the line before its fence is a comment that says so:

    <!-- run -->                            it must succeed
    <!-- run: exit 22 -->                   its last command must end with this code
    <!-- run: shows insufficient_funds -->  its output must contain this text
    <!-- run: exit 22; shows refused -->    both

Fences of `bash`, `sh`, `console` and `python` can be run. In a `console` fence lines that begin with `$ ` are commands;
what stands below one must be its output. There `…` stands for anything, an id for any id, and an instant, unless it is
a midnight, for any instant, so that a page can show what was really said.

What is done in a browser stands below a comment that names it:

    <!-- browser: Ada adds a passkey -->

A page with such comments is run by tests/browser, which has somebody for each.

A page that needs more than `billfold up` starts by itself names it in a comment, and is run on a stack of its own:

    <!-- stack: redis -->
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"bash", "sh", "console", "python"}

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL
)
_MARKER = re.compile(r"<!--\s*run\b(?::(?P<options>.*?))?\s*-->[ ]*\n\Z")
_ACT = re.compile(r"^<!-- browser: (?P<name>.+) -->$", re.MULTILINE)
_STACK = re.compile(r"^<!-- stack: (?P<name>.+) -->$", re.MULTILINE)
#: What differs from one run to the next.
_VARYING = re.compile(
    r"(…"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\dT(?!00:00:00)\d\d:\d\d:\d\d(?:\.\d+)?)"
)
_ANY_ID = "[0-9a-f-]{36}"
_ANY_INSTANT = r"\d{4}-\d\d-\d\dT[\d:.]+"
_COMMAND = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.*)\n?(?P<output>(?:(?!\$ ).*\n?)*)", re.MULTILINE)


class MarkerUnknown(Exception):
    """The comment before an example can't be understood."""


@dataclass(frozen=True)
class Step:
    """Something to run, and what it must show."""

    code: str
    shows: re.Pattern[str]


@dataclass(frozen=True)
class Example:
    """A fence to be run."""

    page: str
    line: int
    language: str
    steps: tuple[Step, ...]
    #: What the last step must end with.
    exit_code: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Act:
    """Something to be done in a browser."""

    line: int
    name: str


@dataclass(frozen=True)
class Fence:
    """Any fenced block of a page, whether it is run or not."""

    line: int
    language: str
    code: str
    #: The options of its marker, or None when it has no marker.
    options: str | None


def fences(text: str) -> Iterator[Fence]:
    """All fenced blocks of a page."""
    for fence in _FENCE.finditer(text):
        marker = _MARKER.search(text[: fence.start()])
        yield Fence(
            line=text.count("\n", 0, fence.start()) + 1,
            language=fence["language"],
            code=textwrap.dedent(fence["code"]),
            options=None if marker is None else (marker["options"] or "").strip(),
        )


def acts(text: str) -> list[Act]:
    """What a page wants done in a browser."""
    return [Act(text.count("\n", 0, act.start()) + 1, act["name"]) for act in _ACT.finditer(text)]


def stack_of(text: str) -> str | None:
    """What a page needs beside the usual stack, if it says so."""
    found = _STACK.search(text)
    return None if found is None else found["name"]


def examples(page: Path, name: str) -> list[Example]:
    """The examples of a page that are to be run.

    Raises: MarkerUnknown.
    """
    return [_example(fence, name) for fence in fences(page.read_text(encoding="utf-8")) if fence.options is not None]


def _example(fence: Fence, page: str) -> Example:
    where = f"{page}:{fence.line}"
    if fence.language not in LANGUAGES:
        raise MarkerUnknown(f"{where}: only {', '.join(sorted(LANGUAGES))} can be run, not {fence.language!r}")
    exit_code, shown = 0, ""
    for option in filter(None, re.split(r";\s*", fence.options or "")):
        if found := re.fullmatch(r"exit (\d+)", option):
            exit_code = int(found[1])
        elif found := re.fullmatch(r"shows (.+)", option):
            shown = found[1]
        else:
            raise MarkerUnknown(f"{where}: {option!r} is neither `exit <code>` nor `shows <text>`")
    return Example(page, fence.line, fence.language, _steps(fence, shown), exit_code)


def _steps(fence: Fence, shown: str) -> tuple[Step, ...]:
    if fence.language != "console":
        return (Step(fence.code, re.compile(re.escape(shown))),)
    steps = tuple(Step(found["command"], _shape(found["output"])) for found in _COMMAND.finditer(fence.code))
    return (*steps[:-1], Step(steps[-1].code, _shape(shown))) if shown else steps


def plain(output: str) -> str:
    """What was said, without the blanks that nobody sees."""
    return "\n".join(line.rstrip() for line in output.strip().splitlines())


def _shape(output: str) -> re.Pattern[str]:
    # What stands at odd places is what the pattern has found.
    parts = enumerate(_VARYING.split(plain(output)))
    return re.compile("".join(_any(part) if place % 2 else re.escape(part) for place, part in parts), re.DOTALL)


def _any(varying: str) -> str:
    if varying == "…":
        return ".*?"
    return _ANY_INSTANT if "T" in varying else _ANY_ID
