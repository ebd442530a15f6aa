"""What callers get where the wallets' contracts differ from it: pages with a link, and results of many orders."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from billfold.kernel import clock, paging
from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.platform import web
from billfold.platform.web import problems
from billfold.wallets.contracts import Balance, Hold, Moved, StatementHead, Summary, Transaction, Transfer

T = TypeVar("T")

Cursor = Annotated[str, Meta(description="From the link to the next page.")] | None
Limit = Annotated[int, Meta(description="How many at most, 1 to 100; by default 25.", examples=[25])] | None
AssetCode = Annotated[str, Meta(description="The code of an asset.", examples=["USD"])] | None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted, where nothing else can be asked of it."""

    cursor: Cursor = None
    limit: Limit = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some items, and the path of the next page if there is one: follow it as it is."""

    items: list[T]
    next: str | None


class AssetList(msgspec.Struct, frozen=True, kw_only=True):
    """Every asset."""

    items: list[Asset]


class HoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, and the transfer that settled it."""

    hold: Hold
    transfer: Transfer | None


class Statement(StatementHead, frozen=True, kw_only=True):
    """All transactions of a period, the oldest first, each with the balance after it."""

    transactions: list[Transaction]
    closing_balance: str


class WalletBalance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a wallet, by asset; at the instant that was asked about, otherwise now."""

    wallet: str
    balances: list[Balance]
    at: datetime | None = None
    effective_at: datetime | None = None


class Summaries(msgspec.Struct, frozen=True, kw_only=True):
    """Count and sums of the transactions that were asked about, for each asset."""

    assets: list[Summary]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an item was refused: as the problem details of a request with this item alone."""

    code: str
    title: str
    status: int
    detail: str
    retryable: bool
    pointer: str | None = None


class ItemResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of an item: its transfer, or why it was refused."""

    transfer: Transfer | None = None
    refusal: Refusal | None = None
    #: Whether it repeats the answer of an earlier request with the item's own key.
    replayed: bool = False


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each item, in their order."""

    posted: int
    refused: int
    results: list[ItemResult]


def instant(text: str | None, parameter: str) -> datetime | None:
    """The instant that a query parameter names, if it is given.

    Raises:
        InvalidInstant: it names none.
    """
    return None if text is None else clock.parse(text, pointer=parameter)


def page(path: str, parameters: msgspec.Struct, found: paging.Page[T]) -> Page[T]:
    """A page with the link to the next one: the same question with another cursor."""
    if found.next_cursor is None:
        return Page(items=found.items, next=None)
    asked = {name: value for name, value in msgspec.to_builtins(parameters).items() if value is not None}
    query = urlencode(asked | {"cursor": found.next_cursor})
    return Page(items=found.items, next=f"{web.PREFIX}{path}?{query}")


def bulk_result(outcomes: list[Moved | BillfoldError], *, separate: bool) -> BulkResult:
    """The results of many orders. Only `separate` requests are replayed each on its own."""
    results = [
        ItemResult(transfer=outcome.transfer, replayed=separate and outcome.replayed)
        if isinstance(outcome, Moved)
        else _refused(outcome, separate=separate)
        for outcome in outcomes
    ]
    refused = sum(result.refusal is not None for result in results)
    return BulkResult(posted=len(results) - refused, refused=refused, results=results)


def _refused(error: BillfoldError, *, separate: bool) -> ItemResult:
    refusal = Refusal(
        code=error.code,
        title=problems.title_of(type(error)),
        status=problems.status_of(type(error)),
        detail=error.detail,
        retryable=error.retryable,
        pointer=error.pointer,
    )
    return ItemResult(refusal=refusal, replayed=separate and error.replayed)
