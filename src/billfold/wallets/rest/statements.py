"""The statement: all transactions of a period as JSON or CSV, written while they are read, in constant memory."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.response import Stream
from msgspec import Meta

from billfold.kernel import clock, ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import StatementHead, Transaction
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Statement

JSON = "application/json"
CSV = "text/csv"

_COLUMNS = (
    "recorded_at",
    "effective_at",
    "id",
    "kind",
    "counterparty",
    "amount",
    "balance",
    "asset",
    "reference",
    "description",
)
#: A spreadsheet runs a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_encode = msgspec.json.Encoder().encode


class StatementQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which statement is wanted."""

    asset: answers.AssetCode = None
    since: (
        Annotated[clock.Text, Meta(description="Recorded at this instant or later.", examples=["2026-01-01"])] | None
    ) = None
    until: (
        Annotated[
            clock.Text, Meta(description="Recorded before this instant; by default now.", examples=["2026-02-01"])
        ]
        | None
    ) = None
    format: Annotated[Literal["json", "csv"], Meta(description="Otherwise the Accept header decides.")] | None = None


@get(
    "/wallets/{wallet_id:str}/statement",
    opt=web.operation(
        summary="Get a statement",
        tag="Transactions",
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="Opening balance, every transaction of the period with the balance after it, the oldest first, and "
        "closing balance; as JSON, or as CSV when `Accept` or `format` says so. It is streamed: an answer that was cut "
        "off has no closing balance. In CSV an amount is negative when it left the wallet, and a text that a "
        "spreadsheet would take for a formula begins with an apostrophe.",
        errors=(
            *refusals.WALLET,
            clock.InvalidInstant,
            ledger_errors.AssetUnknown,
            ledger_errors.InstantInFuture,
            errors.AssetNeeded,
            errors.PeriodWrong,
        ),
        media_types=(JSON, CSV),
        answers={
            "wallet": examples.ADA,
            "asset": "USD",
            "since": None,
            "until": "2026-02-01T00:00:00Z",
            "opening_balance": "100.00",
            "transactions": [examples.TRANSACTION],
            "closing_balance": "87.66",
        },
    ),
)
async def get_statement(
    wallet_id: str,
    parameters: StatementQuestion,
    principal: Principal,
    wallets: Wallets,
    request: Request[Any, Any, Any],
) -> Response[Statement]:
    head, blocks = await wallets.transactions.statement(
        principal=principal,
        wallet_id=ids.parse(wallet_id),
        asset=parameters.asset,
        since=answers.instant(parameters.since, "since"),
        until=answers.instant(parameters.until, "until"),
    )
    wanted = parameters.format or _accepted(request.headers.get("accept", ""))
    if wanted == "csv":
        name = f"statement-{head.wallet}-{head.asset}.csv"
        return Stream(  # type: ignore[return-value]  # What it streams is a Statement.
            as_csv(head, blocks),
            media_type=f"{CSV}; charset=utf-8; header=present",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )
    return Stream(as_json(head, blocks), media_type=JSON)  # type: ignore[return-value]  # Likewise.


handlers = [get_statement]


async def as_json(head: StatementHead, blocks: AsyncIterator[list[Transaction]]) -> AsyncIterator[bytes]:
    """The statement as one JSON object, a block at a time."""
    yield _encode(head)[:-1] + b',"transactions":['
    closing, comma = head.opening_balance, b""
    async for block in blocks:
        if block:
            yield comma + _encode(block)[1:-1]
            closing, comma = block[-1].balance, b","
    yield b'],"closing_balance":' + _encode(closing) + b"}"


async def as_csv(head: StatementHead, blocks: AsyncIterator[list[Transaction]]) -> AsyncIterator[bytes]:
    """The statement as CSV (RFC 4180), a block at a time, between two lines with the opening and closing balance."""
    since = "" if head.since is None else clock.format(head.since)
    yield _rows([_COLUMNS, _balance_row(head, since, "opening_balance", head.opening_balance)])
    closing = head.opening_balance
    async for block in blocks:
        if block:
            yield _rows(map(_row, block))
            closing = block[-1].balance
    yield _rows([_balance_row(head, clock.format(head.until), "closing_balance", closing)])


def _accepted(accept: str) -> Literal["json", "csv"]:
    return "csv" if CSV in accept and JSON not in accept else "json"


def _row(line: Transaction) -> tuple[str, ...]:
    sign = "-" if line.direction == "out" else ""
    return (
        clock.format(line.recorded_at),
        clock.format(line.effective_at),
        str(line.id),
        line.kind,
        line.counterparty,
        sign + line.money.amount,
        line.balance,
        line.money.asset,
        _harmless(line.reference),
        _harmless(line.description),
    )


def _balance_row(head: StatementHead, at: str, kind: str, balance: str) -> tuple[str, ...]:
    return (at, "", "", kind, "", "", balance, head.asset, "", "")


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
