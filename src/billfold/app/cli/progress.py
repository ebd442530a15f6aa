"""Progress bars with rate and time left, on standard error, so that what a command prints can be piped on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What was done of how much, and a text beside the bar.
Advance = Callable[[float, float | None, str], None]


@contextmanager
def bar(what: str) -> Iterator[Advance]:
    """A bar while the block runs, for people alone: nothing is drawn where standard error is no terminal."""
    # Rich takes longer to import than many a command to run.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None, text="")

        def advance(done: float, total: float | None, text: str) -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield advance
