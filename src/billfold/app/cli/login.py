"""`billfold register`, `verify`, `login`, `logout` and `whoami`: who you are at an API.

A password is typed unseen or read from standard input. It is never an argument: everybody on the machine can see those.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from typing import Annotated, Any

import typer

from billfold.app.cli import asking, client, exits, factors, options, output, places
from billfold.app.cli.places import Place
from billfold.app.client import Answer, Api, ApiRefusal, ApiUnreachable, GatewayFailed
from billfold.app.logins import Login, LoginEnded, Session
from billfold.kernel import errors

_UNAUTHORIZED = 401
_FORBIDDEN = 403
#: After so many wrong ones the API takes no code for that registration any more.
_CODES_MAX = 5
#: What a code that was mistyped is refused as: another one, or no code at all.
_MISTYPED = frozenset({"code_wrong", "invalid_value"})
Address = Annotated[
    str | None, typer.Argument(metavar="ADDRESS", help="Your e-mail address, or phone number like +66812345678.")
]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Your e-mail address, phone number or @handle.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="TEXT", help="What your list of sessions calls this machine, instead of its name."
    ),
]


class NotLoggedIn(errors.NotFound):
    """Nobody is logged in at this address; `billfold login` does that."""

    code = "not_logged_in"


def register(
    address: Address = None,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Your name, which payers see.")] = None,
    locale: Annotated[str, typer.Option("--locale", metavar="TAG", help="The language of your mails.")] = "en",
    time_zone: Annotated[str, typer.Option("--time-zone", metavar="NAME", help="Such as Asia/Bangkok.")] = "UTC",
    password_stdin: PasswordStdin = False,
    device: Device = None,
    url: client.Url = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Register: a code is sent to your address, and typing it here makes the account and logs you in.

    Without a terminal the code is given to `billfold verify`.
    """
    from billfold.identity import contracts  # noqa: PLC0415 - imported where it is needed alone.

    address = address or asking.line("E-mail address or phone number", or_else="give it as an argument")
    name = name or asking.line("Your name", or_else="give it with --name")
    body = {
        _kind(address): address,
        "password": asking.password(from_stdin=password_stdin, twice=True, at_least=contracts.PASSWORD_MIN),
        "display_name": name,
        "locale": locale,
        "time_zone": time_zone,
    }

    async def send(api: Api) -> dict[str, Any]:
        return (await api.post("/auth/register", body)).body  # type: ignore[no-any-return]

    place = places.find(url, None, config, data)
    awaited = client.run(place, send, api=place.anonymous)
    if json or not asking.at_a_terminal():
        _tell_awaited(awaited, json=json)
        return
    typer.echo(f"A code is on its way to {output.printable(address)}.", err=True)
    _type_code(place, awaited["id"], device=device)


def verify(
    registration: Annotated[str, typer.Argument(metavar="ID", help="What `billfold register` has answered.")],
    code: Annotated[str, typer.Argument(metavar="CODE", help="The digits that were sent.")],
    *,
    device: Device = None,
    url: client.Url = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Make the account that was asked for by `billfold register`, and log in."""
    _verify(places.find(url, None, config, data), registration, code, device=device, json=json)


def login(
    name: Name = None,
    *,
    password_stdin: PasswordStdin = False,
    code: factors.Code = None,
    device: Device = None,
    url: client.Url = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Log in: from now on commands at this address are yours, until `billfold logout`.

    The tokens are kept in the keyring of the system, or where there is none in a file that you alone can read. They
    are renewed by themselves.
    """
    place = places.find(url, None, config, data)
    name = name or asking.line("E-mail address, phone number or @handle", or_else="give it as an argument")
    body = {
        "login": name,
        "password": asking.password(from_stdin=password_stdin),
        "device": device or _device(),
    }

    async def send(api: Api) -> dict[str, Any]:
        answer = (await api.post("/auth/login", body)).body
        waiting = answer.get("second_factor")
        if waiting is None:
            return answer  # type: ignore[no-any-return]

        async def complete(given: dict[str, str]) -> Answer:
            return await api.post("/auth/mfa", {"token": waiting["token"], "device": body["device"], **given})

        return (await factors.prove(waiting["methods"], complete, url=place.url, code=code)).body  # type: ignore[no-any-return]

    _keep(place, client.run(place, send, api=place.anonymous), json=json)


def logout(
    *,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="End your sessions on all other devices as well.")
    ] = False,
    url: client.Url = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """End your session, and forget its tokens on this machine, even if the API can't be reached."""
    place = places.find(url, None, config, data)
    found = place.store.read()
    if found is None:
        raise NotLoggedIn(f"Nobody is logged in at {place.url}.")
    path = "/auth/logout-everywhere" if everywhere else "/auth/logout"
    ended = asyncio.run(_log_out(place, path))
    if json:
        output.print_json({"url": place.url, "ended": ended})
    elif ended:
        typer.echo(f"Logged out at {place.url}" + (", on all devices." if everywhere else "."))
    else:
        typer.echo(
            f"The tokens for {place.url} are gone from this machine. The API did not answer, so the session there "
            "lasts until it ends by itself; `billfold sessions list` shows it after your next login."
        )


