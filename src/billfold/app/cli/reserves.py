"""Commands of `billfold custody` about proofs of reserves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, options, output
from billfold.app.cli.statement import FileUnwritable
from billfold.app.client import Api
from billfold.kernel import errors

#: The name of the published file in its folder.
PUBLISHED = "reserves.json"
_PAUSE_S = 0.5
#: A tree of a million wallets takes some minutes.
_WAIT_MAX_S = 3_600.0

Snapshot = Annotated[
    str | None, typer.Option("--snapshot", metavar="ID", help="Which proof of reserves; the newest if not given.")
]


class ReservesFailed(errors.BillfoldError):
    """The proof of reserves could not be made."""

    code = "reserves_failed"


@client.command
async def prove_reserves(
    api: Api,
    *,
    asset: Annotated[
        list[str] | None,
        typer.Option("--asset", metavar="ASSET", help="Of this one alone; may be given several times."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write what is published.")],
    json: options.Json = False,
) -> None:
    """Prove that addresses of the house hold what all wallets are owed now, with an operator's key.

    Publish the folder as it is: it names nobody. Wallets get proofs of their own from `billfold custody reserve-proof`.
    """
    file = out / PUBLISHED
    if file.exists():
        raise FileUnwritable(f"{file} is there already; name another folder.")
    body = {} if not asset else {"assets": [one.upper() for one in asset]}
    found: dict[str, Any] = (await api.post("/reserves", body)).body
    try:
        async with asyncio.timeout(_WAIT_MAX_S):
            while found["status"] == "requested":
                await asyncio.sleep(_PAUSE_S)
                found = await api.get(f"/reserves/{found['id']}")
    except TimeoutError:
        raise ReservesFailed(f"It is not done yet: {found['reason']}") from None
    if found["status"] != "done":
        raise ReservesFailed(found["reason"])
    document = await api.get(f"/reserves/{found['id']}/document")
    _write(file, document)
    if json:
        output.print_json({"snapshot": found["id"], "root": found["root"], "file": str(file)})
        return
    typer.echo(f"{file} has proof of reserves {found['id']}, root {found['root']}.")
    typer.echo(f"Publish it, and let others check it: billfold verify-reserves {out}")


@client.command
async def list_(api: Api, json: options.Json = False) -> None:
    """List the proofs of reserves, the newest first."""
    found: list[dict[str, Any]] = (await api.get("/reserves"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("None was made yet. An operator makes one: billfold custody prove-reserves --out FOLDER")
    else:
        rows = [(one["id"], one["at"], one["status"], " ".join(one["assets"]), one["reason"]) for one in found]
        output.print_table(("snapshot", "time", "status", "assets", "why"), rows)


@client.command
async def reserve_proof(
    api: Api,
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="Your wallet's id, or your own external_id of it.")],
    *,
    snapshot: Snapshot = None,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it.")],
    json: options.Json = False,
) -> None:
    """Get the proof that your wallet was counted, to check with `billfold verify-reserves`. Keep it to yourself."""
    if out.exists():
        raise FileUnwritable(f"{out} is there already; name another file.")
    wanted = {} if snapshot is None else {"snapshot": snapshot}
    proof = await api.get(f"/wallets/{await client.wallet_id(api, wallet)}/reserve-proof", wanted)
    _write(out, proof)
    if json:
        output.print_json({"snapshot": proof["snapshot"], "file": str(out)})
    else:
        typer.echo(
            f"{out} has your proof in {proof['snapshot']}. Check it: billfold verify-reserves FILE --proof {out}"
        )


def _write(file: Path, content: object) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    except OSError as error:
        raise FileUnwritable(f"{file} can't be written: {error.strerror}.") from error
