"""Confirmation of payee: whoever sends money to an alias sees whose it is, and says yes, before it goes."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote

import typer

from billfold.app.cli import client, output
from billfold.app.client import Api
from billfold.kernel import errors


class NotConfirmed(errors.Conflict):
    """Nobody is here to be asked; add --yes."""

    code = "not_confirmed"


def is_alias(name: str) -> bool:
    """Whether this can be nothing else than an alias. A name with a colon may be an external_id of one's own."""
    return name.startswith("+") or "@" in name


def path(alias: str) -> str:
    """Where the API has an alias."""
    return f"/aliases/{quote(alias, safe='')}"


async def ask(api: Api, alias: str) -> dict[str, Any]:
    """Whom an alias stands for."""
    found: dict[str, Any] = await api.get(path(alias))
    return found


async def wallet(api: Api, name: str) -> str:
    """What the API is to be told for a wallet of one's own: its id, or an alias as it is."""
    if is_alias(name):
        return name
    try:
        return await client.wallet_id(api, name)
    except client.WalletNotFound:
        if ":" in name:
            return name
        raise


async def target(api: Api, name: str, what: str, *, yes: bool) -> dict[str, str]:
    """The fields that say who gets `what`. Of an alias its payee is shown and confirmed first.

    Raises:
        NotConfirmed: there is nobody to ask.
        Abort: the answer was no.
    """
    to = await wallet(api, name)
    if not (is_alias(to) or ":" in to):
        return {"to": to}
    found = await ask(api, to)
    named = f"{output.printable(found['payee'])} ({found['alias']})"
    if yes:
        typer.echo(f"To {named}.", err=True)
    else:
        confirm(f"Send {what} to {named}?")
    return {"to": to, "payee": found["payee"]}


def confirm(question: str) -> None:
    """Go on only if somebody at the terminal says yes.

    Raises:
        NotConfirmed: there is nobody to ask.
        Abort: the answer was no.
    """
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} Nobody is here to be asked; add --yes.")
    with output.asking():
        typer.confirm(question, abort=True, err=True)
