"""For whom the signer seals seeds: said at its own machine. The keys are made, and used, where the recipients are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from billfold.app.cli import at_signer, options, output

#: Of X25519, private or public.
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)


def list_(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """List for whom seeds may be sealed. Without one none is ever given out."""
    found = at_signer.run(config, data, lambda signer: signer.exports.recipients())
    if json:
        output.print_json([{"name": one.name, "public_key": one.public_key.hex()} for one in found])
    else:
        rows = [(one.name, one.public_key.hex(), f"{one.created_at:%Y-%m-%d}") for one in found]
        output.print_table(("recipient", "public key", "since"), rows)


def allow(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and hyphens.")],
    public_key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="What `billfold signer recipient-key` has printed.")
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Not any more.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Let seeds be given out that are sealed for this key, after a treasurer has asked and another person approved."""
    if remove:
        at_signer.run(config, data, lambda signer: signer.exports.remove(name))
    else:
        key = _public_key(public_key or "")
        at_signer.run(config, data, lambda signer: signer.exports.allow(name, key))
    said = "Nothing is sealed for it any more." if remove else "Seeds may be sealed for it."
    at_signer.say(said, {"name": name, "allowed": not remove}, json=json)


def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; nothing is overwritten.")],
    *,
    json: options.Json = False,
) -> None:
    """Make a key that seeds can be sealed for, where nobody else gets at it, and print the public one."""
    from billfold.platform.keys import recipients as keys  # noqa: PLC0415 - imported where it is needed alone.

    private = keys.private_key()
    at_signer.write_new(file, private.hex().encode() + b"\n")
    public = keys.public_key(private).hex()
    at_signer.say(public, {"public_key": public}, json=json)


def open_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The package, as the API gave it.")],
    *,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="What `recipient-key` has written.")],
    json: options.Json = False,
) -> None:
    """Print the seed that is in a package, and its words. It asks nobody: do it on a machine without a network."""
    from billfold.platform import secrecy  # noqa: PLC0415 - imported where it is needed alone.
    from billfold.signer import opened as in_package  # noqa: PLC0415

    secrecy.keep()
    found = in_package(file.read_bytes(), private=_private_key(key))
    if json:
        output.print_json({"words": found.words, "passphrase": found.passphrase, "seed": found.seed})
    else:
        output.show_fields([("Words", found.words or "it was made of none"), ("Seed", found.seed)])
        if found.passphrase:
            typer.echo("The words make this seed only with the passphrase that they were imported with.")


def _public_key(text: str) -> bytes:
    if _KEY.fullmatch(text) is None:
        raise typer.BadParameter("It has 64 hexadecimal digits.", param_hint="KEY")
    return bytes.fromhex(text)


def _private_key(file: Path) -> bytes:
    """Nothing of it is repeated, whatever it is."""
    text = file.read_text(encoding="ascii", errors="replace").strip()
    if _KEY.fullmatch(text) is None:
        raise typer.BadParameter(f"{file} is no key of a recipient.", param_hint="--key")
    return bytes.fromhex(text)
