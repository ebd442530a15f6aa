"""Why the money of a transaction is where it is, for whoever misses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from billfold.custody.contracts import Deposit, Explained, Explanation, Verdict
from billfold.custody.service.chains import Chains
from billfold.custody.service.deposits import Deposits
from billfold.custody.store import deposits as store
from billfold.custody.store.deposits import Ignored
from billfold.platform.postgres.database import Database

#: Which of these wallets are of whoever asks.
Own = Callable[[set[UUID]], Awaitable[set[UUID]]]

#: Of one transaction more are not told; those that pay many have hundreds.
FOUND_MAX = 500

_IGNORED: Mapping[str, str] = {
    "token_not_listed": "The transaction pays a token that is not listed here, so it is not credited. Ask for help.",
    "own_transaction": "This is a transaction of the house between its own addresses.",
    "not_the_associated_account": "The tokens went to another account of the address than its associated token "
    "account, so they are not credited. What wallets pay to the address itself arrives in the right one.",
}
_WAITS: Mapping[str, str] = {
    "below_minimum": "It is less than the minimum. It is credited when more has come and the sum reaches it.",
    "account_frozen": "The wallet is frozen. It is credited when the wallet is unfrozen.",
    "balance_too_large": "The wallet's balance can't become larger. It is credited when there is room for it.",
}


class Explaining:
    """Of all chains."""

    def __init__(self, *, chains: Chains, deposits: Deposits, database: Database) -> None:
        self._chains = chains
        self._deposits = deposits
        self._database = database

    async def explain(self, *, chain_tx: str, own: Own | None) -> Explanation:
        """What is known of a transaction; only what concerns the wallets of whoever asks, or (None) all of it."""
        async with self._database.connection() as connection:
            rows = await store.of_transaction(connection, chain_tx, limit=FOUND_MAX)
            passed = await store.ignored_of(connection, chain_tx, limit=FOUND_MAX)
        named = {row.wallet_id for row in rows} | {one.wallet_id for one in passed}
        wallets = {wallet_id for wallet_id in named if wallet_id is not None}
        if own is not None:
            wallets = await own(wallets)
        everything = own is None
        seen = [row for row in rows if everything or row.wallet_id in wallets or row.kind in ("unmatched", "refunded")]
        told = zip(await self._deposits.told(seen), seen, strict=True)
        found = [_of_deposit(deposit, row.kind, everything=everything) for deposit, row in told]
        found += [_of_ignored(one) for one in passed if everything or one.wallet_id in wallets]
        return Explanation(chain_tx=chain_tx, found=found or [await self._not_seen()])

    async def _not_seen(self) -> Explained:
        """Nothing is known; it may still come where reading is not at the end."""
        late = [state for state in await self._chains.states() if state.status != "reading"]
        why = "Our nodes have seen no payment by this transaction to an address of yours. Check its id and the address."
        if late:
            chains = ", ".join(f"{state.id} ({state.status}, {state.lag or 0} blocks to read)" for state in late)
            why += f" Some chains are not read to their end: {chains}."
        return Explained(verdict="not_seen", why=why)


def _of_deposit(deposit: Deposit, kind: str, *, everything: bool) -> Explained:
    """What is nobody's yet may be of whoever asks: they learn that it is there, and no more."""
    verdict, why = _verdict(deposit, kind)
    shown = deposit if everything or kind == "wallet" else None
    return Explained(verdict=verdict, why=why, chain=deposit.chain, deposit=shown)


def _verdict(deposit: Deposit, kind: str) -> tuple[Verdict, str]:
    count, needed = deposit.confirmations, deposit.credit_after
    match deposit.state:
        case "reverted":
            return (
                "reverted",
                "The chain does not have it any more, so it was taken back. It counts again if it returns.",
            )
        case _ if kind == "refunded":
            return "refunded", "It came without a memo that we know, and is sent back to its owner."
        case _ if kind == "unmatched" and (deposit.state != "detected" or deposit.waits is not None):
            return "unmatched", "It came without a memo that we know. Ask for help: it is kept for its owner."
        case "releasable":
            return "releasable", "It is credited, and may leave on a chain again."
        case "credited":
            return (
                "credited",
                f"It is credited; it may leave on a chain again after {deposit.release_after} confirmations.",
            )
    if deposit.waits is not None:
        return ("below_minimum" if deposit.waits == "below_minimum" else "held_up"), _WAITS[deposit.waits]
    if deposit.height is None:
        return "pending", f"It was seen, and no block has it yet: 0 of {needed} confirmations."
    return "waiting", f"It has {count} of {needed} confirmations."


def _of_ignored(one: Ignored) -> Explained:
    why = _IGNORED.get(one.reason, f"It was passed over: {one.reason}.")
    return Explained(verdict="ignored", why=why, chain=one.chain)
