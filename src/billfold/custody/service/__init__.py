"""The facade of custody: money on chains. Its parts each serve one kind of request.

await custody.addresses.issue(…)      where money for wallets goes
await custody.deposits.page(…)        what has arrived
await custody.explaining.explain(…)   why a transaction's money is where it is
await custody.unmatched.assign(…)     what has arrived for nobody known
await custody.withdrawals.request(…)  what is to leave; `work` is the worker's side of that, and
                                      `sweep` brings deposits to where it leaves from
await custody.treasury.refills()       what operators are asked to bring, and what lies ready
await custody.chains.states()         how far each chain is read, and what is open on it; an operator's words
await custody.reconciling.run(…)      whether the chains hold what the ledger owes
await custody.elsewhere.keys(…)       what is known of keys that are not the signer's
await custody.watchers[…].step()      the worker's side: reads blocks, credits, releases, takes back
custody.issued                        every address there is, for a drill of the backup
custody.consenting                    what takes two people about keys that are elsewhere
custody.exporting                     seeds that leave the signer, sealed for somebody
await custody.reserves.request(…)     a proof of reserves; `step` is the worker's side of it
custody.house, custody.serving        the house's accounts; the chains that are configured
"""

from __future__ import annotations

from collections.abc import Sequence

from billfold.custody.service.addresses import Addresses
from billfold.custody.service.chains import Chains
from billfold.custody.service.consenting import Consenting
from billfold.custody.service.crediting import Crediting
from billfold.custody.service.deposits import Deposits
from billfold.custody.service.elsewhere import Elsewhere
from billfold.custody.service.explaining import Explaining
from billfold.custody.service.exporting import Exporting
from billfold.custody.service.house import House, WalletAccounts
from billfold.custody.service.issued import Issued
from billfold.custody.service.reconciling import Reconciling
from billfold.custody.service.recording import Recording
from billfold.custody.service.reserves import ReserveProofs
from billfold.custody.service.reserves.owing import WalletPages, no_wallets
from billfold.custody.service.reverting import FreezeWallet, Reverting
from billfold.custody.service.served import Served, Serving
from billfold.custody.service.treasury import Treasury
from billfold.custody.service.unmatched import Unmatched
from billfold.custody.service.watching import Watcher
from billfold.custody.service.withdrawals import Withdrawals
from billfold.identity import Approvals, StepUp
from billfold.kernel.clock import Clock, SystemClock
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import SigningService


class Custody:
    """Money on the chains that are configured; without one it only says so."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        wallet_accounts: WalletAccounts,
        freeze_wallet: FreezeWallet,
        served: Sequence[Served] = (),
        wallet_pages: WalletPages = no_wallets,
        signer: SigningService | None = None,
        clock: Clock | None = None,
        approvals: Approvals | None = None,
        step_up: StepUp | None = None,
    ) -> None:
        """`signer` gives addresses; without it there are no new ones.

        `wallet_accounts` says where deposits go; `freeze_wallet` is for those whose deposits a chain takes back;
        `wallet_pages` lists all to whom something may be owed.
        """
        self.database = database
        self._ledger = ledger
        self._wallet_accounts = wallet_accounts
        self._freeze_wallet = freeze_wallet
        self._clock = clock or SystemClock()
        self.serving = Serving(served)
        self.house = House(database=database, ledger=ledger)
        self.elsewhere = Elsewhere(serving=self.serving, database=database, clock=self._clock)
        self.addresses = Addresses(
            serving=self.serving, database=database, signer=signer, elsewhere=self.elsewhere, clock=self._clock
        )
        self.issued = Issued(database=database, clock=self._clock)
        self.exporting = Exporting(
            database=database,
            issued=self.issued,
            signer=signer,
            approvals=approvals,
            step_up=step_up,
            clock=self._clock,
        )
        self.chains = Chains(serving=self.serving, database=database, addresses=self.addresses, clock=self._clock)
        self.deposits = Deposits(serving=self.serving, chains=self.chains, database=database, ledger=ledger)
        self.explaining = Explaining(chains=self.chains, deposits=self.deposits, database=database)
        self.unmatched = Unmatched(
            deposits=self.deposits,
            database=database,
            ledger=ledger,
            house=self.house,
            wallet_accounts=wallet_accounts,
            clock=self._clock,
        )
        self.treasury = Treasury(serving=self.serving, database=database, ledger=ledger, house=self.house)
        self.withdrawals = Withdrawals(
            database=database,
            ledger=ledger,
            house=self.house,
            chains={one.name: one.chain for one in served},
            terms={one.name: one.withdrawing for one in served},
            signer=signer,
            clock=self._clock,
            outside={one.name: one.outside for one in served if one.outside is not None},
        )
        self.consenting = Consenting(
            elsewhere=self.elsewhere, outside=self.withdrawals.outside, approvals=approvals, step_up=step_up
        )
        self.reconciling = Reconciling(
            serving=self.serving, database=database, ledger=ledger, house=self.house, clock=self._clock
        )
        self.reserves = ReserveProofs(
            serving=self.serving,
            database=database,
            ledger=ledger,
            house=self.house,
            wallet_pages=wallet_pages,
            signer=signer,
            clock=self._clock,
        )
        #: What reads each chain.
        self.watchers = {one.name: self._watcher(one) for one in served}

    def _watcher(self, served: Served) -> Watcher:
        crediting = Crediting(
            served=served,
            database=self.database,
            ledger=self._ledger,
            house=self.house,
            wallet_accounts=self._wallet_accounts,
            clock=self._clock,
        )
        reverting = Reverting(
            served=served,
            database=self.database,
            ledger=self._ledger,
            house=self.house,
            freeze_wallet=self._freeze_wallet,
            clock=self._clock,
        )
        recording = Recording(served=served, database=self.database, ledger=self._ledger, clock=self._clock)
        return Watcher(
            served=served,
            database=self.database,
            ledger=self._ledger,
            recording=recording,
            crediting=crediting,
            reverting=reverting,
            unmatched=self.unmatched,
            clock=self._clock,
        )
