"""The facade of wallets: what a user holds. Its parts each serve one kind of request.

await wallets.registry.create(…)        the wallets themselves
await wallets.movements.move(…)         transfers, deposits, withdrawals, reversals
await wallets.chain_withdrawals.create(…)  money that leaves for a chain
await wallets.bulk.move(…)              many at once
await wallets.holds.place(…)            money set aside
await wallets.balances.now(…)           what is and was in a wallet
await wallets.transactions.page(…)      what has happened, and statements
await wallets.history.rebuild(…)        the copy of it, where there is one
await wallets.apply_confirmed(…)        what another system has confirmed
await wallets.deliveries.take(…)        the same, as a queue delivers it
await wallets.dead_letters.retry(…)     what of that could not be applied
await wallets.departures.close_all(…)   the end of an owner's wallets
await wallets.aliases.choose(…)         where money for an alias arrives
await wallets.holders.of_accounts(…)    whose the accounts are that events name
await wallets.payment_requests.pay(…)   money that somebody asks somebody else for
await wallets.on_chains.issue(…)        addresses on chains, and what has arrived there
await wallets.requests.accept(…)        money that is moved later
await wallets.carrying_out.due()        the worker's side of that
await wallets.pictures.apply(…)         balances of a moment ago, as events come
await wallets.projections.rebuild(…)    all of these anew, or compared with the ledger
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from billfold.custody import Custody
from billfold.identity import Approvals, Identity, StepUp
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.errors import BillfoldError
from billfold.ledger import Ledger
from billfold.platform.messaging.tries import Tries
from billfold.platform.postgres.database import Database
from billfold.wallets.adapters.history.cql import CqlHistory
from billfold.wallets.contracts import ConfirmedTransaction, RequestLimits, Transfer
from billfold.wallets.service import approved
from billfold.wallets.service.aliases import Aliases
from billfold.wallets.service.allowance import Allowance
from billfold.wallets.service.assets import Assets
from billfold.wallets.service.balances import Balances
from billfold.wallets.service.bulk import Bulk
from billfold.wallets.service.carrying_out import CarryingOut
from billfold.wallets.service.chain_withdrawals import ChainWithdrawals
from billfold.wallets.service.dead_letters import DeadLetters
from billfold.wallets.service.deliveries import Deliveries
from billfold.wallets.service.departures import Departures
from billfold.wallets.service.ended_requests import EndedRequests
from billfold.wallets.service.endings import Endings
from billfold.wallets.service.history import HistoryCopy, Reading
from billfold.wallets.service.holders import Holders
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.holds import Holds
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.on_chains import OnChains
from billfold.wallets.service.orders import Orders
from billfold.wallets.service.payment_requests import PaymentRequests
from billfold.wallets.service.pictures import Pictures
from billfold.wallets.service.projections import Projections
from billfold.wallets.service.registry import Registry
from billfold.wallets.service.requests import Requests
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.service.supervision import Supervision
from billfold.wallets.service.transactions import Transactions
from billfold.wallets.service.withdrawals import Withdrawals

if TYPE_CHECKING:
    from billfold.wallets.adapters.balances import BalancePictures


class Wallets:
    """Wallets over the ledger. Every use case takes the principal who asks, and sees no further than they may."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        identity: Identity,
        custody: Custody | None = None,
        clock: Clock | None = None,
        approvals: Approvals | None = None,
        approval_above: Mapping[str, str] | None = None,
        step_up: StepUp | None = None,
        step_up_above: Mapping[str, str] | None = None,
        request_limits: RequestLimits | None = None,
        balances_kept: BalancePictures | None = None,
        history: CqlHistory | None = None,
    ) -> None:
        """`identity` says who an alias is; `custody` has the money on chains.

        `approvals` is where people who call ask others; `approval_above` what one withdraws in a day alone.
        `step_up` is where people approve what they do; `step_up_above` what they withdraw in a day without.
        `request_limits` is how many requests wait to be carried out later.
        `balances_kept` is where balances of a moment ago are, where there is such a place.
        `history` is a copy of the history that lists, and requests that have ended, are read from.
        """
        clock = clock or SystemClock()
        by_oneself = Allowance(
            without="factor", above=step_up_above or {}, database=database, ledger=ledger, clock=clock
        )
        alone = Allowance(without="person", above=approval_above or {}, database=database, ledger=ledger, clock=clock)
        withdrawals = Withdrawals(step_up=step_up, allowance=by_oneself, ledger=ledger)
        supervision = Supervision(approvals=approvals, allowance=alone, withdrawals=withdrawals, database=database)
        resolution = Resolution(database=database, ledger=ledger)
        holdings = Holdings(database=database, ledger=ledger)
        self.aliases = Aliases(database=database, ledger=ledger, identity=identity)
        chains = frozenset[str]() if custody is None else custody.serving.names
        orders = Orders(ledger=ledger, resolution=resolution, aliases=self.aliases, chains=chains)
        self.registry = Registry(
            database=database, ledger=ledger, resolution=resolution, clock=clock, supervision=supervision
        )
        self.movements = Movements(ledger=ledger, resolution=resolution, orders=orders, supervision=supervision)
        self.bulk = Bulk(ledger=ledger, orders=orders, supervision=supervision)
        self.holds = Holds(
            ledger=ledger,
            resolution=resolution,
            orders=orders,
            aliases=self.aliases,
            movements=self.movements,
            holdings=holdings,
            supervision=supervision,
            custody=custody,
        )
        self.payment_requests = PaymentRequests(
            database=database,
            ledger=ledger,
            identity=identity,
            orders=orders,
            aliases=self.aliases,
            movements=self.movements,
            clock=clock,
        )
        endings = Endings(database=database, ledger=ledger, clock=clock)
        self.requests = Requests(
            database=database,
            ledger=ledger,
            movements=self.movements,
            endings=endings,
            ended=EndedRequests(None if history is None else history.requests),
            limits=request_limits or RequestLimits(),
        )
        self.carrying_out = CarryingOut(
            database=database, identity=identity, movements=self.movements, endings=endings, clock=clock
        )
        self.chain_withdrawals = ChainWithdrawals(
            custody=custody,
            ledger=ledger,
            resolution=resolution,
            orders=orders,
            holdings=holdings,
            supervision=supervision,
        )
        self.on_chains = OnChains(
            custody=custody, ledger=ledger, holdings=holdings, supervision=supervision, database=database
        )
        #: Who carries out what another person has approved.
        self.executors = approved.executors(
            movements=self.movements,
            bulk=self.bulk,
            holds=self.holds,
            registry=self.registry,
            sent_out=self.chain_withdrawals,
            on_chains=self.on_chains,
        )
        #: What keeps balances of a moment ago, and looks after them; None where nothing does.
        self.pictures: Pictures | None = None
        self.projections: Projections | None = None
        if balances_kept is not None:
            self.pictures = Pictures(database=database, ledger=ledger, clock=clock, kept=balances_kept)
            self.projections = Projections(database=database, pictures=self.pictures)
        self.balances = Balances(ledger=ledger, holdings=holdings, clock=clock, pictures=self.pictures)
        self.assets = Assets(ledger=ledger)
        self.holders = Holders(database=database, resolution=resolution)
        self.dead_letters = DeadLetters(database=database, bulk=self.bulk, clock=clock)
        self.departures = Departures(ledger=ledger, clock=clock)
        self.deliveries = Deliveries(
            bulk=self.bulk, dead_letters=self.dead_letters, tries=Tries(database, "confirmed transactions")
        )
        self.transactions = Transactions(
            ledger=ledger, resolution=resolution, holdings=holdings, reading=Reading(ledger=ledger, copy=history)
        )
        #: What keeps the copy of the history, where there is one.
        self.history = None if history is None else HistoryCopy(database=database, ledger=ledger, copy=history)

    async def apply_confirmed(self, *, transactions: Sequence[ConfirmedTransaction]) -> list[Transfer | BillfoldError]:
        """Credit and debit wallets for what has happened elsewhere, each exactly once by its sender's id.

        What can't be applied stands as its error at its place and touches no other. An error that is `retryable` says
        nothing about the transaction: apply it again.
        """
        return await self.bulk.apply_confirmed(transactions=transactions)
