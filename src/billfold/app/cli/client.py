"""How a command reaches the API, and what it says when the API does not do what was asked.

    @app.command("create")
    @client.command
    async def create(api: Api, name: …, json: options.Json = False) -> None:

`command` gives the function an `Api`, and the command line the options that say which one.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from billfold.app import pages, settings
from billfold.app.cli import options, output, places
from billfold.app.client import Api, ApiRefusal, ApiUnreachable, GatewayFailed, Json, Params
from billfold.app.supervisor import record
from billfold.kernel import errors, ids

T = TypeVar("T")

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the API, instead of $BILLFOLD_URL or the running stack."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key", metavar="KEY", help="API key, instead of $BILLFOLD_API_KEY, your login or the stack's key."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="TEXT", help="The key of an earlier try: whatever came of it is not done again."
    ),
]

_BROKEN = 500
#: What helps after a refusal, where its own sentence does not say it, because it does not know of commands.
_NEXT_STEPS = {
    "unauthorized": "Log in with `billfold login`, or give a key with --api-key or $BILLFOLD_API_KEY; `billfold up` "
    "shows one.",
    "login_failed": "`billfold register` makes an account.",
    "approval_unknown": "`billfold approvals list` shows them.",
    "session_unknown": "`billfold sessions list` shows yours.",
    "wallet_unknown": "`billfold wallets list` shows yours.",
    "wallet_frozen": "`billfold wallets unfreeze` lets an operator do that.",
    "wallet_needed": "--wallet names one.",
    "asset_unknown": "`billfold assets list` shows all, and `billfold assets add` adds one.",
    "asset_needed": "--asset names one.",
    "insufficient_funds": "`billfold balance` shows what is there.",
    "hold_unknown": "`billfold holds list` shows yours.",
    "transfer_unknown": "`billfold transfers list` shows yours.",
    "dead_letter_unknown": "`billfold dead-letters list` shows them.",
    "refused_event_unknown": "`billfold refused-events list` shows them.",
    "alias_unknown": "Check how it is written; `billfold aliases list` shows your own.",
    "payment_request_unknown": "`billfold payment-requests list` shows yours.",
    "request_unknown": "`billfold requests list` shows yours.",
    "payee_mismatch": "`billfold aliases show` says who it is now.",
    "withdrawals_stopped": "`billfold custody reconcile` shows why.",
    "api_key_unknown": "`billfold keys list` shows them.",
}

#: The same for a scope that is missing: a person's follow from roles.
_PERSON_LACKS = "`billfold whoami` shows your roles."
_KEY_LACKS = "`billfold keys list` shows what each key may do; what is yours as a person takes `billfold login`."


class WalletNotFound(errors.NotFound):
    """No wallet of yours has this external_id."""

    code = "wallet_not_found"


class WalletAmbiguous(errors.Conflict):
    """Wallets of several owners have this external_id."""

    code = "wallet_ambiguous"


def command(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a command of a function that uses the API."""

    @functools.wraps(function)
    def run(*, url: str | None, api_key: str | None, config: Path | None, data: Path | None, **arguments: Any) -> None:
        call(lambda api: function(api, **arguments), url=url, api_key=api_key, config=config, data=data)

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    places = {"url": Url, "api_key": Key, "config": options.Config, "data": options.Data}
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in places.items()
    ]
    # Typer reads options from these two, and would follow the wrapped function instead of them.
    del run.__wrapped__
    run.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *more]}
    return run


def call(
    function: Callable[[Api], Awaitable[T]],
    *,
    url: str | None,
    api_key: str | None,
    config: Path | None,
    data: Path | None,
) -> T:
    """Do something with the API that the options name; what it refuses is said with the next step."""
    return run(places.find(url, api_key, config, data), function)


def run(place: places.Place, function: Callable[[Api], Awaitable[T]], *, api: Api | None = None) -> T:
    """The same with an API that was found; `api` speaks to it in another name."""
    return asyncio.run(_use(api or place.api, function, place.loaded))


def key(given: str | None) -> str:
    """The idempotency key of a command: that of an earlier try, or a new one."""
    return given or f"cli-{ids.new()}"


async def listed(api: Api, path: str, params: Params | None = None, *, limit: int) -> list[Json]:
    """The newest `limit` items of a list."""
    return output.newest([item async for item in api.pages(path, params, limit=limit + 1)], limit)


async def wallet_id(api: Api, name: str) -> str:
    """The id of the wallet that is named by its id or its external_id.

    Raises:
        WalletNotFound, WalletAmbiguous: of those this key sees, none or several have the external_id.
    """
    try:
        return str(ids.parse(name))
    except ids.InvalidId:
        found = [wallet async for wallet in api.pages("/wallets", {"external_id": name}, limit=2)]
    if not found:
        raise WalletNotFound(
            f"No wallet of yours has the id or external_id {name!r}; `billfold wallets list` shows all."
        )
    if len(found) > 1:
        raise WalletAmbiguous(
            f"Wallets of several owners have the external_id {name!r}; name the one you mean by its id."
        )
    return str(found[0]["id"])


async def _use(api: Api, function: Callable[[Api], Awaitable[T]], loaded: settings.Loaded) -> T:
    try:
        async with api:
            return await function(api)
    except (ApiRefusal, ApiUnreachable, GatewayFailed) as error:
        if error.code == "unauthorized" and api.is_nobody:
            error.detail = f"Nobody is logged in at {api.url}."
        error.detail = " ".join([error.detail, *_next_steps(error, api, loaded)])
        raise


def _next_steps(error: ApiRefusal | ApiUnreachable | GatewayFailed, api: Api, loaded: settings.Loaded) -> Iterator[str]:
    if error.code == "unauthorized" and api.key is not None and api.key == _stacks_key(loaded):
        yield f"It is the stack's own key: {record.NEW_KEY_ADVICE}"
    elif error.code == "missing_scope":
        yield _PERSON_LACKS if api.key is None else _KEY_LACKS
    elif error.code == "second_factor_missing":
        yield f"In a browser that is {pages.account(api.url)}."
    elif error.code in _NEXT_STEPS:
        yield _NEXT_STEPS[error.code]
    if isinstance(error, ApiRefusal) and (accepted := error.document.get("accepted_request")):
        yield f"`billfold requests show {accepted}` shows the request."
    if isinstance(error, ApiRefusal) and error.status == _BROKEN:
        yield f"It is {error.request_id}."
    if isinstance(error, ApiUnreachable) and not error.was_reached:
        yield _elsewhere(api, loaded) or "`billfold up` starts a stack, and --url names another."
    elif error.retryable and error.idempotency_key is not None:
        yield f"Add --idempotency-key {error.idempotency_key} to repeat the command; nothing is done twice."


def _elsewhere(api: Api, loaded: settings.Loaded) -> str:
    """Where the stack of the data folder is, if it runs and is not at the address that the settings name."""
    try:
        found = record.read(loaded.settings.data_dir)
    except record.NotRunning:
        return ""
    if found.api_url == api.url:
        return ""
    return f"That address was set by {loaded.sources['client.url']}; your stack is at {found.api_url}."


def _stacks_key(loaded: settings.Loaded) -> str | None:
    """The key of the stack of the data folder, if it runs."""
    try:
        return record.read(loaded.settings.data_dir).api_key
    except record.NotRunning:
        return None
