"""Routes of what is and was in a wallet."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from msgspec import Meta

from billfold.kernel import clock, ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import freshness
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import Basis, Chart
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import WalletBalance


class BalanceQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which balance is wanted."""

    asset: answers.AssetCode = None
    at: (
        Annotated[
            clock.Text, Meta(description="The balance as it was recorded at this instant.", examples=[examples.AT])
        ]
        | None
    ) = None
    effective_at: (
        Annotated[
            clock.Text,
            Meta(
                description="The balance at this instant with everything that counts as having happened by then, also "
                "what was recorded later with an earlier value date.",
                examples=["2026-01-31"],
            ),
        ]
        | None
    ) = None
    min_version: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="The least version of the asset's balance that will do, such as the `from_version` of a "
                "transfer of yours: what you have written yourself is then in it. It goes with `asset`.",
                examples=[7],
            ),
        ]
        | None
    ) = None


class ChartQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which series is wanted."""

    asset: answers.AssetCode = None
    since: (
        Annotated[clock.Text, Meta(description="By default 30 days before the end.", examples=["2026-01-01"])] | None
    ) = None
    until: Annotated[clock.Text, Meta(description="By default now.", examples=["2026-01-31"])] | None = None
    step: Annotated[str, Meta(description="From point to point: s, m, h, d or w.", examples=["1d"])] = "1d"
    basis: Annotated[Basis, Meta(description="By which time entries count.")] = "effective"


@get(
    "/wallets/{wallet_id:str}/balance",
    opt=web.operation(
        summary="Get a balance",
        tag="Balances",
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="By asset: what is posted, held and available now, or what was posted at an instant of the past. "
        "With `Cache-Control: max-age=N` an answer of up to N seconds ago will do, which spares the database; it "
        "has an `Age`. Without it the ledger answers.",
        errors=(
            *refusals.WALLET,
            clock.InvalidInstant,
            ledger_errors.AssetUnknown,
            ledger_errors.InstantInFuture,
            errors.AssetNeeded,
            errors.InstantAmbiguous,
            errors.VersionNotReached,
        ),
        heeds={"Cache-Control": "`max-age=N`: how many seconds old the answer may be. Anything else means now."},
        headers={"Age": "How many seconds old the answer may be at most; absent when it is of now."},
        answers={
            "wallet": examples.ADA,
            "balances": [
                {
                    "asset": "USD",
                    "posted": "100.00",
                    "held": "12.34",
                    "available": "87.66",
                    "credit_limit": "0.00",
                    "version": 7,
                }
            ],
        },
    ),
)
async def get_balance(
    wallet_id: str,
    parameters: BalanceQuestion,
    principal: Principal,
    request: Request[Any, Any, Any],
    wallets: Wallets,
) -> Response[WalletBalance]:
    wallet = ids.parse(wallet_id)
    at = answers.instant(parameters.at, "at")
    effective_at = answers.instant(parameters.effective_at, "effective_at")
    found = await wallets.balances.of(
        principal=principal,
        wallet_id=wallet,
        at=at,
        effective_at=effective_at,
        asset=parameters.asset,
        max_age_s=freshness.max_age_s(request.headers.get("cache-control")),
        min_version=parameters.min_version,
    )
    answer = WalletBalance(wallet=str(wallet), balances=found.balances, at=at, effective_at=effective_at)
    return Response(answer, headers={} if found.age_s is None else {"Age": str(found.age_s)})


@get(
    "/wallets/{wallet_id:str}/balance/history",
    opt=web.operation(
        summary="Chart a balance",
        tag="Balances",
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="The balance at since, since + step, …, until: at most 1,000 points. The last is now by default.",
        errors=(
            *refusals.WALLET,
            clock.InvalidInstant,
            ledger_errors.AssetUnknown,
            ledger_errors.InstantInFuture,
            ledger_errors.TooManyPoints,
            errors.AssetNeeded,
            errors.PeriodWrong,
            errors.StepWrong,
        ),
        answers={
            "wallet": examples.ADA,
            "asset": "USD",
            "basis": "effective",
            "points": [{"at": "2026-01-31T00:00:00Z", "posted": "100.00"}],
        },
    ),
)
async def chart_balance(
    wallet_id: str,
    parameters: ChartQuestion,
    principal: Principal,
    wallets: Wallets,
) -> Chart:
    return await wallets.balances.chart(
        principal=principal,
        wallet_id=ids.parse(wallet_id),
        asset=parameters.asset,
        since=answers.instant(parameters.since, "since"),
        until=answers.instant(parameters.until, "until"),
        step=parameters.step,
        basis=parameters.basis,
    )


handlers = [get_balance, chart_balance]
