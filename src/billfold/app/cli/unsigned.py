"""`billfold unsigned`: what is signed by keys that are elsewhere. Each command takes an operator's key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, factors, money, options, output
from billfold.app.client import Api

app = commands.group("unsigned")

Transaction = Annotated[str, typer.Argument(metavar="TRANSACTION", help="Its id, as `list` shows it.")]


@app.command("list")
@client.command
async def list_(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Such as bitcoin.")],
    json: options.Json = False,
) -> None:
    """List what waits for signatures from elsewhere."""
    found: list[dict[str, Any]] = (await api.get(f"/chains/{chain}/unsigned"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("Nothing waits for signatures.")
    else:
        rows = [
            (
                one["id"],
                one["kind"],
                ", ".join(_payment(each) for each in one["payments"]),
                f"{one['fee']['amount']} {one['fee']['asset']}",
                one["exported_at"] or "",
            )
            for one in found
        ]
        output.print_table(("transaction", "kind", "pays", "fee at most", "exported at"), rows)


@app.command("export")
@client.command
async def export(
    api: Api,
    transaction: Transaction,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Write what is to be signed here.", dir_okay=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Hand a transaction out to be signed."""
    found = (await api.post(f"/unsigned/{transaction}/export")).body
    if file is not None:
        file.write_text(found["unsigned"] + "\n", encoding="utf-8")
    if json:
        output.print_json(found)
    elif file is None:
        typer.echo(found["unsigned"])
    else:
        _show(found)


@app.command("import")
@client.command
async def import_(
    api: Api,
    transaction: Transaction,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What was signed.", exists=True, dir_okay=False)],
    json: options.Json = False,
) -> None:
    """Hand a signed transaction in, to be sent."""
    body = {"signed": file.read_text(encoding="utf-8").strip()}
    found = (await api.post(f"/unsigned/{transaction}/signed", body)).body
    if json:
        output.print_json(found)
    else:
        typer.echo(f"It is sent as {found['chain_tx']}.")


@app.command("discard")
@client.command
async def discard(
    api: Api,
    transaction: Transaction,
    *,
    nobody_signs: Annotated[
        bool,
        typer.Option("--nobody-signs", help="You know that nobody has sent it and nobody will.", show_default=False),
    ] = False,
    code: factors.Code = None,
    json: options.Json = False,
) -> None:
    """Give a transaction up that is not signed. What it pays waits for another."""
    if not nobody_signs:
        raise typer.BadParameter("where nodes can't say whether it was sent your word is taken: say --nobody-signs")
    path = f"/unsigned/{transaction}/discard"
    answer = await factors.confirmed(api, path, None, key=client.key(None), code=code)
    if money.show_if_pending(answer, json=json):
        return
    if json:
        output.print_json(answer.body)
    else:
        typer.echo("It is given up.")


def _show(found: dict[str, Any]) -> None:
    one = found["transaction"]
    fields = [
        ("Transaction", one["id"]),
        ("Chain", f"{one['chain']}, network {found['network']}"),
        *(("Pays", _payment(each)) for each in one["payments"]),
        ("Fee at most", f"{one['fee']['amount']} {one['fee']['asset']}"),
        *(("Key of", f"{each['address']} {each['path'] or ''}".rstrip()) for each in found["keys"]),
        ("Form", found["form"]),
        ("Good until", found["expires_at"] or ""),
        ("Good until block", "" if found["last_height"] is None else str(found["last_height"])),
    ]
    output.show_fields([(name, text) for name, text in fields if text])


def _payment(one: dict[str, Any]) -> str:
    return f"{one['money']['amount']} {one['money']['asset']} to {one['address']}"
