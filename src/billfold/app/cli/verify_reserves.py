"""`billfold verify-reserves`: checks a proof of reserves with the published file alone. No server is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from billfold.app.cli import exits, options, output
from billfold.app.cli.reserves import PUBLISHED
from billfold.custody.contracts import CheckedReserves, HolderProof, Reserves
from billfold.kernel import errors

T = TypeVar("T")

#: A file with all addresses of all chains is far smaller.
_BYTES_MAX = 64 * 1024 * 1024


class ReservesUnreadable(errors.BillfoldError):
    """The file is no proof of reserves."""

    code = "reserves_unreadable"


def verify_reserves(
    path: Annotated[Path, typer.Argument(metavar="FOLDER_OR_FILE", help="What was published.", show_default=False)],
    *,
    proof: Annotated[
        Path | None, typer.Option("--proof", metavar="FILE", help="Your wallet's own proof, to check as well.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Check a proof of reserves, and your own part in it, without a server.

    Whether a chain holds what the file says is for you to ask, of a node that you trust: addresses and heights are
    printed.
    """
    from billfold.chains import claims  # noqa: PLC0415 - the libraries of the chains take seconds.
    from billfold.custody import Refuted, check_holder_proof, check_reserves  # noqa: PLC0415

    published = _read(path / PUBLISHED if path.is_dir() else path, Reserves)
    mine = None if proof is None else _read(proof, HolderProof)
    try:
        checked = check_reserves(published, is_signed=claims.is_signed)
        if mine is not None:
            check_holder_proof(mine, published)
    except Refuted as refuted:
        output.print_json({"holds": False, "why": str(refuted)}) if json else typer.echo(
            output.printable(f"It does NOT hold: {refuted}"), err=True
        )
        raise typer.Exit(exits.FAULT_FOUND) from None
    if json:
        output.print_json(_told(published, checked, mine))
    else:
        for line in _lines(published, checked, mine):
            typer.echo(output.printable(line))


def _read(path: Path, kind: type[T]) -> T:
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise ReservesUnreadable(f"{path} is larger than any proof of reserves.")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ReservesUnreadable(f"{path} can't be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReservesUnreadable(f"{path} is not of the format: {error}.") from error


def _told(published: Reserves, checked: CheckedReserves, mine: HolderProof | None) -> dict[str, Any]:
    return {
        "holds": True,
        "snapshot": str(published.snapshot),
        "root": published.root,
        "signed_addresses": checked.addresses,
        "short": list(checked.short),
        "not_checked": "that the chains hold it, and that everybody is shown this root",
        "holder": None if mine is None else str(mine.holder),
        "counted": {} if mine is None else {step.asset: step.amount for step in mine.assets},
    }


def _lines(published: Reserves, checked: CheckedReserves, mine: HolderProof | None) -> Iterator[str]:
    scales = {one.asset: one.scale for one in published.assets}
    yield f"Proof of reserves {published.snapshot} of {published.at.isoformat()}, root {published.root}."
    for one in published.assets:
        owed, held = _shown(one.owed, one.scale), _shown(one.held, one.scale)
        verdict = "LESS than is owed" if one.asset in checked.short else "enough"
        yield f"{one.asset}: {owed} is owed, {held} is said to be held: {verdict}."
        if one.below_zero != "0":
            yield f"  Wallets below zero owe {_shown(one.below_zero, one.scale)}; it is not taken off what is owed."
    yield f"The root is that of these sums, and the keys of all {checked.addresses} addresses have signed it."
    if mine is not None:
        yield from _about(mine, scales)
    else:
        yield "No wallet's own proof was checked; --proof checks yours."
    yield "NOT checked: that everybody is shown this root. Compare it with the place where it was published for all."
    yield "NOT checked, because it takes a node: that the chains hold it. Ask one that you trust:"
    for part in published.chains:
        for address in part.addresses:
            amounts = ", ".join(
                f"{_shown(units, scales.get(asset, 0))} {asset}" for asset, units in address.amounts.items()
            )
            yield f"  {part.chain} ({part.network}), block {part.height}: {address.address} {amounts}"
        if part.left_out:
            yield f"  {part.chain}: {part.left_out} smaller addresses are not counted."


def _about(mine: HolderProof, scales: dict[str, int]) -> Iterator[str]:
    yield f"The wallet {mine.holder} is counted: compare its id, and these balances, with what you know."
    for step in mine.assets:
        yield f"  {_shown(step.amount, scales[step.asset])} {step.asset}"
    if not mine.assets:
        yield "  Nothing was owed to it. If that is wrong, this proof shows nothing for you."


def _shown(units: str, scale: int) -> str:
    """An amount in its display unit."""
    digits = units.rjust(scale + 1, "0")
    return digits if not scale else f"{digits[:-scale]}.{digits[-scale:]}"
