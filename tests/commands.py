"""Runs `billfold` commands in this process, as many as a test wants: a process for each takes a second of its own."""

from __future__ import annotations

import contextlib
import contextvars
import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

from billfold.app import cli


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that it printed."""
        return json.loads(self.out)


class Billfold:
    """The command line in an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Of the environment, settings and folders of Billfold are used; none of ours reach in."""
        self.environment = dict(environment)

    def __call__(self, *arguments: str | Path, code: int = 0, stdin: str = "") -> Result:
        """Run a command to its end, which must be with this exit code."""
        found = self._run([str(argument) for argument in arguments], stdin)
        assert found.code == code, found
        return found

    def json(self, *arguments: str | Path, code: int = 0, stdin: str = "") -> Any:
        """What the command prints with --json."""
        return self(*arguments, "--json", code=code, stdin=stdin).json

    def _run(self, arguments: list[str], stdin: str) -> Result:
        out, err = _stream(), _stream()
        with (
            _environment(self.environment),
            _logging_kept(),
            mock.patch.object(sys, "argv", ["billfold", *arguments]),
            # It is no terminal: nobody answers a question.
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                # What a command sets for its process, such as where its requests come from, is over with it.
                contextvars.copy_context().run(cli.main)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
        return Result(code, _text(out), _text(err))


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """How a command logs is over with it. In a process of its own it may keep what it has set for good; here not."""
    root, configure = logging.getLogger(), structlog.configure
    handlers, level = root.handlers[:], root.level
    try:
        with mock.patch.object(
            structlog, "configure", lambda **more: configure(**{**more, "cache_logger_on_first_use": False})
        ):
            yield
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    ours = {name: value for name, value in wanted.items() if name.startswith(("BILLFOLD_", "XDG_"))}
    with mock.patch.dict(os.environ, kept | ours, clear=True):
        yield
