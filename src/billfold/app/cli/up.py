"""`billfold up`, `down`, `status` and `reset`: the stack of one data folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from billfold.app import cli, messaging, settings
from billfold.app.cli import direct, exits, options, output
from billfold.app.migrate import migrate
from billfold.app.supervisor import ports, record, roles, stack
from billfold.app.supervisor.additions import Additions
from billfold.kernel import errors
from billfold.platform import host

#: Longer than all programs of the stack may take to stop one after the other.
DOWN_TIMEOUT_S = 150.0
POLL_S = 0.05
#: How long the start waits for a Cassandra to make tables in.
HISTORY_PATIENCE_S = 5.0


class StillStopping(errors.Unavailable):
    """The stack has not stopped in time; look at its log."""

    code = "still_stopping"


class Profile(StrEnum):
    """What a stack is made of."""

    MINIMAL = "minimal"
    FULL = "full"


def up(
    config: options.Config = None,
    data: options.Data = None,
    profile: Annotated[
        Profile, typer.Option("--profile", help="full adds Redis, Cassandra and the ledger as a role of its own.")
    ] = Profile.MINIMAL,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Chains of this machine's own: Bitcoin, Ethereum, Solana and Stellar.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Start PostgreSQL, NATS and all roles, and keep them running until Ctrl-C, SIGTERM or `billfold down`.

    With another broker.kind the broker is yours, and no NATS is started.

    What the profile full adds and this machine has not is left out, and told. Maven fetches Cassandra when it is first
    wanted, and Java runs it; Redis is Debian's. Profiles may be changed from start to start: no money is anywhere but
    in PostgreSQL.

    The chains of the sandbox start while the stack serves already, and keep their blocks; `billfold chain` plays with
    them. Their money is none.

    With --json the ready stack is one JSON document on standard output, and the log goes to standard error.
    """
    loaded = options.load(config, data)
    log = sys.stderr if json else sys.stdout
    colour = log.isatty() and "NO_COLOR" not in os.environ
    direct.begin_here()
    parts = _parts(loaded.settings)
    if profile is Profile.FULL:
        parts = replace(parts, profile=profile, additions=_additions(loaded, log))
    if sandbox:
        chains = _chains(loaded, log)
        # Where none of them can be had there is nothing to sign.
        needs_keys = bool(chains.late) and loaded.settings.signer.address is None
        parts = replace(parts, additions=parts.additions + chains, signer=parts.signer or needs_keys)
    running = stack.Stack(loaded, parts, log=log, colour=colour)
    asyncio.run(running.run(ready=output.print_json if json else _show_ready))


