"""`billfold keys`: API keys, made through the API, and the first one of an owner at the database; and our own keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from billfold.app.cli import client, commands, direct, factors, options, output
from billfold.app.client import Api

app = commands.group("keys")


@app.command("list")
@client.command
async def list_(api: Api, limit: options.Limit = options.LIMIT_DEFAULT, json: options.Json = False) -> None:
    """List API keys, the newest first. Their texts are known to nobody but those who keep them."""
    found = await client.listed(api, "/api-keys", limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No API keys yet. Create one: billfold keys create NAME --scope wallets:read")
    else:
        rows = [
            (key["id"], key["name"], _state(key), (key["last_used_at"] or "never")[:19], " ".join(key["scopes"]))
            for key in found
        ]
        output.print_table(("key", "name", "state", "last used", "scopes"), rows)


@app.command("revoke")
@client.command
async def revoke(
    api: Api,
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, as `billfold keys list` shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json: options.Json = False,
) -> None:
    """Revoke an API key: within a second no server takes it any more. Asks first when it is the key in use."""
    if not yes and _is_in_use(api, key):
        with output.asking():
            typer.confirm("This is the key that you are using. Revoke it all the same?", abort=True, err=True)
    revoked = await api.delete(f"/api-keys/{key}")
    if json:
        output.print_json(revoked)
    else:
        typer.echo(f"{revoked['name']} ({revoked['id']}) is revoked.")


@app.command("create-master")
def create_master(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to keep it; nothing is overwritten.")],
    *,
    add: Annotated[
        bool, typer.Option("--add", help="Put a new key into a file that is there; those before still open.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Make the file of master keys (keys.file), which seal the secrets in the database. All roles need the same one."""
    from billfold.platform.keys import local  # noqa: PLC0415 - imported where it is needed alone.

    file = file.expanduser().absolute()
    key_id = local.add(file) if add else local.create(file)
    if json:
        output.print_json({"file": str(file), "key": key_id})
    else:
        typer.echo(f"{file} has the new master key {key_id}. Keep a copy apart from those of the database.")
        if add:
            typer.echo("Give the file to every role and start them again, the worker first.")


@app.command("rotate-signing")
def rotate_signing(
    *,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="For a key that has leaked: the new one signs at once, and within a second no access token that "
            "was given out before is accepted; whoever is logged in refreshes theirs.",
        ),
    ] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Replace the key that signs access tokens, at the database itself. The worker does so by itself now and then.

    The new key is published at once and signs some minutes later; the old one is accepted until its last token ends.
    """
    found = asyncio.run(_rotate_signing(config, data, at_once=now))
    if json:
        output.print_json(found)
    elif now:
        typer.echo(f"The new key {found['key']} signs now. The others are withdrawn, and their tokens refused.")
    else:
        typer.echo(f"The new key {found['key']} is published, and signs from {found['signs_from']} on.")


@app.command("rewrap")
def rewrap(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Seal the signer's seeds anew under the newest master key, at the signer's own machine, while it goes on signing.

    Do so after a rotation, or after another provider was set (signer.provider). Broken off and called again it goes on
    where it was. When it is through, no seed needs an older master key any more.
    """
    done = asyncio.run(_rewrap(config, data))
    if json:
        output.print_json({"rewrapped": done})
    else:
        typer.echo(f"{done} seeds were sealed anew; all are under the newest master key.")


async def _rewrap(config: Path | None, data: Path | None) -> int:
    from billfold.app.cli import at_signer, progress  # noqa: PLC0415 - imported where they are needed alone.

    done = 0
    async with at_signer.opened(config, data) as opened:
        with progress.bar("seeds") as advance:
            async for done, total in opened.rewrap():
                advance(done, total, f"{done} of {total}")
    return done


