"""What `dead-letters` and `refused-events` share: how something that could not be applied is shown and discarded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from billfold.app.cli import output
from billfold.app.client import Api

Raw = Annotated[bool, typer.Option("--raw", help="Print nothing but the message, byte for byte.")]
Found = dict[str, Any]


def show_list(
    found: Sequence[Found], columns: Sequence[str], row: Callable[[Found], Sequence[str]], *, none: str, json: bool
) -> None:
    """Show a list without contents."""
    if json:
        output.print_json(found)
    elif not found:
        typer.echo(none)
    else:
        output.print_table(columns, [tuple(row(one)) for one in found])


def show(found: Found, fields: Sequence[tuple[str, str]], *, raw: bool, json: bool) -> None:
    """Show one, and its content as it came."""
    if raw:
        typer.echo(base64.b64decode(found["content"]), nl=False)
    elif json:
        output.print_json(found)
    else:
        headers = [(f"Header {name}", value) for name, value in found["headers"].items()]
        output.show_fields([(name, output.printable(text)) for name, text in (*fields, *headers) if text])
        typer.echo()
        typer.echo(output.printable(base64.b64decode(found["content"]).decode(errors="backslashreplace")))


async def discard(api: Api, path: str, *, json: bool) -> None:
    """Close one for ever without applying it."""
    answer = await api.post(f"{path}/discard")
    if json:
        output.print_json(answer.body)
    else:
        typer.echo(f"{answer.body['id']} is discarded.")


def show_end(found: Found, *, applied: str | None, json: bool) -> None:
    """Show what has become of one that was retried: `applied` says so, None is that it was refused again.

    Raises:
        Exit: it is not applied.
    """
    if json:
        output.print_json(found)
    else:
        again = f"It is refused again and stays open: {found['detail']} ({found['reason']})"
        typer.echo(output.printable(again) if applied is None else applied)
    if applied is None:
        raise typer.Exit(1)
