"""Writes docs/reference/cli.md from the commands themselves: `python -m tests.docs.cli_reference` after a change."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, EnumType
from pathlib import Path
from typing import Any

import typer

from billfold.app.cli import app, exits

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
#: Options that many commands have mean the same everywhere, and are explained once.
_COMMON = ("--json", "--url", "--api-key", "--idempotency-key", "--config", "--data")
_INTRODUCTION = """\
# Commands

<!-- Made of the commands themselves: change them, then run `python -m tests.docs.cli_reference`. -->

`billfold COMMAND --help` says the same at the terminal. `billfold --install-completion` makes the shell complete
commands and options.

A wallet is named by its id, or by your own `external_id` of it. Times are RFC 3339 instants, such as
`2026-01-31T12:00:00Z`, or dates, which mean their first instant in UTC. Amounts are decimal numbers, such as `12.34`.

A command speaks in the name of `--api-key`, of the key in the settings, of the login at that address, or of the stack's
own key: the first of these that there is. `billfold whoami` shows which
([Log in at the command line](../how-to/log-in-at-the-command-line.md)).

Commands that move money send an idempotency key with every request. Where the answer got lost for good, the error names
the key: with `--idempotency-key` the command can be repeated, and whatever came of the first try is not done again.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, _exit_codes(), _common(), *(_section(*found) for found in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be run, with its words."""
    top: Any = typer.main.get_command(app)
    return _below(top, "billfold", top.make_context("billfold", [], resilient_parsing=True))


def _exit_codes() -> str:
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in exits.MEANINGS.items())
    return f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}"


def _common() -> str:
    """The options that many commands have, as the first of those commands explains them."""
    found: dict[str, str] = {}
    for _, command in commands():
        for parameter in command.params:
            if parameter.opts[0] in _COMMON:
                found.setdefault(parameter.opts[0], _row(parameter))
    rows = "".join(found[name] for name in _COMMON)
    return f"## Options that many commands have\n\n| option | |\n|---|---|\n{rows}"


def _below(command: Any, path: str, context: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(context):
        yield from _below(command.get_command(context, name), f"{path} {name}", context)


def _section(path: str, command: Any) -> str:
    own = [parameter for parameter in command.params if parameter.opts[0] not in {*_COMMON, "--help"}]
    common = [f"`{parameter.opts[0]}`" for parameter in command.params if parameter.opts[0] in _COMMON]
    arguments = [parameter for parameter in own if parameter.param_type_name == "argument"]
    needed = [parameter for parameter in own if parameter.required and parameter not in arguments]
    words = " ".join(
        [
            path,
            *(_argument(parameter) for parameter in arguments),
            *(f"{parameter.opts[0]} {parameter.metavar}" for parameter in needed),
        ]
    )
    text = f"## {path}\n\n    {words}\n\n{_sentences(command.help)}\n"
    if own:
        text += "\n| | |\n|---|---|\n" + "".join(map(_row, own))
    if common:
        text += f"\nAlso {', '.join(common)}.\n"
    return text


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{_argument(parameter)}`"
    else:
        name = ", ".join(f"`{option}`" for option in parameter.opts)
        if not parameter.is_flag:
            name += f" {_value(parameter)}"
    is_option = parameter.param_type_name == "option"
    required = " Required." if parameter.required and is_option else ""
    default = f" By default {parameter.default}." if parameter.default and is_option and not parameter.is_flag else ""
    # A bar would end the cell of the table.
    cells = [text.replace("|", "\\|") for text in (name, f"{parameter.help}{required}{default}")]
    return f"| {cells[0]} | {cells[1]} |\n"


def _argument(parameter: Any) -> str:
    return "|".join(_choices(parameter)) or str(parameter.metavar or parameter.name.upper())


def _value(parameter: Any) -> str:
    return ", ".join(f"`{choice}`" for choice in _choices(parameter)) or str(parameter.metavar)


def _choices(parameter: Any) -> list[str]:
    kind = parameter.type_descriptor.annotation
    return [str(member.value) for member in list[Enum](kind)] if isinstance(kind, EnumType) else []


def _sentences(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
