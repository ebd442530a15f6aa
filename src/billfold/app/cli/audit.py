"""`billfold audit`: what was done, and the proof that nobody has changed the record of it.

`list` and `prove` ask the API, `export`, `heads`, `key`, `rotate-key` and `feed-again` the audit's own database.
`verify` asks nobody: it takes a file and public keys.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, commands, direct, exits, options, output, progress
from billfold.app.client import Api
from billfold.kernel import paging

if TYPE_CHECKING:
    from billfold.audit import Audit
    from billfold.audit.contracts import Checked

app = commands.group("audit")

#: Of so many bytes a progress bar is moved on.
_BLOCK = 1 << 20
_HEADS_SHOWN = 10
_FAULTS_SHOWN = 20
File = Annotated[Path, typer.Argument(metavar="EXPORT", exists=True, dir_okay=False, help="The file to check.")]


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Of this type, or that begin so, such as wallet.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="OWNER", help="Done by them.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="OWNER", help="About what is theirs.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="ID", help="About exactly this.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", metavar="CODE", help="done, or a refusal's code.")] = None,
    since: options.Since = None,
    until: options.Until = None,
    own: Annotated[bool, typer.Option("--own", help="Your own records, which takes a login and no role.")] = False,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what was done, the newest first. Everybody's takes the role auditor."""
    asked = {"type": kind, "actor": actor, "owner": owner, "subject": subject, "outcome": outcome}
    asked |= {"since": since, "until": until}
    if own and any(asked.values()):
        raise typer.BadParameter("--own goes without other filters.", param_hint="--own")
    found = await client.listed(api, "/audit/records" if own else "/admin/audit/records", asked, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No records.")
    else:
        columns = ("position", "time", "type", "outcome", "by", "from", "about")
        output.print_table(columns, [_row(record) for record in found])


@app.command("prove")
@client.command
async def prove(
    api: Api,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="The id of the record.")],
    own: Annotated[bool, typer.Option("--own", help="One of your own, which takes a login and no role.")] = False,
    json: options.Json = False,
) -> None:
    """Print a record and the proof that it is sealed on one line, as `billfold audit verify` takes it."""
    found = await api.get(f"{'/audit/records' if own else '/admin/audit/records'}/{record}")
    if json:
        output.print_json(found)
    else:
        typer.echo(msgspec.json.encode(found).decode())