def down(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Stop the running stack and wait until it has stopped. What a killed one has left running is ended too."""
    data_dir = options.load(config, data).settings.data_dir
    pid = record.running_pid(data_dir)
    if pid is None:
        _end_leftovers(data_dir, json=json)
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while record.running_pid(data_dir) == pid:
        if time.monotonic() > deadline:
            raise StillStopping(f"The stack has not stopped within {DOWN_TIMEOUT_S:.0f} seconds; look at its log.")
        time.sleep(POLL_S)
    if json:
        output.print_json({"stopped": pid})
    else:
        typer.echo(f"The stack in {data_dir} has stopped.")


def _end_leftovers(data_dir: Path, *, json: bool) -> None:
    """End what a killed stack has left running.

    Raises:
        NotRunning: nothing.
        LeftoverProcess: it can't be ended.
    """
    left = record.leftovers(data_dir)
    if not left:
        raise record.NotRunning(f"No stack runs in {data_dir}; there is nothing to stop.")
    with record.locked(data_dir):
        asyncio.run(stack.end_leftovers(data_dir))
    if json:
        output.print_json({"stopped": None, "leftovers_ended": left})
    else:
        typer.echo(f"No stack runs in {data_dir}, but one that was killed had left {', '.join(left)}: ended.")


def status(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Show the running stack: its processes, addresses, and whether the API is ready."""
    tree = options.load(config, data).settings
    found = record.read(tree.data_dir)
    ready, key_refused = asyncio.run(_probe(found))
    if json:
        shown = {name: getattr(found, name) for name in found.__struct_fields__ if name not in record.SECRETS}
        shown["settings"] = found.shown_settings()
        output.print_json({"ready": ready, "api_key_refused": key_refused, **shown})
    else:
        _show_parts(found)
        output.show_fields([("Ready", "yes" if ready else "no"), *_addresses(found)], indent="  ")
        if key_refused:
            typer.echo(f"The sandbox API key is refused: it was revoked. {record.NEW_KEY_ADVICE}")
    if not ready:
        raise typer.Exit(exits.FAILED)


async def _probe(found: record.StackRecord) -> tuple[bool, bool]:
    return await asyncio.gather(
        roles.answers(f"{found.api_url}/readyz", found.tls_certificate),
        roles.refuses_key(found.api_url, found.api_key, found.tls_certificate),
    )


def reset(
    config: options.Config = None,
    data: options.Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete all money and history of the data folder. Asks first. The stack must be stopped."""
    data_dir = options.load(config, data).settings.data_dir
    if not data_dir.is_dir() or not any(data_dir.iterdir()):
        typer.echo(f"There is no data in {data_dir}.")
        return
    host.check_folder(data_dir)
    if (pid := record.running_pid(data_dir)) is not None:
        raise record.AlreadyRunning(
            f"A stack already runs in {data_dir} as process {pid}; stop it with `billfold down` first."
        )
    if not yes:
        typer.confirm(f"Delete {data_dir} with every account, transfer and event in it?", abort=True)
    with record.locked(data_dir):
        asyncio.run(stack.end_leftovers(data_dir))
        # The folder itself may be a mount point, and stays.
        for place in data_dir.iterdir():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    typer.echo(f"{data_dir} is empty now.")


def _parts(tree: settings.Settings) -> stack.Parts:
    sink = (roles.MAIL_SINK,) if ports.has_mail_sink(tree) else ()
    return stack.Parts(
        roles=(roles.API, roles.WORKER, *sink),
        migrate=migrate,
        prepare=_prepare,
        sandbox=_sandbox,
        catch_up=_catch_up,
        signer=_has_chains(tree) and tree.signer.address is None,
    )


def _has_chains(tree: settings.Settings) -> bool:
    """Whether any chain is served, so that keys are needed."""
    return any(chain.urls is not None for chain in (tree.bitcoin, tree.ethereum, tree.solana, tree.stellar))


def _additions(loaded: settings.Loaded, log: TextIO) -> Additions:
    """Imported for those who want it: what it starts is no part of a smaller stack."""
    from billfold.app.supervisor import full  # noqa: PLC0415

    return full.plan(loaded, say=lambda text: print(f"billfold: {text}", file=log, flush=True))


def _chains(loaded: settings.Loaded, log: TextIO) -> Additions:
    """Imported for those who want them."""
    from billfold.app.supervisor import chains  # noqa: PLC0415

    return chains.plan(loaded, say=lambda text: print(f"billfold: {text}", file=log, flush=True))


async def _prepare(tree: settings.Settings) -> None:
    """A copy of the history that can't have its tables now keeps nobody from moving money."""
    if tree.history.kind == "cql":
        from billfold.app import history  # noqa: PLC0415 - as below
        from billfold.platform.cql import CqlUnavailable  # noqa: PLC0415
        from billfold.platform.telemetry import logs  # noqa: PLC0415

        # To standard error: with --json the standard output is the stack's.
        logs.configure(role="up", level="error", form=tree.log.format)
        try:
            await history.make_tables(tree.history, patience_s=HISTORY_PATIENCE_S)
        except CqlUnavailable as error:
            typer.echo(f"billfold: {error.detail} `billfold migrate` makes its tables later.", err=True)


async def _catch_up(tree: settings.Settings, added: Collection[str], say: Callable[[str], None]) -> None:
    """Imported where there is something to copy."""
    await _tell_of_broker(tree, say)
    if added:
        from billfold.app import catching_up  # noqa: PLC0415

        await catching_up.run(tree, added, say)


async def _tell_of_broker(tree: settings.Settings, say: Callable[[str], None]) -> None:
    """A broker of yours that is away keeps nobody from moving money, so it is easily overlooked."""
    if tree.broker.kind == "nats":
        return
    try:
        async with messaging.of(tree).connected(name="billfold up"):
            pass
    except errors.Unavailable as error:
        say(
            f"{tree.broker.kind} at {messaging.shown_place(tree)} is away: money moves without it, and events wait for "
            f"it. {error.detail}"
        )


async def _sandbox(tree: settings.Settings) -> stack.Sandbox:
    """Imported when the roles have begun to import the same in their processes: it takes nearly as long as they do."""
    from billfold.app import sandbox  # noqa: PLC0415

    return await sandbox.prepare(tree)


def _show_ready(found: record.StackRecord) -> None:
    took_s = time.monotonic() - cli.BEGUN_S
    typer.echo(f"Billfold is up ({took_s:.1f} s)\n")
    if found.profile != Profile.MINIMAL or found.starting or found.left_out:
        _show_parts(found)
        typer.echo()
    output.show_fields(_addresses(found), indent="  ")
    typer.echo(f"\nMove some money:\n\n{found.example}\n")


def _show_parts(found: record.StackRecord) -> None:
    """Each part with its process and address, and what is left out with the reason."""
    parts = {"billfold": found.pid, **found.processes}
    rows = [(name, "runs", str(pid), found.addresses.get(name, "")) for name, pid in parts.items()]
    rows += [(name, "starts", "", found.addresses[name]) for name in found.starting]
    others = found.addresses.keys() - parts.keys() - found.left_out.keys() - set(found.starting)
    rows += [(name, "yours", "", found.addresses[name]) for name in sorted(others)]
    rows += [(name, "left out", "", "") for name in found.left_out]
    output.print_table(("part", "state", "pid", "address"), rows)
    for name, why in found.left_out.items():
        typer.echo(f"{name} is left out: {why}.")


def _addresses(found: record.StackRecord) -> list[tuple[str, str]]:
    metrics = [(f"Metrics of {role}", url) for role, url in found.metrics_urls.items()]
    sink = [] if found.mail_sink_url is None else [("Mails", found.mail_sink_url)]
    return [
        ("API", found.api_url),
        ("Docs", found.docs_url),
        ("Accounts", found.account_url),
        *sink,
        *metrics,
        ("Data folder", found.data_dir),
        ("Sandbox API key", found.api_key),
    ]
