"""`billfold users`: yourself, and for staff the people they look after."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, devices, granting, money, options, output
from billfold.app.client import Api

app = commands.group("users")
app.command("grant-role")(granting.grant_role)

UserId = Annotated[str, typer.Argument(metavar="USER", help="The person's id, as `billfold users list` shows it.")]


@app.command("me")
@client.command
async def me(api: Api, json: options.Json = False) -> None:
    """Show what is known of yourself."""
    _show(await api.get("/users/me"), json=json)


@app.command("change")
@client.command
async def change(
    api: Api,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Your name, which payers see.")] = None,
    locale: Annotated[str | None, typer.Option("--locale", metavar="TAG", help="The language of your mails.")] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", metavar="NAME", help="Such as Asia/Bangkok.")] = None,
    json: options.Json = False,
) -> None:
    """Change what is said of yourself; what is left out stays."""
    wanted = {"display_name": name, "locale": locale, "time_zone": time_zone}
    body = {field: value for field, value in wanted.items() if value is not None}
    if not body:
        raise typer.BadParameter("Say what to change: --name, --locale or --time-zone.")
    _show(await api.patch("/users/me", body), json=json)


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    email: Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="Only who has this address.")] = None,
    handle: Annotated[str | None, typer.Option("--handle", metavar="HANDLE", help="Only who has this @handle.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List the people there are, the newest first; for staff."""
    found = await client.listed(api, "/users", {"email": email, "handle": handle}, limit=limit)
    if json:
        output.print_json(found)
        return
    if not found:
        typer.echo("Nobody. `billfold register` makes an account.")
        return
    rows = [
        (user["id"], user["display_name"], user["email"] or user["phone"] or "", " ".join(user["roles"]))
        for user in found
    ]
    output.print_table(("user", "name", "address", "roles"), [tuple(map(output.printable, row)) for row in rows])


@app.command("show")
@client.command
async def show(api: Api, user: UserId, json: options.Json = False) -> None:
    """Show a person; for staff."""
    _show(await api.get(f"/users/{user}"), json=json)


@app.command("roles")
@client.command
async def roles(
    api: Api,
    user: UserId,
    names: Annotated[list[str], typer.Argument(metavar="ROLE…", help="All roles that the person is to have.")],
    json: options.Json = False,
) -> None:
    """Give a person these roles and no others; for administrators, and another person has to approve it."""
    answer = await api.put(f"/users/{user}/roles", {"roles": names})
    if not money.show_if_pending(answer, json=json):
        _show(answer.body, json=json)


@app.command("sign-out")
@client.command
async def sign_out(api: Api, user: UserId, json: options.Json = False) -> None:
    """End all sessions of a person; for administrators. Their API keys stay."""
    await api.post(f"/users/{user}/sign-out", repeatable=True)
    if json:
        output.print_json({"signed_out": user})
    else:
        typer.echo(f"{user} is logged in nowhere any more.")


def _show(user: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(user)
        return
    fields = [
        ("User", user["id"]),
        ("Name", user["display_name"]),
        ("E-mail", user.get("email")),
        ("Phone", user.get("phone")),
        ("Language", user.get("locale")),
        ("Time zone", user.get("time_zone")),
        ("Roles", " ".join(user["roles"])),
        ("Second factors", ", ".join(user.get("factors") or ())),
        ("Since", user["created_at"]),
        ("Left at", user.get("closed_at")),
        *(
            ("Session", ", ".join((session["id"], device, session["address"], session["last_used_at"][:19])))
            for session in user.get("sessions") or ()
            for device in [devices.name(session["device"])]
        ),
    ]
    output.show_fields([(name, output.printable(text)) for name, text in fields if text])
