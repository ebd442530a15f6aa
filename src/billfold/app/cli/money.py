"""What commands that move money share: their options, the body they send, and how they show what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from billfold.app.cli import output
from billfold.app.client import Answer

Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, such as 12.34.")]
Asset = Annotated[str, typer.Argument(metavar="ASSET", help="What of, such as USD.", parser=str.upper)]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="TEXT", help="A short text to search for, such as an invoice's number."),
]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="A sentence for people.")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", metavar="NAME=TEXT", help="A text of your own; may be given often.")
]
EffectiveAt = Annotated[
    str | None,
    typer.Option("--effective-at", metavar="TIME", help="When it counts as having happened, such as 2026-01-31."),
]

Transfer = dict[str, Any]
_ACCEPTED = 202


def order(
    amount: str,
    asset: str,
    *,
    reference: str | None,
    description: str | None,
    metadata: Sequence[str] | None,
    effective_at: str | None,
) -> dict[str, Any]:
    """The body that moves this money."""
    wanted = {
        "money": {"amount": amount, "asset": asset},
        "reference": reference,
        "description": description,
        "metadata": pairs(metadata),
        "effective_at": effective_at,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def pairs(texts: Sequence[str] | None) -> dict[str, str] | None:
    """The dictionary that NAME=TEXT options stand for; None when there are none.

    Raises:
        BadParameter: one has no =.
    """
    if not texts:
        return None
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=TEXT, such as order=4711.", param_hint="--metadata")
        found[name] = value
    return found


def show_if_pending(answer: Answer, *, json: bool) -> bool:
    """Say that nothing was done yet, if it waits for another person; whether it does."""
    if answer.status != _ACCEPTED:
        return False
    if json:
        output.print_json(answer.body)
    else:
        typer.echo(
            "Nothing was done yet: another person has to approve it. "
            f"`billfold approvals show {answer.body['id']}` says what has become of it."
        )
    return True


def show_transfer(answer: Answer, *, json: bool) -> None:
    """Show a transfer that was just posted, or had been by an earlier try; or what it waits for."""
    if show_if_pending(answer, json=json):
        return
    if json:
        output.print_json(answer.body)
        return
    if answer.replayed:
        typer.echo("This was done by an earlier try; nothing was done again.")
    output.show_fields(transfer_fields(answer.body, when="then" if answer.replayed else "now"))


def transfer_fields(transfer: Transfer, *, when: str = "now") -> list[tuple[str, str]]:
    """A transfer line by line; `when` is when the balances were those after it."""
    money = transfer["money"]
    fields = [
        ("Transfer", transfer["id"]),
        ("Kind", transfer["kind"]),
        ("From", _side(transfer, "from", when)),
        ("To", _side(transfer, "to", when)),
        ("Amount", f"{money['amount']} {money['asset']}"),
        ("Reference", transfer["reference"]),
        ("Description", transfer["description"]),
        ("Metadata", ", ".join(f"{name}={text}" for name, text in transfer["metadata"].items())),
        ("Effective at", transfer["effective_at"]),
        ("Recorded at", transfer["recorded_at"]),
    ]
    return [(name, text) for name, text in fields if text]


def _side(transfer: Transfer, side: str, when: str) -> str:
    balance = transfer.get(f"{side}_balance")
    wallet: str = transfer[side]
    return wallet if balance is None else f"{wallet} ({when} {balance} {transfer['money']['asset']})"