def whoami(
    *,
    url: client.Url = None,
    api_key: client.Key = None,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Show in whose name commands speak here, to which API, and why.

    The exit code is 1 where they speak in nobody's: without a login or a key, or when the API refuses it.
    """
    place = places.find(url, api_key, config, data)
    profile, refused = client.run(place, _profile)
    found = {
        "url": place.url,
        "url_from": place.url_from,
        "credentials": "login" if place.session is not None else "api_key" if place.key is not None else None,
        "credentials_from": place.credentials_from,
        "api_key_id": _key_id(place.key),
        "session_id": None if place.session is None else place.session.login.session_id,
        "session_ends_at": None if place.session is None else _instant(place.session.login.ends_at),
        "user": profile,
        "refused": refused,
    }
    if json:
        output.print_json(found)
    else:
        _show_whoami(found)
        if place.is_nobodys:
            typer.echo(f"Nobody is logged in at {place.url}: `billfold login` does that, or give a key with --api-key.")
    if refused is not None:
        raise typer.Exit(exits.FAILED)


def _kind(address: str) -> str:
    return "email" if "@" in address else "phone"


def _device() -> str:
    return f"billfold on {socket.gethostname()}"


def _tell_awaited(awaited: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(awaited)
    else:
        typer.echo(f"A code is on its way. Type it by: billfold verify {awaited['id']} CODE")


def _type_code(place: Place, registration: str, *, device: str | None) -> None:
    """Ask for the code, and again when it was mistyped. Whatever ends this, it is said how to go on."""
    try:
        for left in reversed(range(_CODES_MAX)):
            try:
                return _verify(place, registration, asking.line("The code", or_else=""), device=device, json=False)
            except ApiRefusal as refusal:
                if refusal.code not in _MISTYPED or not left:
                    raise
                typer.echo(output.printable(refusal.detail), err=True)
    except (errors.BillfoldError, typer.Abort, KeyboardInterrupt):
        typer.echo(
            f"As long as the code is good: billfold verify {registration} CODE\n`billfold register` sends another one.",
            err=True,
        )
        raise


def _verify(place: Place, registration: str, code: str, *, device: str | None, json: bool) -> None:
    async def send(api: Api) -> dict[str, Any]:
        body = {"id": registration, "code": code.replace(" ", ""), "device": device or _device()}
        return (await api.post("/auth/verify", body)).body  # type: ignore[no-any-return]

    _keep(place, client.run(place, send, api=place.anonymous), json=json)


def _keep(place: Place, answer: dict[str, Any], *, json: bool) -> None:
    """Keep the tokens of a new login, and say in whose name commands speak now."""
    found = Login.of(place.url, answer)

    async def write() -> str:
        async with place.store.locked():
            return place.store.write(found)

    kept_in = asyncio.run(write())
    if json:
        output.print_json(
            {"url": place.url, "user_id": found.user_id, "session_id": found.session_id, "kept_in": kept_in}
        )
    else:
        where = "the keyring" if kept_in == "keyring" else "a file that only you can read"
        typer.echo(f"You are logged in at {place.url}. The tokens are in {where}.")
    source = place.loaded.sources.get("client.api_key")
    if source is not None:
        typer.echo(f"billfold: The key from {source} goes before this login; unset it to use the login.", err=True)


async def _log_out(place: Place, path: str) -> bool:
    """End the session, and forget it here whatever comes of that; whether it has ended."""
    store, found = place.store, place.store.read()
    if found is None:
        return True
    session = Session(found, store, certificate=place.certificate)
    try:
        async with Api(url=place.url, key=None, login=session, certificate=place.certificate) as api:
            await api.post(path, repeatable=True)
    except LoginEnded:
        return True
    except (ApiUnreachable, GatewayFailed):
        return False
    except ApiRefusal as refusal:
        if refusal.status != _UNAUTHORIZED:
            raise
    finally:
        async with store.locked():
            store.remove()
    return True


async def _profile(api: Api) -> tuple[dict[str, Any] | None, str | None]:
    """The person behind the credentials; none behind a program's key. And why not, when they are refused."""
    try:
        return await api.get("/users/me"), None
    except ApiRefusal as refusal:
        if refusal.status == _UNAUTHORIZED:
            return None, refusal.code
        if refusal.status == _FORBIDDEN:
            return None, None  # No key may look at a profile, whosever it is.
        raise
    except LoginEnded as error:
        return None, error.code


def _key_id(key: str | None) -> str | None:
    from billfold.identity import Identity  # noqa: PLC0415 - imported where it is needed alone.

    found = None if key is None else Identity.id_in_key(key)
    return None if found is None else str(found)


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _show_whoami(found: dict[str, Any]) -> None:
    user = found["user"]
    fields = [
        ("API", f"{found['url']} (named by {found['url_from']})"),
        ("Credentials", found["credentials_from"]),
        ("API key", found["api_key_id"]),
        ("Session", found["session_id"] and f"{found['session_id']}, until {found['session_ends_at']}"),
        ("Refused", found["credentials"] and found["refused"]),
    ]
    if user is not None:
        fields += [
            ("Name", user["display_name"]),
            ("E-mail", user["email"]),
            ("Phone", user["phone"]),
            ("Roles", " ".join(user["roles"])),
            ("User", user["id"]),
        ]
    output.show_fields([(name, output.printable(str(text))) for name, text in fields if text])