async def _rotate_signing(config: Path | None, data: Path | None, *, at_once: bool) -> dict[str, str]:
    from billfold.app import container  # noqa: PLC0415 - the contexts are imported where they are needed alone.
    from billfold.kernel import clock  # noqa: PLC0415

    async with container.opened(direct.database_settings(config, data), name="billfold keys") as parts:
        made = await parts.identity.tokens.rotate(at_once=at_once)
    return {"key": made.id, "signs_from": clock.format(made.signs_from)}


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    *,
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help="What it may do; may be given often.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="From when on it is refused.")
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            "--owner",
            metavar="NAME",
            help="Whose key it is: made at the database itself, with every scope but those of staff if none is "
            "given. So the first key of an owner comes about.",
        ),
    ] = None,
    operator: Annotated[
        bool,
        typer.Option(
            "--operator",
            help="Let it act on what belongs to anybody: the scope operator, and without --scope all those of staff.",
        ),
    ] = False,
    idempotency_key: client.IdempotencyKey = None,
    code: factors.Code = None,
    url: client.Url = None,
    api_key: client.Key = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Create an API key and show its text, this once."""
    scopes = _scopes(scopes, operator=operator, all_others=owner is not None)
    if owner is not None:
        created = asyncio.run(
            _at_database(owner, name=name, scopes=scopes, expires_at=expires_at, config=config, data=data)
        )
    else:
        body = {"name": name, "scopes": scopes} | ({} if expires_at is None else {"expires_at": expires_at})

        async def post(api: Api) -> dict[str, Any]:
            answer = await factors.confirmed(api, "/api-keys", body, key=client.key(idempotency_key), code=code)
            return answer.body  # type: ignore[no-any-return]

        created = client.call(post, url=url, api_key=api_key, config=config, data=data)
    if json:
        output.print_json(created)
    else:
        _show(created)


def _is_in_use(api: Api, key_id: str) -> bool:
    from billfold.identity import Identity  # noqa: PLC0415 - imported where it is needed alone.

    used = None if api.key is None else Identity.id_in_key(api.key)
    return used is not None and str(used) == key_id.lower()


async def _at_database(
    owner_name: str,
    *,
    name: str,
    scopes: list[str],
    expires_at: str | None,
    config: Path | None,
    data: Path | None,
) -> dict[str, Any]:
    from billfold.app import container  # noqa: PLC0415 - the contexts are imported where they are needed alone.
    from billfold.identity import contracts, errors  # noqa: PLC0415
    from billfold.kernel import clock  # noqa: PLC0415

    async with container.opened(direct.database_settings(config, data), name="billfold keys") as parts:
        try:
            owner, is_new = await parts.identity.keys.find_owner(name=owner_name), False
        except errors.OwnerUnknown:
            owner, is_new = await parts.identity.keys.create_owner(name=owner_name), True
        grant = contracts.Grant(
            owner_id=UUID(owner.id),
            name=name,
            scopes=frozenset(scopes),
            expires_at=None if expires_at is None else clock.parse(expires_at),
        )
        created, _ = await parts.identity.keys.create_key(by=None, grant=grant)
    found: dict[str, Any] = msgspec.to_builtins(created)
    return found | {"owner_is_new": is_new}


def _scopes(given: list[str] | None, *, operator: bool, all_others: bool) -> list[str]:
    """What the key may do. An operator's rights are given by name only: they reach what belongs to others."""
    from billfold.identity import contracts  # noqa: PLC0415 - imported where it is needed alone.

    unknown = set(given or ()) - contracts.KEY_SCOPES
    if unknown:
        known = ", ".join(scope for scope in contracts.SCOPES if scope in contracts.KEY_SCOPES)
        raise typer.BadParameter(f"There is no scope {unknown.pop()!r}; there are {known}.", param_hint="--scope")
    if not given and not all_others:
        raise typer.BadParameter("Say what the key may do, such as --scope wallets:read.", param_hint="--scope")
    wanted = set(given or contracts.KEY_SCOPES - contracts.STAFF)
    if operator:
        wanted |= {contracts.OPERATOR} if given else contracts.STAFF
    return sorted(wanted)


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    return "usable" if key["expires_at"] is None else f"until {key['expires_at'][:19]}"


def _show(created: dict[str, Any]) -> None:
    output.show_fields(
        [
            ("Key", created["key"] or "(it was shown when this was first done; revoke it if it is lost)"),
            ("Id", created["id"]),
            ("Name", created["name"]),
            ("Owner", created["owner_id"]),
            ("Scopes", " ".join(created["scopes"])),
            *([("Expires at", created["expires_at"])] if created["expires_at"] is not None else []),
        ]
    )
    if created.get("owner_is_new"):
        typer.echo("There was no owner of exactly this name: a new one was made, who has no wallets yet.")
    if created["key"] is not None:
        typer.echo("Keep the key now: it is not shown again.")
