"""What is and was in a wallet: balances now, a moment ago, at any instant, and as a chart. Nothing is moved here."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from prometheus_client import Counter

from billfold.kernel import money
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import Balance, BalancePoint, Basis, Chart
from billfold.wallets.contracts.pictures import Looked, Picture
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.pictures import Pictures

_SECOND_US = 1_000_000
#: A chart without a beginning shows the last month.
CHART_DEFAULT = timedelta(days=30)
#: Clocks of several machines differ by a little: a chart without an end asks the ledger for the time until shortly ago,
#: which no database takes for the future, and ends with what is in the wallet now.
CLOCK_SKEW = timedelta(seconds=1)

READS = Counter(
    "billfold_balances_reads", "Balances that may be of a moment ago, by where they came from or why not.", ["answer"]
)


class Read(msgspec.Struct, frozen=True):
    """Balances, and how many seconds old they may be at most; None if the ledger has said so just now."""

    balances: list[Balance]
    age_s: int | None = None


class Balances:
    """Use cases that read balances."""

    def __init__(self, *, ledger: Ledger, holdings: Holdings, clock: Clock, pictures: Pictures | None = None) -> None:
        self._ledger = ledger
        self._holdings = holdings
        self._clock = clock
        self._pictures = pictures

    async def of(
        self,
        *,
        principal: Principal,
        wallet_id: UUID,
        at: datetime | None = None,
        effective_at: datetime | None = None,
        asset: str | None = None,
        max_age_s: int = 0,
        min_version: int | None = None,
    ) -> Read:
        """As `lately`, or as `at` if an instant is given.

        Raises:
            InstantAmbiguous: both are given, or an instant and a version. Else as these.
        """
        if at is not None and effective_at is not None:
            raise errors.InstantAmbiguous(pointer="effective_at")
        if min_version is not None and (at or effective_at) is not None:
            raise errors.InstantAmbiguous(
                "A min_version is asked of the present, not of an instant.", pointer="min_version"
            )
        if at is not None:
            return Read(await self.at(principal=principal, wallet_id=wallet_id, at=at, basis="recorded", asset=asset))
        if effective_at is not None:
            found = await self.at(
                principal=principal, wallet_id=wallet_id, at=effective_at, basis="effective", asset=asset
            )
            return Read(found)
        return await self.lately(
            principal=principal, wallet_id=wallet_id, asset=asset, max_age_s=max_age_s, min_version=min_version
        )

    async def lately(
        self,
        *,
        principal: Principal,
        wallet_id: UUID,
        asset: str | None = None,
        max_age_s: int = 0,
        min_version: int | None = None,
    ) -> Read:
        """What is in the wallet now, or was at most `max_age_s` ago; with at least `min_version` of that asset.

        Raises:
            AssetNeeded: it is not said of which asset the version is.
            VersionNotReached: there is no such version yet. Else as `now`.
        """
        principal.require(contracts.READ)
        if min_version is not None and asset is None:
            raise errors.AssetNeeded("Say of which asset min_version is.", pointer="asset")
        if self._pictures is None or max_age_s <= 0:
            found = await self.now(principal=principal, wallet_id=wallet_id, asset=asset)
            return Read(_reached(found, min_version))
        # What is kept elsewhere never says who may see it.
        await self._holdings.check_wallet(principal, wallet_id)
        if asset is not None:
            await self._holdings.check_asset(asset)
        looked = await self._pictures.look(wallet_id)
        if looked is None:
            READS.labels("lost").inc()
            found = await self.now(principal=principal, wallet_id=wallet_id, asset=asset)
            return Read(_reached(found, min_version))
        why_not = _why_not(looked, asset, max_age_s=max_age_s, min_version=min_version or 0)
        READS.labels(why_not or "redis").inc()
        if why_not is None:
            assert looked.picture is not None and looked.age_us is not None, "that would be why"
            return Read(await self._shown(looked.picture, asset), -(-looked.age_us // _SECOND_US))
        picture = await self._pictures.take(wallet_id, at_us=looked.at_us)
        return Read(_reached(await self._shown(picture, asset), min_version))

    async def _shown(self, picture: Picture, asset: str | None) -> list[Balance]:
        if asset is not None and asset not in picture.accounts:
            return [await self._nothing(asset)]
        codes = sorted(picture.accounts) if asset is None else [asset]
        return [domain.balance(picture.accounts[code], scale=await self._scale(code)) for code in codes]

    async def _nothing(self, asset: str) -> Balance:
        zero = money.format(0, await self._scale(asset))
        return Balance(asset=asset, posted=zero, held=zero, available=zero, credit_limit=zero, version=0)

    async def now(self, *, principal: Principal, wallet_id: UUID, asset: str | None = None) -> list[Balance]:
        """What is in the wallet now, by asset; of `asset` also when there has never been any.

        Raises:
            MissingScope, WalletUnknown, AssetUnknown
        """
        principal.require(contracts.READ)
        accounts = await self._holdings.of_wallet(principal, wallet_id, asset=asset)
        if asset is not None and not accounts:
            return [await self._nothing(asset)]
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


def _why_not(looked: Looked, asset: str | None, *, max_age_s: int, min_version: int) -> str | None:
    """Why what is kept is no answer, if it is none."""
    if looked.picture is None:
        return "missing"
    if looked.age_us is None or looked.age_us > max_age_s * _SECOND_US:
        return "old"
    kept = looked.picture.accounts.get(asset) if asset is not None else None
    return "version" if min_version > (0 if kept is None else kept.version) else None


def _reached(found: list[Balance], min_version: int | None) -> list[Balance]:
    """What the ledger has said, if it is at that version.

    Raises:
        VersionNotReached.
    """
    if min_version is not None and any((balance.version or 0) < min_version for balance in found):
        raise errors.VersionNotReached(pointer="min_version")
    return found
