"""What is asked at the terminal: passwords without an echo, codes, addresses. Without a terminal nothing is."""

from __future__ import annotations

import getpass
import sys

import typer

from billfold.app.cli import output
from billfold.kernel import errors

#: No password is longer; a line without an end is not read to its end.
_LINE_MAX = 4_096


class InputNeeded(errors.Invalid):
    """Something has to be typed, and there is no terminal."""

    code = "input_needed"


class PasswordsDiffer(errors.Invalid):
    """The two passwords are not the same; nothing was done."""

    code = "passwords_differ"


def password(*, from_stdin: bool, twice: bool = False, prompt: str = "Password") -> str:
    """A password: the first line of standard input, or typed unseen, `twice` when nobody could know a mistake.

    Raises:
        InputNeeded, PasswordsDiffer
    """
    if from_stdin:
        return sys.stdin.readline(_LINE_MAX).rstrip("\r\n")
    _need_terminal(f"the {prompt.lower()} (or --password-stdin reads it from standard input)")
    with output.asking():
        found = getpass.getpass(f"{prompt}: ")
        if twice and getpass.getpass(f"{prompt} again: ") != found:
            raise PasswordsDiffer
    return found


def line(prompt: str, *, or_else: str, default: str | None = None) -> str:
    """A line that may be seen, or Enter alone for the default; `or_else` says how to do without a terminal.

    Raises: InputNeeded.
    """
    _need_terminal(f"{prompt[0].lower()}{prompt[1:]} ({or_else})")
    with output.asking():
        return str(typer.prompt(prompt, default=default, show_default=False, err=True)).strip()


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _need_terminal(what: str) -> None:
    if not at_a_terminal():
        raise InputNeeded(f"There is no terminal to ask for {what}.")
