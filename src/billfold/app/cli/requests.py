"""`billfold requests`: money that is moved later, what has become of it, and how it is taken back."""

from __future__ import annotations

from enum import StrEnum
from time import monotonic
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, money, options, output
from billfold.app.client import Answer, Api
from billfold.kernel import errors

app = commands.group("requests")

#: What the API waits at most in one answer.
_WAIT_MAX_S = 30
_WAITING = ("accepted", "processing")
_ACCEPTED = 202
#: What is said of a request that ended without a transfer.
_ENDS = {"failed": "has failed", "cancelled": "was cancelled", "expired": "has expired"}

Later = Annotated[
    bool, typer.Option("--async", help="Don't wait for it: have it accepted, and carried out by a worker.")
]
Wait = Annotated[
    int | None,
    typer.Option(
        "--wait",
        min=1,
        max=_WAIT_MAX_S,
        metavar="SECONDS",
        help="With --async: wait so long for it after all. Exit code 0 says that the money has moved.",
    ),
]
RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]
Request = dict[str, Any]


class Status(StrEnum):
    """What can become of a request."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class NotCompleted(errors.Conflict):
    """The request has not moved any money."""

    code = "request_not_completed"


class StillWaiting(errors.Unavailable):
    """The request has not ended yet."""

    code = "request_still_waiting"


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    status: Annotated[Status | None, typer.Option("--status", help="Only those of this status.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List your requests, the newest first."""
    found = await client.listed(api, "/requests", {"status": status}, limit=limit)
    if json:
        output.print_json(found)
    elif not found and status is not None:
        typer.echo(f"None is {status}.")
    elif not found:
        typer.echo("None. `billfold transfers create … --async` makes one.")
    else:
        output.print_table(("accepted at", "request", "kind", "amount", "asset", "status", "error"), map(_row, found))


@app.command("show")
@client.command
async def show(api: Api, request: RequestId, json: options.Json = False) -> None:
    """Show a request, and what has become of it."""
    _show(await api.get(f"/requests/{request}"), json=json)


@app.command("wait")
@client.command
async def wait(
    api: Api,
    request: RequestId,
    *,
    seconds: Annotated[
        int, typer.Option("--seconds", min=1, metavar="SECONDS", help="How long to wait; otherwise a minute.")
    ] = 60,
    json: options.Json = False,
) -> None:
    """Wait until a request has ended. Exit code 0 says that the money has moved."""
    deadline = monotonic() + seconds
    while True:
        left = max(1, min(_WAIT_MAX_S, round(deadline - monotonic())))
        found = await api.get(f"/requests/{request}", prefer=f"wait={left}")
        if found["status"] not in _WAITING or monotonic() >= deadline:
            break
    _show(found, json=json)
    _check_completed(found, seconds)


@app.command("cancel")
@client.command
async def cancel(api: Api, request: RequestId, json: options.Json = False) -> None:
    """Take back what was not carried out yet."""
    _show((await api.post(f"/requests/{request}/cancel", repeatable=True)).body, json=json)


def preference(*, later: bool, wait: int | None) -> str | None:
    """How a command that moves money is best answered (RFC 7240).

    Raises:
        BadParameter: what is done at once is not waited for.
    """
    if wait is None:
        return "respond-async" if later else None
    if not later:
        raise typer.BadParameter("It says how long to wait for what --async has accepted.", param_hint="--wait")
    return f"respond-async, wait={wait}"


def show_outcome(answer: Answer, *, wait: int | None, json: bool) -> None:
    """Show the transfer, or the request that was accepted instead.

    Raises:
        StillWaiting, NotCompleted: it was waited for, and the money has not moved.
    """
    if answer.status != _ACCEPTED or "accepted_at" not in answer.body:
        money.show_transfer(answer, json=json)
        return
    _show(answer.body, json=json)
    if not json and answer.body["status"] in _WAITING:
        typer.echo(f"`billfold requests wait {answer.body['id']}` waits until the money has moved.")
    if wait is not None:
        _check_completed(answer.body, wait)


def _check_completed(request: Request, seconds: int) -> None:
    if request["status"] in _WAITING:
        raise StillWaiting(f"The request is {request['status']} after {seconds} seconds; wait again.")
    if request["status"] != Status.COMPLETED:
        raise NotCompleted(f"The request {_ENDS[request['status']]}, so no money was moved.")


def _show(request: Request, *, json: bool) -> None:
    if json:
        output.print_json(request)
        return
    fields = [
        ("Request", request["id"]),
        ("Status", request["status"]),
        ("Kind", request["kind"]),
        ("From", request["from"]),
        ("To", request["to"]),
        ("Amount", f"{request['money']['amount']} {request['money']['asset']}"),
        ("Reference", request["reference"]),
        ("Transfer", request["transfer_id"]),
        ("Error", _error(request)),
        ("Accepted at", request["accepted_at"]),
        ("Ended at", request["ended_at"]),
    ]
    output.show_fields([(name, output.printable(text)) for name, text in fields if text])


def _row(request: Request) -> tuple[str, ...]:
    return (
        request["accepted_at"][:19],
        request["id"],
        request["kind"],
        request["money"]["amount"],
        request["money"]["asset"],
        request["status"],
        request["error"]["code"] if request["error"] is not None else "",
    )


def _error(request: Request) -> str:
    error = request["error"]
    return "" if error is None else f"{error['code']}: {error['detail']}"
