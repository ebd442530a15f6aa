"""`billfold mail`: the mails that a stack's own mail server has taken. They are read where it keeps them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from billfold.app.cli import commands, options, output
from billfold.kernel import errors
from billfold.platform.mail.sink import letters
from billfold.platform.mail.sink.box import FOLDER, Box, MessageUnknown
from billfold.platform.mail.sink.letters import Letter

app = commands.group("mail")

#: How often somebody who waits looks.
_POLL_S = 0.1

To = Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="Only to this e-mail address or phone.")]


class NoCode(errors.NotFound):
    """The mail tells no code; without --code it is shown as a whole."""

    code = "no_code"


class NoMail(errors.NotFound):
    """No such mail has come."""

    code = "no_mail"


@app.command("list")
def list_(
    to: To = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """List mails, the newest first."""
    found = letters.newest(_box(config, data), to=to, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No mail.")
    else:
        rows = [
            tuple(map(output.printable, (one.id, one.received_at[:19], ", ".join(one.recipients), one.subject)))
            for one in found
        ]
        output.print_table(("mail", "came", "to", "subject"), rows)


@app.command("show")
def show(
    mail: Annotated[str | None, typer.Argument(metavar="[MAIL]", help="The mail's id; the newest without it.")] = None,
    *,
    latest: Annotated[bool, typer.Option("--latest", help="The newest, which is also meant without an id.")] = False,
    to: To = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait so long for a mail to come, if need be.")
    ] = 0,
    code: Annotated[bool, typer.Option("--code", help="Print nothing but the code that it tells.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Show a mail, or the code in it."""
    if mail is not None and (latest or to or wait):
        raise typer.BadParameter("An id names one mail that is there; --latest, --to and --wait look for one.")
    mailbox = _box(config, data)
    letter = letters.read(mailbox, mail) if mail is not None else _newest(mailbox, to, wait)
    if code:
        typer.echo(_code(letter))
    elif json:
        output.print_json(letter)
    else:
        _show(letter)


@app.command("clear")
def clear(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Throw all mails away."""
    count = _box(config, data).clear()
    if json:
        output.print_json({"cleared": count})
    else:
        typer.echo(f"{count} mail{'' if count == 1 else 's'} thrown away.")


def _box(config: Path | None, data: Path | None) -> Box:
    return Box(options.load(config, data).settings.data_dir / FOLDER)


def _newest(mailbox: Box, to: str | None, wait_s: float) -> Letter:
    """The newest mail, once there is one.

    Raises: NoMail.
    """
    deadline = time.monotonic() + wait_s
    while True:
        for one in letters.newest(mailbox, to=to, limit=1):
            try:
                return letters.read(mailbox, one.id)
            except MessageUnknown:
                # It has just been thrown away.
                continue
        if time.monotonic() > deadline:
            raise NoMail(f"No mail{f' to {to}' if to else ''} has come; `billfold mail list` shows those there are.")
        time.sleep(_POLL_S)


def _code(letter: Letter) -> str:
    if letter.code is None:
        raise NoCode(f"The mail “{letter.subject}” tells no code; without --code it is shown as a whole.")
    return letter.code


def _show(letter: Letter) -> None:
    fields = (
        ("Mail", letter.id),
        ("From", letter.author or letter.sender),
        ("To", ", ".join(letter.recipients)),
        ("Subject", letter.subject),
        ("Came", letter.received_at),
    )
    output.show_fields([(name, output.printable(text)) for name, text in fields])
    typer.echo()
    typer.echo(output.printable(letter.text).rstrip())
