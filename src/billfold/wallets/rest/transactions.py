"""Routes of the history of wallets."""

from typing import Annotated

import msgspec
from litestar import Response, get
from msgspec import Meta

from billfold.kernel import clock, ids
from billfold.kernel.principal import Principal
from billfold.ledger import contracts as ledger
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import Direction, Transaction, TransactionFilter, TransferKind
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Page, Summaries

_TAG = "Transactions"


class TransactionQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions are wanted."""

    wallet: Annotated[str, Meta(description="Only of this wallet.")] | None = None
    asset: answers.AssetCode = None
    kind: TransferKind | None = None
    direction: Annotated[Direction, Meta(description="Only what came in, or went out.")] | None = None
    reference: Annotated[str, Meta(description="Only with exactly this.", max_length=ledger.REFERENCE_MAX)] | None = (
        None
    )
    since: (
        Annotated[clock.Text, Meta(description="Recorded at this instant or later.", examples=["2026-01-01"])] | None
    ) = None
    until: Annotated[clock.Text, Meta(description="Recorded before this instant.", examples=["2026-02-01"])] | None = (
        None
    )
    amount_min: Annotated[str, Meta(description="Needs an asset.", examples=["0.50"])] | None = None
    amount_max: Annotated[str, Meta(description="Needs an asset.", examples=["99.99"])] | None = None

    def filter(self) -> TransactionFilter:
        """The question in the words of the contract."""
        return TransactionFilter(
            wallet=self.wallet,
            asset=self.asset,
            kind=self.kind,
            direction=self.direction,
            reference=self.reference,
            since=answers.instant(self.since, "since"),
            until=answers.instant(self.until, "until"),
            amount_min=self.amount_min,
            amount_max=self.amount_max,
        )


class TransactionList(TransactionQuestion, frozen=True, kw_only=True):
    """Which page of which transactions is wanted."""

    cursor: answers.Cursor = None
    limit: answers.Limit = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Whose view of a transaction is wanted."""

    wallet: Annotated[str, Meta(description="As this wallet of yours saw it, if both sides are yours.")] | None = None


@get(
    "/transactions",
    opt=web.operation(
        summary="List transactions",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="What has happened in your wallets, the newest first. A transfer between two of your wallets is "
        "there twice, once for each. Whatever was posted before you asked is in it, wherever it was read.",
        headers={"History-Source": "Where the list was read: `postgresql`, or `cql` for the copy in Cassandra."},
        errors=(*refusals.FILTER, *refusals.PAGE),
        answers={"items": [examples.TRANSACTION], "next": None},
    ),
)
async def list_transactions(
    parameters: TransactionList,
    principal: Principal,
    wallets: Wallets,
) -> Response[Page[Transaction]]:
    found = await wallets.transactions.page(
        principal=principal, wanted=parameters.filter(), cursor=parameters.cursor, limit=parameters.limit
    )
    return Response(answers.page("/transactions", parameters, found), headers={"History-Source": found.source})


@get(
    "/transactions/summary",
    opt=web.operation(
        summary="Sum transactions up",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="Count and sums of the transactions that the filters select, by asset.",
        errors=refusals.FILTER,
        answers={"assets": [{"asset": "USD", "count": 2, "received": "100.00", "sent": "12.34", "net": "87.66"}]},
    ),
)
async def sum_transactions_up(
    parameters: TransactionQuestion,
    principal: Principal,
    wallets: Wallets,
) -> Summaries:
    return Summaries(assets=await wallets.transactions.summary(principal=principal, wanted=parameters.filter()))


@get(
    "/transactions/{transaction_id:str}",
    opt=web.operation(
        summary="Get a transaction",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="A transfer as the holder of one of its wallets sees it; its id is the transfer's.",
        errors=(ids.InvalidId, errors.TransactionUnknown),
        answers=examples.TRANSACTION,
    ),
)
async def get_transaction(
    transaction_id: str,
    parameters: Seen,
    principal: Principal,
    wallets: Wallets,
) -> Transaction:
    return await wallets.transactions.transaction(
        principal=principal, transaction_id=ids.parse(transaction_id), wallet=parameters.wallet
    )


handlers = [list_transactions, sum_transactions_up, get_transaction]
