"""`billfold users grant-role`: a role that is given at the database itself, without another person's approval.

So the first administrators come about: through the API, nobody could give them the role, or approve it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import direct, options, output


def grant_role(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address with which the person has registered.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="Such as admin.")],
    *,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Give a person a role, at the database itself. So the first administrators come about.

    They keep the roles that they have. But compliance, treasurer and admin replace user and service.
    """
    user = asyncio.run(_granted(email, role, config=config, data=data))
    if json:
        output.print_json(user)
    else:
        typer.echo(f"{output.printable(user['display_name'])} ({user['email']}) is {', '.join(user['roles'])} now.")
        if "user" not in user["roles"]:
            typer.echo("That is instead of user: for money of their own they need another account.")


async def _granted(email: str, role: str, *, config: Path | None, data: Path | None) -> dict[str, Any]:
    from billfold.app import container  # noqa: PLC0415 - the contexts are imported where they are needed alone.
    from billfold.identity import contracts  # noqa: PLC0415

    known = next((known for known in contracts.ROLES if known == role), None)
    if known is None:
        raise typer.BadParameter(f"There is no role {role!r}; there are {', '.join(contracts.ROLES)}.")
    async with container.opened(direct.database_settings(config, data), name="billfold users") as parts:
        user = await parts.identity.staff.grant(email=email, role=known)
    found: dict[str, Any] = msgspec.to_builtins(user)
    return found
