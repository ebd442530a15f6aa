"""Second factors at the terminal: a code for a login, and for an operation that demands a fresh one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from billfold.app import pages
from billfold.app.cli import asking, output
from billfold.app.client import Answer, Api, ApiRefusal, Json
from billfold.app.logins import Session, Store
from billfold.kernel import errors

#: The API lets more pass; whoever mistypes three times looks at the wrong entry of the app.
_TRIES = 3
_TOTP_DIGITS = 6
_PROMPT = "Code of your authenticator app, or a recovery code"
_OR_ENTER = "or nothing once it is approved in the browser"
#: What commands have to be confirmed, in the words of the page `/account`.
OPERATIONS = {
    "withdrawal": "Send money out of your wallet",
    "withdrawals": "Send money out of your wallets, several times",
    "reversal": "Send a deposit back",
    "hold settlement": "Pay out money that was held",
    "withdrawal to a chain": "Send money out of your wallet, to an address of a chain",
    "keys.export": "Give out the seed of a chain's keys",
    "chain_key": "Take over the public key that a chain's addresses follow from",
    "chain_addresses": "Take over addresses of a chain whose keys are elsewhere",
    "unsigned_discard": "Give up a transaction that was handed out to be signed",
    "api_key.create": "Create an API key, with which a program acts as you",
}
#: For programs: what is shown stands for it.
_UNSHOWN = frozenset({"request", "kind"})
_WRONG = "second_factor_wrong"
_REQUIRED = "step_up_required"

Code = Annotated[
    str | None,
    typer.Option(
        "--code",
        metavar="CODE",
        help="A code of your authenticator app, or a recovery code, instead of being asked for it.",
    ),
]


class PasskeyNeeded(errors.Denied):
    """This needs a passkey, which a terminal can't ask for; log in at the page /account in a browser."""

    code = "passkey_needed"


class LoginNeeded(errors.Denied):
    """This has to be confirmed by the person behind the key, who is not logged in here."""

    code = "login_needed"


class NotApproved(errors.Conflict):
    """It is not approved in the browser yet."""

    code = "not_approved"


#: What is said of what may be typed again.
_MISTAKES = {_WRONG: "That was not right, or was used before.", NotApproved.code: "It is not approved there yet."}


def proof(code: str) -> dict[str, str]:
    """What the API takes: the digits of an app, however they are grouped, or a recovery code."""
    digits = code.replace(" ", "")
    if digits.isdecimal() and len(digits) == _TOTP_DIGITS:
        return {"totp": digits}
    return {"recovery_code": code.strip()}


async def prove(
    methods: list[str],
    send: Callable[[dict[str, str]], Awaitable[Answer]],
    *,
    url: str,
    code: str | None,
    link: str | None = None,
) -> Answer:
    """Send a code, and another one when the first was mistyped at the terminal.

    `link` is where a browser proves the same: then somebody may type nothing, which sends no proof.

    Raises:
        PasskeyNeeded: no code helps.
        InputNeeded
    """
    if link is None and not {"totp", "recovery_code"} & set(methods):
        raise PasskeyNeeded(f"This needs a passkey, which a terminal can't ask for; log in at {pages.account(url)}.")
    if code is not None:
        return await send(proof(code))
    for left in reversed(range(_TRIES)):
        typed = asking.line(_PROMPT, or_else="give it with --code", or_enter=None if link is None else _OR_ENTER)
        try:
            return await send(proof(typed) if typed else {})
        except (ApiRefusal, NotApproved) as refusal:
            if refusal.code not in _MISTAKES or not left:
                raise
            typer.echo(_MISTAKES[refusal.code], err=True)
    raise AssertionError("the last try answers or raises")


async def confirmed(
    api: Api, path: str, body: object, *, key: str, code: str | None, prefer: str | None = None
) -> Answer:
    """Send a command; when the API demands a fresh factor for it, ask for one and send the same command again.

    What is to be done is shown first, in the words of the API: a code confirms that, and nothing else.

    Raises: as `prove`, and LoginNeeded.
    """
    try:
        return await api.post(path, body, key=key, prefer=prefer)
    except ApiRefusal as refusal:
        challenge = refusal.document.get("step_up")
        if refusal.code != _REQUIRED or not isinstance(challenge, dict):
            raise
    _show(challenge)
    path_of_it = f"/auth/step-up/{challenge['id']}"
    link = f"{pages.account(api.url)}#step-up={challenge['id']}"
    async with _person(api, key) as person:

        async def send(given: dict[str, str]) -> Answer:
            if given:
                return await person.post(path_of_it, given)
            found = await person.request("GET", path_of_it, repeatable=True)
            if found.body["approved_at"] is None:
                raise NotApproved
            return found

        if code is None:
            by = "By a passkey" if "passkey" in challenge["methods"] else "In a browser"
            typer.echo(f"{by}: {link}", err=True)
        await prove(challenge["methods"], send, url=api.url, code=code, link=link)
    return await api.post(path, body, key=key, step_up=challenge["id"], prefer=prefer)


def _person(api: Api, key: str) -> Api:
    """The API in the name of whoever is logged in there: no key can confirm anything."""
    store = Store(api.url)
    login = store.read()
    if login is None:
        raise LoginNeeded(
            "This needs a code of yours, and a key can't confirm it: `billfold login`, "
            f"and then this command again with --idempotency-key {key}."
        )
    session = Session(login, store, certificate=api.certificate)
    return Api(url=api.url, key=None, login=session, certificate=api.certificate)


def _show(challenge: Json) -> None:
    content: dict[str, Any] = challenge.get("content") or {}
    operation = str(challenge["operation"])
    typer.echo(output.printable(f"To confirm: {OPERATIONS.get(operation, operation)}."), err=True)
    shown = [(name.replace("_", " "), str(text)) for name, text in content.items() if name not in _UNSHOWN and text]
    for name, text in shown:
        typer.echo(output.printable(f"  {name}: {text}"), err=True)
