"""`billfold statement`: all transactions of a period, written while they come."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from billfold.app.cli import client, options, progress
from billfold.app.client import Api
from billfold.kernel import errors


class FileUnwritable(errors.BillfoldError):
    """The file can't be written."""

    code = "file_unwritable"


class Format(StrEnum):
    """What a statement can be written as."""

    CSV = "csv"
    JSON = "json"


@client.command
async def statement(
    api: Api,
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="A wallet's id, or your own external_id of it.")],
    *,
    asset: Annotated[str | None, options.asset("If the wallet has several.")] = None,
    since: options.Since = None,
    until: options.Until = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there; it must not be there.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a wallet's statement: opening balance, every transaction with the balance after it, closing balance."""
    wanted = {"asset": asset, "since": since, "until": until, "format": Format.JSON if json else form}
    wallet_id = await client.wallet_id(api, wallet)
    async with api.stream(f"/wallets/{wallet_id}/statement", wanted) as chunks:
        if out is None:
            await _copy(chunks, sys.stdout.buffer, lambda _: None)
            sys.stdout.buffer.flush()
            return
        with _written(out) as file, progress.bar("Statement") as advance:
            size = await _copy(chunks, file, lambda done: advance(done, None, f"{done / 1e6:,.1f} MB"))
    typer.echo(f"The statement is in {out} ({size:,} bytes).", err=True)


async def _copy(chunks: AsyncIterator[bytes], file: BinaryIO, advance: Callable[[int], None]) -> int:
    done = 0
    async for chunk in chunks:
        file.write(chunk)
        done += len(chunk)
        advance(done)
    return done


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole: nobody takes half a statement for one. None is overwritten."""
    part = path.with_name(path.name + ".part")
    if path.exists():
        raise FileUnwritable(f"{path} is there already; name another file, or remove that one.")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise FileUnwritable(f"{path} can't be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