@app.command("export")
def export(
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write there; it must not be there.")] = None,
    seal: Annotated[
        bool, typer.Option("--seal", help="First seal what was recorded since; it takes the master keys.")
    ] = False,
    json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Write every sealed record and signed head, as `billfold audit verify` takes it, to standard output or a file."""
    written = asyncio.run(_export(config, data, to, seal=seal))
    if to is None:
        return
    if json:
        output.print_json({"file": str(to), "lines": written})
    else:
        typer.echo(f"{written:,} lines are in {to}.")


@app.command("heads")
def heads(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="How many at most.")] = _HEADS_SHOWN,
    json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Print signed heads, the newest first. Keep one, and you can tell later that nothing before it was changed."""
    found = output.newest(asyncio.run(_heads(config, data, limit + 1)), limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("Nothing is sealed yet.")
    else:
        typer.echo("\n".join(head.note for head in found), nl=False)


@app.command("key")
def key(json: options.Json = False, config: options.Config = None, data: options.Data = None) -> None:
    """Print the public keys that heads are checked with, the newest first. Keep them apart from this machine."""
    found = asyncio.run(_keys(config, data))
    if json:
        output.print_json({"keys": found})
    else:
        typer.echo("\n".join(found) if found else "Nothing is sealed yet.")


@app.command("rotate-key")
def rotate_key(
    lost: Annotated[
        bool, typer.Option("--lost", help="The old key can't be opened any more: its master key is lost.")
    ] = False,
    json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Have a new key sign from now on, and print its public half. The old one stays good for what it has signed.

    It takes the master keys. Whoever checks the audit needs both keys from now on.
    """
    new = asyncio.run(_rotated(config, data, lost=lost))
    if json:
        output.print_json({"key": new})
    else:
        typer.echo(new)


@app.command("feed-again")
def feed_again(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="Its name in the settings, such as mongodb.")],
    json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Have a worker copy every record to a sink again, after it lost some. What it has stays as it is."""
    records = asyncio.run(_fed_again(config, data, sink))
    if json:
        output.print_json({"sink": sink, "records": records})
    else:
        typer.echo(f"{sink} is fed {records:,} records, from the first record on.")


@app.command("verify")
def verify(
    export: File,
    keys: Annotated[
        list[str], typer.Option("--key", metavar="KEY", help="A public key, or a file with some; it may be repeated.")
    ],
    heads: Annotated[
        Path | None,
        typer.Option("--heads", metavar="FILE", exists=True, dir_okay=False, help="Heads that were published."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Check an export, or the proof of a record, with nothing but public keys: no database, no network.

    Exit code 4 means that something was changed, removed, inserted or reordered, or signed by a key that was not given.
    """
    found = _verified(export, keys, heads)
    if json:
        output.print_json(found)
    else:
        _show(found, compared=heads is not None)
    if found.faults:
        raise typer.Exit(exits.FAULT_FOUND)


def _verified(export: Path, keys: Sequence[str], heads: Path | None) -> Checked:
    from billfold import audit  # noqa: PLC0415 - the help needs none of it.

    trusted = [one for given in keys for one in _lines_of(given)]
    known = heads.read_text(encoding="utf-8") if heads is not None else None
    with export.open("rb") as file, progress.bar("Export") as advance:
        size = export.stat().st_size

        def lines() -> Iterator[bytes]:
            done = shown = 0
            for line in file:
                done += len(line)
                if done - shown > _BLOCK:
                    shown = done
                    advance(done, size, "")
                yield line.rstrip(b"\n")

        return audit.verify(lines(), keys=trusted, heads=known)


def _lines_of(given: str) -> list[str]:
    """The keys in a file, or the one that was given itself."""
    if "+" in given:
        return [given]
    file = Path(given)
    if not file.is_file():
        raise typer.BadParameter(f"{given!r} is no public key, and there is no such file.", param_hint="--key")
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _show(found: Checked, *, compared: bool) -> None:
    fields = [("Records", f"{found.records:,}"), ("Sealed", f"{found.sealed:,}"), ("Signed heads", f"{found.heads:,}")]
    if found.sealed_at is not None:
        fields.append(("Newest head of", found.sealed_at))
    if compared:
        fields.append(("Kept heads", f"{found.kept:,} fit"))
    output.show_fields(fields)
    if not found.faults:
        typer.echo("Every record is as it was sealed.")
        # A proof is of one head, which may be of another size than all that were kept.
        if found.kept == 0:
            typer.echo("Whether it was sealed anew, only heads that were kept elsewhere can tell: see --heads.")
        return
    if found.heads == 0:
        typer.echo("This is no whole export, and no proof: it has no signed head.")
    elif found.unknown_signer:
        typer.echo("Signed by a key that was not given: one is missing, or somebody else has signed it.")
        typer.echo("Whoever keeps the audit has all keys: see `billfold audit key`.")
    else:
        typer.echo("The record was tampered with.")
    typer.echo(f"Faults found: {len(found.faults):,}")
    # What was removed moves all that stands behind it.
    shown = [(str(fault.line), output.printable(fault.what)) for fault in found.faults[:_FAULTS_SHOWN]]
    output.print_table(("line", "fault"), shown)
    if len(found.faults) > _FAULTS_SHOWN:
        typer.echo(f"The first {_FAULTS_SHOWN} are shown; --json has all.")


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    origin = record["origin"]
    by = origin["user_id"] or origin["owner_id"] or origin["channel"]
    cells = (record["time"][:19], record["type"], record["outcome"], by, origin["address"], record["subject"])
    return (str(record["position"]), *(output.printable(cell) for cell in cells))


async def _export(config: Path | None, data: Path | None, to: Path | None, *, seal: bool) -> int:
    async with _opened(config, data) as audit:
        if seal:
            await audit.sealing.seal()
        with progress.bar("Records") as advance:
            lines = audit.reading.exported(progress=lambda done, total: advance(done, total, f"{done:,} of {total:,}"))
            if to is None:
                return await _written(lines, sys.stdout.buffer)
            try:
                file = to.open("xb")
            except OSError as error:
                raise typer.BadParameter(f"{to} can't be written: {error.strerror}.", param_hint="--to") from error
            with file:
                return await _written(lines, file)


async def _written(lines: AsyncIterator[bytes], file: Any) -> int:
    count = 0
    async for line in lines:
        file.write(line + b"\n")
        count += 1
    file.flush()
    return count


async def _heads(config: Path | None, data: Path | None, limit: int) -> list[Any]:
    async with _opened(config, data) as audit:
        found: list[Any] = []
        cursor = None
        while len(found) < limit:
            page = await audit.reading.heads(limit=min(limit - len(found), paging.LIMIT_MAX), cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found


async def _keys(config: Path | None, data: Path | None) -> list[str]:
    async with _opened(config, data) as audit:
        return await audit.sealing.public_keys()


async def _rotated(config: Path | None, data: Path | None, *, lost: bool) -> str:
    async with _opened(config, data) as audit:
        return await audit.sealing.rotate(lost=lost)


async def _fed_again(config: Path | None, data: Path | None, sink: str) -> int:
    async with _opened(config, data) as audit:
        return await audit.feeding.again(sink)


@asynccontextmanager
async def _opened(config: Path | None, data: Path | None) -> AsyncIterator[Audit]:
    """The audit of the settings, or of the stack that runs here.

    Raises:
        AuditNotKept, SettingInvalid, NotRunning
    """
    from billfold.app import container  # noqa: PLC0415
    from billfold.audit.errors import AuditNotKept  # noqa: PLC0415

    async with container.audited(direct.database_settings(config, data), name="billfold audit") as audit:
        if audit is None:
            raise AuditNotKept
        yield audit
