"""`billfold signer`: what is done at the signer's own machine, and by nobody else: policy, log, imports and backups.

These commands open the signer's database and its master keys themselves: of the running stack, or as the settings say.
No other process can ask for any of this.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import at_signer, commands, options, output, recipients
from billfold.kernel import ids
from billfold.signer.contracts import Entry, Limit, Tree

app = commands.group("signer")

_HOUR_S = 3_600
_UNITS = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)


class Network(StrEnum):
    """Which of a chain's networks."""

    MAIN = "main"
    TEST = "test"
    SANDBOX = "sandbox"


Chain = Annotated[str, typer.Argument(help="bitcoin, ethereum, solana or stellar.", show_default=False)]
OfNetwork = Annotated[Network, typer.Option("--network", help="Which of its networks.")]


@app.command("trees")
def trees(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """List the trees of keys, and what derives their addresses where the chain has such a thing."""
    found = at_signer.run(config, data, lambda signer: signer.trees())
    _show_trees(found, json=json)


@app.command("limits")
def limits(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """List how much may leave. Of what is not listed nothing leaves, but on a sandbox."""
    found = at_signer.run(config, data, lambda signer: signer.limits())
    if json:
        output.print_json([msgspec.to_builtins(limit) for limit in found])
        return
    rows = [
        (one.chain, one.network, one.token or "", str(one.per_transaction), str(one.per_window), f"{one.window_s} s")
        for one in found
    ]
    output.print_table(("chain", "network", "token", "per transaction", "per window", "window"), rows)


@app.command("policy")
def policy(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """List what is set beside limits: allow-lists and who is on them, warm addresses, and claims."""
    found = at_signer.run(config, data, lambda signer: signer.policy())
    if json:
        output.print_json([msgspec.to_builtins(one) for one in found])
        return
    rows = []
    for one in found:
        rows.append((one.chain, one.network, "allow-list", "on" if one.allow_list else "off"))
        rows += [(one.chain, one.network, "allowed", address) for address in one.allowed]
        rows += [(one.chain, one.network, "warm", address) for address in one.warm]
        rows.append((one.chain, one.network, "claims", "on" if one.claims else "off"))
    output.print_table(("chain", "network", "what", "is"), rows)


@app.command("limit")
def limit(
    chain: Chain,
    *,
    network: OfNetwork = Network.MAIN,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TOKEN", help="A contract, mint or CODE:ISSUER, not the coin.")
    ] = None,
    per_transaction: Annotated[str, typer.Option("--per-transaction", metavar="UNITS", help="In smallest units.")],
    per_window: Annotated[str, typer.Option("--per-window", metavar="UNITS", help="In smallest units.")],
    hours: Annotated[int, typer.Option("--hours", min=1, max=24 * 366, help="How long the window is.")] = 24,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Set how much of an asset may leave: by one transaction, with its fee, and within a rolling window of time."""
    wanted = Limit(
        chain=chain,
        network=network.value,
        token=token,
        per_transaction=_units(per_transaction, "--per-transaction"),
        per_window=_units(per_window, "--per-window"),
        window_s=hours * _HOUR_S,
    )
    at_signer.run(config, data, lambda signer: signer.set_limit(wanted))
    _say("It counts from now on", msgspec.to_builtins(wanted), json=json)


@app.command("allow-list")
def allow_list(
    chain: Chain,
    *,
    network: OfNetwork = Network.MAIN,
    off: Annotated[bool, typer.Option("--off", help="Pay anybody again.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Have a chain pay only destinations that `billfold signer allow` has named."""
    at_signer.run(config, data, lambda signer: signer.set_allow_list(chain, network.value, on=not off))
    said = "Anybody may be paid" if off else "Only destinations that are allowed are paid from now on"
    _say(said, {"chain": chain, "network": network.value, "allow_list": not off}, json=json)


@app.command("allow")
def allow(
    chain: Chain,
    address: Annotated[str, typer.Argument(help="An address of the chain.", show_default=False)],
    *,
    network: OfNetwork = Network.MAIN,
    remove: Annotated[bool, typer.Option("--remove", help="Not any more.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Let a destination be paid where an allow-list is on."""
    at_signer.run(config, data, lambda signer: signer.allow(chain, network.value, address, on=not remove))
    said = "It is not allowed any more" if remove else "It is allowed"
    _say(
        said,
        {"chain": chain, "network": network.value, "address": address, "allowed": not remove},
        json=json,
    )


@app.command("claims")
def claims(
    chain: Chain,
    *,
    network: OfNetwork = Network.MAIN,
    off: Annotated[bool, typer.Option("--off", help="No more.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Let addresses of a chain be claimed for proofs of reserves. Those of a sandbox always may."""
    at_signer.run(config, data, lambda signer: signer.allow_claims(chain, network.value, on=not off))
    said = "No address is claimed any more" if off else "Its addresses may be claimed for proofs of reserves"
    _say(said, {"chain": chain, "network": network.value, "claims": not off}, json=json)


@app.command("warm")
def warm(
    chain: Chain,
    address: Annotated[str, typer.Argument(help="An address of the chain.", show_default=False)],
    *,
    network: OfNetwork = Network.MAIN,
    remove: Annotated[bool, typer.Option("--remove", help="Not any more.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Know an address as your own, to which the surplus of the hot one goes, whatever the limits are."""
    at_signer.run(config, data, lambda signer: signer.set_warm(chain, network.value, address, on=not remove))
    said = "It is not a warm address any more" if remove else "The surplus may go there"
    _say(
        said,
        {"chain": chain, "network": network.value, "address": address, "warm": not remove},
        json=json,
    )


@app.command("log")
def log(
    *,
    first: Annotated[int, typer.Option("--first", min=0, help="The first line to show.")] = 0,
    limit: options.Limit = options.LIMIT_DEFAULT,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of it, and check that nothing is missing.")
    ] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Show what was signed and refused, or check that the log is whole."""
    if verify:
        count, last = at_signer.run(config, data, lambda signer: signer.verify_log())
        told = {"lines": count, "last_hash": last.hex()}
        output.print_json(told) if json else typer.echo(f"{count} lines, whole. The last one's hash: {last.hex()}")
        return
    lines = at_signer.run(config, data, lambda signer: signer.log(first=first, limit=limit))
    if json:
        output.print_json([msgspec.json.decode(line.content) for line in lines])
    else:
        rows = [(str(line.position), f"{line.at:%Y-%m-%d %H:%M:%S}", line.decision, _told(line)) for line in lines]
        output.print_table(("line", "time", "decision", "what"), rows)


@app.command("import")
def import_(
    chain: Chain,
    *,
    network: OfNetwork = Network.MAIN,
    tree: Annotated[
        str | None, typer.Option("--tree", metavar="TREE", help="The id that it gets; a new one when not given.")
    ] = None,
    with_passphrase: Annotated[bool, typer.Option("--passphrase", help="The words have a passphrase besides.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Keep a seed that you have as words (BIP-39). They are asked for and not shown, or read from standard input."""
    words, passphrase = at_signer.secret("Words"), at_signer.secret("Passphrase") if with_passphrase else ""
    tree_id = ids.new() if tree is None else ids.parse(tree)
    made = at_signer.run(
        config,
        data,
        lambda signer: signer.import_mnemonic(
            tree_id=tree_id, chain=chain, network=network.value, mnemonic=words, passphrase=passphrase
        ),
    )
    _show_trees([made], json=json)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; nothing is overwritten.")],
    *,
    shares: Annotated[int | None, typer.Option("--shares", min=2, max=255, help="Into how many shares.")] = None,
    needed: Annotated[int, typer.Option("--needed", min=2, max=255, help="How many of them open it.")] = 2,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Write all seeds to a file, under a passphrase that is asked for, or under a key that is split into shares.

    The shares are printed, one on each line: give each to somebody else. Nothing but the file and a passphrase, or the
    file and enough shares, opens it again.
    """
    if needed > (shares or needed):
        raise typer.BadParameter("It takes no more shares than there are.", param_hint="--needed")
    if shares is None:
        text = at_signer.secret("Passphrase", again=True)
        content, lines = at_signer.run(config, data, lambda signer: signer.backup(text=text)), []
    else:
        content, lines = at_signer.run(
            config, data, lambda signer: signer.backup_in_shares(threshold=needed, shares=shares)
        )
    at_signer.write_new(file, content)
    if json:
        output.print_json({"file": str(file), "shares": lines})
        return
    for line in lines:
        typer.echo(line)
    how = "" if shares is None else " --shares"
    typer.echo(f"{file} has all seeds. Try it: billfold custody restore-drill {file}{how}", err=True)


@app.command("restore")
def restore(
    file: at_signer.Backup,
    *,
    shares: Annotated[
        bool, typer.Option("--shares", help="Read shares from standard input, one on each line.")
    ] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Plant the trees of a backup again. Those that are there stay as they are."""
    content = file.read_bytes()
    text, lines = at_signer.opening(shares=shares)
    found = at_signer.run(config, data, lambda signer: signer.restore(content, text=text, shares=lines))
    _show_trees(found, json=json)


def _say(said: str, about: dict[str, Any], *, json: bool) -> None:
    """A sandbox is played on, and another network meant, so each says which."""
    at_signer.say(f"{said}, on {about['network']}.", about, json=json)


def _units(text: str, option: str) -> int:
    if _UNITS.fullmatch(text) is None:
        raise typer.BadParameter("It is a whole number of smallest units.", param_hint=option)
    return int(text)


def _show_trees(found: list[Tree], *, json: bool) -> None:
    if json:
        output.print_json([msgspec.to_builtins(tree) for tree in found])
    else:
        rows = [(str(one.id), one.chain, one.network, f"{one.created_at:%Y-%m-%d}", one.public or "") for one in found]
        output.print_table(("tree", "chain", "network", "made", "public"), rows)


def _told(line: Entry) -> str:
    said = msgspec.json.decode(line.content)
    if line.decision == "refused":
        return f"{said.get('chain', '')} {said['code']}"
    if line.decision == "signed":
        paid = ", ".join(
            f"{' '.join(filter(None, (one['amount'], one.get('token'))))} to {one['address']}"
            for one in said["payments"]
        )
        return output.printable(f"{said['chain']} {said['chain_tx']}: {paid}; fee up to {said['fee_max']}")
    if line.decision == "claimed":
        count = len(said["addresses"])
        return f"{said['chain']} {count} addresses for proof of reserves {said['request']}, root {said['root']}"
    # A limit is told with its fields as the rest is.
    fields = {**said, **said.get("limit", {})}
    hidden = ("v", "position", "at", "decision", "limit")
    return output.printable(", ".join(f"{name} {value}" for name, value in fields.items() if name not in hidden))


app.command("recipients")(recipients.list_)
app.command("recipient")(recipients.allow)
app.command("recipient-key")(recipients.make)
app.command("open-export")(recipients.open_)
