"""What is asked at the terminal: passwords without an echo, codes, addresses. Without a terminal nothing is."""

from __future__ import annotations

import getpass
import sys
import unicodedata

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


def password(*, from_stdin: bool, twice: bool = False, at_least: int = 0) -> str:
    """A password: the first line of standard input, or typed unseen, `twice` when nobody could know a mistake.

    One that is typed with fewer characters than `at_least` is asked for again at once.

    Raises:
        InputNeeded, PasswordsDiffer
    """
    if from_stdin:
        return sys.stdin.readline(_LINE_MAX).rstrip("\r\n")
    _need_terminal("the password; --password-stdin reads it from standard input")
    with output.asking():
        found = getpass.getpass("Password: ")
        while len(unicodedata.normalize("NFKC", found)) < at_least:
            typer.echo(
                f"A password has at least {at_least} characters; several words in a row make a good one.", err=True
            )
            found = getpass.getpass("Password: ")
        if twice and getpass.getpass("Password again: ") != found:
            raise PasswordsDiffer
    return found


def line(prompt: str, *, or_else: str, or_enter: str | None = None) -> str:
    """A line that may be seen. `or_else` says how to do without a terminal, `or_enter` what Enter alone stands for.

    Raises: InputNeeded.
    """
    _need_terminal(f"this: {prompt[0].lower()}{prompt[1:]}; {or_else}")
    default = None if or_enter is None else ""
    prompt = prompt if or_enter is None else f"{prompt}, {or_enter}"
    with output.asking():
        return str(typer.prompt(prompt, default=default, show_default=False, err=True)).strip()


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _need_terminal(what: str) -> None:
    if not at_a_terminal():
        raise InputNeeded(f"There is no terminal to ask for {what}.")
