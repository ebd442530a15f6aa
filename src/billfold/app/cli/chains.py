"""`billfold chains`: how far each chain is read, and what the house has open on it."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, factors, money, options, output
from billfold.app.client import Api, ApiRefusal

app = commands.group("chains")

#: As many addresses as one request takes.
_AT_ONCE = 1_000
#: Where the API says that one of them is wrong.
_ADDRESS = re.compile(r"/addresses/(\d+)")
Chain = Annotated[str, typer.Argument(metavar="CHAIN", help="Which one, such as bitcoin.")]


class Purpose(StrEnum):
    """What addresses are for."""

    DEPOSIT = "deposit"
    HOT = "hot"


@app.command("list")
@client.command
async def list_(api: Api, json: options.Json = False) -> None:
    """List the chains that are served, and how far each is read."""
    found: list[dict[str, Any]] = (await api.get("/chains"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No chain is served: none has nodes in the settings.")
    else:
        rows = [
            (
                one["id"],
                one["network"],
                one["halted"] or one["status"],
                *(str(one[name]) if one[name] is not None else "" for name in ("height", "lag")),
                f"{one['credit_after']} / {one['release_after']}",
            )
            for one in found
        ]
        output.print_table(("chain", "network", "status", "height", "to read", "confirmations"), rows)
        for one in found:
            if one["partial_from"] is not None:
                typer.echo(
                    f"From block {one['partial_from']} on the nodes of {one['id']} do not show what contracts pay on."
                )


@app.command("resume")
@client.command
async def resume(
    api: Api,
    chain: Chain,
    json: options.Json = False,
) -> None:
    """Read on in a chain that was halted, with an operator's key. What it has taken back is taken back here, too."""
    state = (await api.post(f"/chains/{chain}/resume")).body
    if json:
        output.print_json(state)
    else:
        typer.echo(f"{state['id']} is read on from block {state['height']}.")


@app.command("rescan")
@client.command
async def rescan(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Which one, such as bitcoin.")],
    *,
    from_: Annotated[int, typer.Option("--from", metavar="HEIGHT", help="The first block that is read again.")],
    json: options.Json = False,
) -> None:
    """Read a chain that was halted anew from a block on, with an operator's key, when `resume` does not help."""
    state = (await api.post(f"/chains/{chain}/rescan", {"from": from_})).body
    if json:
        output.print_json(state)
    else:
        typer.echo(f"{state['id']} is read anew from block {from_}.")


@app.command("channels")
@client.command
async def channels(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Which one: stellar, solana.")],
    *,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", help="Have so many channels, with an operator's key.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show what the house has opened: Stellar's channels and trustlines, Solana's nonces; or have channels opened.

    The house pays what they are given.
    """
    if count is None:
        state = await api.get(f"/chains/{chain}")
    else:
        state = (await api.post(f"/chains/{chain}/channels", {"count": count}, repeatable=True)).body
    if json:
        output.print_json(state)
    elif not state["openings"]:
        typer.echo(f"The house has opened nothing on {chain}.")
    else:
        rows = [(one["kind"], one["subject"], one["state"], one["reason"]) for one in state["openings"]]
        output.print_table(("what", "which", "state", "why it waits"), rows)


@app.command("keys")
@client.command
async def keys(api: Api, chain: Chain, json: options.Json = False) -> None:
    """Show where the keys of a chain are, with an operator's key."""
    _show_keys(await api.get(f"/chains/{chain}/keys"), json=json)


@app.command("import-key")
@client.command
async def import_key(
    api: Api,
    chain: Chain,
    public_key: Annotated[str, typer.Argument(metavar="KEY", help="Of an account: zpub, xpub, vpub, tpub.")],
    *,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="HEX", help="Of the master key, such as 73c5da0a.")
    ] = None,
    code: factors.Code = None,
    json: options.Json = False,
) -> None:
    """Let all addresses of a chain follow from a public key, with an operator's key, or by two people."""
    body = {"public_key": public_key} | ({} if fingerprint is None else {"fingerprint": fingerprint.lower()})
    answer = await factors.confirmed(api, f"/chains/{chain}/keys/public", body, key=client.key(None), code=code)
    if not money.show_if_pending(answer, json=json):
        _show_keys(answer.body, json=json)


@app.command("import-addresses")
@client.command
async def import_addresses(
    api: Api,
    chain: Chain,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One address a line.", exists=True, dir_okay=False)],
    *,
    purpose: Annotated[
        Purpose, typer.Option("--purpose", help="deposit: for wallets. hot: the one that pays.")
    ] = Purpose.DEPOSIT,
    code: factors.Code = None,
    json: options.Json = False,
) -> None:
    """Add addresses whose keys are elsewhere, with an operator's key, or by two people."""
    text = file.read_text(encoding="utf-8").splitlines()
    lines = [(number, line.strip()) for number, line in enumerate(text, start=1) if line.strip()]
    if not lines:
        raise typer.BadParameter("there is no address in the file")
    found: dict[str, Any] | None = None
    for first in range(0, len(lines), _AT_ONCE):
        part = lines[first : first + _AT_ONCE]
        body = {"purpose": purpose.value, "addresses": [address for _, address in part]}
        path = f"/chains/{chain}/keys/addresses"
        try:
            answer = await factors.confirmed(api, path, body, key=client.key(None), code=code)
        except ApiRefusal as refusal:
            refusal.detail = _at_line(refusal, [number for number, _ in part])
            raise
        found = None if money.show_if_pending(answer, json=json) else answer.body
    if found is not None:
        _show_keys(found, json=json)


def _at_line(refusal: ApiRefusal, numbers: list[int]) -> str:
    """What is wrong, and in which line of the file where the API names an address."""
    for fault in refusal.document.get("errors") or ():
        place = _ADDRESS.fullmatch(fault.get("pointer") or "")
        if place is not None and int(place[1]) < len(numbers):
            return f"Line {numbers[int(place[1])]}: {refusal.detail}"
    return refusal.detail


def _show_keys(found: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(found)
        return
    left = found["addresses_left"]
    fields = [
        ("Chain", f"{found['chain']}, network {found['network']}"),
        ("Keys", {"signer": "in the signer", "elsewhere": "elsewhere"}[found["where"]]),
        ("Public key", found["public_key"] or ""),
        ("Fingerprint", found["fingerprint"] or ""),
        ("Pays from", found["hot"] or ""),
        ("Addresses left", "" if left is None else str(left)),
        ("Unsigned", str(found["unsigned"]) if found["where"] == "elsewhere" else ""),
    ]
    output.show_fields([(name, text) for name, text in fields if text])
