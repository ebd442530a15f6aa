"""What is and was in a wallet: balances now, at any instant, and as a chart. Nothing here writes."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from billfold.kernel import money
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import Balance, BalancePoint, Basis, Chart
from billfold.wallets.service.holdings import Holdings

#: A chart without a beginning shows the last month.
CHART_DEFAULT = timedelta(days=30)
#: Clocks of several machines differ by a little: a chart without an end asks the ledger for the time until shortly ago,
#: which no database takes for the future, and ends with what is in the wallet now.
CLOCK_SKEW = timedelta(seconds=1)


class Balances:
    """Use cases that read balances."""

    def __init__(self, *, ledger: Ledger, holdings: Holdings, clock: Clock) -> None:
        self._ledger = ledger
        self._holdings = holdings
        self._clock = clock

    async def of(
        self,
        *,
        principal: Principal,
        wallet_id: UUID,
        at: datetime | None = None,
        effective_at: datetime | None = None,
        asset: str | None = None,
    ) -> list[Balance]:
        """As `now`, or as `at` if an instant is given.

        Raises:
            InstantAmbiguous: both are given. Else as `now` and `at`.
        """
        if at is not None and effective_at is not None:
            raise errors.InstantAmbiguous(pointer="effective_at")
        if at is not None:
            return await self.at(principal=principal, wallet_id=wallet_id, at=at, basis="recorded", asset=asset)
        if effective_at is not None:
            return await self.at(
                principal=principal, wallet_id=wallet_id, at=effective_at, basis="effective", asset=asset
            )
        return await self.now(principal=principal, wallet_id=wallet_id, asset=asset)

    async def now(self, *, principal: Principal, wallet_id: UUID, asset: str | None = None) -> list[Balance]:
        """What is in the wallet now, by asset; of `asset` also when there has never been any.

        Raises:
            MissingScope, WalletUnknown, AssetUnknown
        """
        principal.require(contracts.READ)
        accounts = await self._holdings.of_wallet(principal, wallet_id, asset=asset)
        if asset is not None and not accounts:
            zero = money.format(0, await self._scale(asset))
            return [Balance(asset=asset, posted=zero, held=zero, available=zero, credit_limit=zero, version=0)]
        found = await self._ledger.accounts(ids=list(accounts.values()))
        return [domain.balance(account, scale=await self._scale(account.asset)) for account in found]

    async def at(
        self, *, principal: Principal, wallet_id: UUID, at: datetime, basis: Basis, asset: str | None = None
    ) -> list[Balance]:
        """What was in the wallet at an instant: as it was recorded by then, or as effective by then.

        Raises:
            MissingScope, WalletUnknown, AssetUnknown, InstantInFuture
        """
        principal.require(contracts.READ)
        accounts = await self._holdings.of_wallet(principal, wallet_id, asset=asset)
        if at > self._clock.now() + CLOCK_SKEW:
            raise ledger_errors.InstantInFuture
        if asset is not None and not accounts:
            return [Balance(asset=asset, posted=money.format(0, await self._scale(asset)))]
        read = self._ledger.balances_effective if basis == "effective" else self._ledger.balances_recorded
        found = await read(points=[(account, at) for account in accounts.values()])
        return [
            Balance(asset=code, posted=money.format(point.posted, await self._scale(code)))
            for code, point in zip(accounts, found, strict=True)
        ]

    async def chart(
        self,
        *,
        principal: Principal,
        wallet_id: UUID,
        asset: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str = "1d",
        basis: Basis = "effective",
    ) -> Chart:
        """The balance at since, since + step, …, until. An open end is now.

        Raises:
            MissingScope, WalletUnknown, AssetUnknown, AssetNeeded, StepWrong, PeriodWrong, TooManyPoints,
            InstantInFuture
        """
        principal.require(contracts.READ)
        every = domain.step(step)
        code, account = await self._holdings.one_of_wallet(principal, wallet_id, asset=asset)
        now = self._clock.now()
        last = until or now - CLOCK_SKEW
        first = since or last - CHART_DEFAULT
        if last < first:
            raise errors.PeriodWrong(pointer="until")
        points: list[ledger.BalancePoint] = []
        if account is not None:
            points = await self._ledger.balance_history(
                account_id=account, since=first, until=last, step=every, effective=basis == "effective"
            )
            if until is None:
                (present,) = await self._ledger.accounts(ids=[account])
                points.append(ledger.BalancePoint(at=now, posted=present.posted))
        scale = await self._scale(code)
        return Chart(
            wallet=str(wallet_id),
            asset=code,
            basis=basis,
            points=[BalancePoint(at=point.at, posted=money.format(point.posted, scale)) for point in points],
        )

    async def _scale(self, asset: str) -> int:
        return (await self._ledger.asset(code=asset)).scale
