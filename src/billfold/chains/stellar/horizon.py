"""Horizon's REST interface (https://developers.stellar.org/docs/data/apis/horizon), as much of it as is needed.

Each address of `Nodes` must lead to one Horizon, or to several that are equally far: proofs that something never
happened lean on what the same node has said a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from billfold.chains import errors
from billfold.chains.nodes import Nodes, reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.nodes.rest import Rest
from billfold.chains.stellar import records, results
from billfold.chains.stellar.records import Account, Ledger, Line, Transaction

#: Horizon's own limit of a page.
PAGE_MAX = 200
_NOT_FOUND = 404
_CONFLICT = 409
T = TypeVar("T")


class Horizon:
    """Asks all nodes of the chain."""

    def __init__(self, nodes: Nodes) -> None:
        self._rest = Rest(nodes, chain="stellar")

    async def close(self) -> None:
        """Give up connections."""
        await self._rest.close()

    async def roots(self) -> list[Mapping[str, Any]]:
        """What each node says of itself.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rest.each("/", read=lambda document: reading.record(document, "the answer"))

    async def elder(self) -> int:
        """The first ledger that the node with the shortest memory still has.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        name = "history_elder_ledger"
        return max(
            reading.whole(reading.member(root, name), name, most=records.LEDGER_MAX) for root in await self.roots()
        )

    async def last(self) -> Ledger:
        """The last ledger.

        Raises:
            NodeUnavailable, NodeWrong.
        """

        def read(document: Any) -> Ledger:
            found = records.records(document, most=1)
            if not found:
                raise errors.NodeWrong("A node has no ledger.")
            return records.ledger(found[0])

        query = {"order": "desc", "limit": "1"}
        return await self._rest.head("/ledgers", query, read=read, height=lambda ledger: ledger.sequence)

    async def ledger(self, sequence: int) -> Ledger | None:
        """The ledger of a number; None: it is not closed yet, or kept no more.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        found = await self._found(f"/ledgers/{sequence}", read=records.ledger, at=sequence)
        if found is not None and found.sequence != sequence:
            raise errors.NodeWrong("A node tells of another ledger than it was asked for.")
        return found

    async def payments(self, sequence: int, *, cursor: str, read: Callable[[Any], T]) -> T:
        """A page of what a ledger's successful operations paid, with their transactions.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        query = {"limit": str(PAGE_MAX), "order": "asc", "join": "transactions", "cursor": cursor}
        path = f"/ledgers/{sequence}/payments"
        return await self._rest.agreed(path, query, read=read, key=lambda page: page, at=sequence)

    async def account(self, address: str, *, at: int | None = None) -> Account | None:
        """An account; None: there is none. With `at`, as those nodes say that have this ledger.

        The nodes agree on its number. What it holds may be one node's word here: `line` asks all of them for that.

        Raises:
            NodeUnavailable, NodeWrong.
        """

        def key(found: Account) -> Hashable:
            return found.sequence, found.memo_required

        return await self._found(f"/accounts/{address}", read=records.account, at=at, key=key)

    async def line(self, address: str, token: str | None, *, at: int) -> Line | None:
        """What an account has of an asset, as nodes say that have this ledger; None: it has no such line.

        Raises:
            NodeUnavailable, NodeWrong.
        """

        def read(document: Any) -> Line | None:
            return records.account(document).lines.get(token)

        return await self._found(f"/accounts/{address}", read=read, at=at)

    async def transaction(self, name: str, *, at: int | None = None) -> Transaction | None:
        """A transaction by its hash; None: no ledger has it, as those nodes say that have the ledger `at`.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        found = await self._found(f"/transactions/{name}", read=records.transaction, at=at)
        if found is not None and name not in found.hashes:
            raise errors.NodeWrong("A node tells of another transaction than it was asked for.")
        return found

    async def latest_of(self, address: str) -> list[Transaction]:
        """The last transactions that concern an account, the latest first, failed ones too.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        query = {"limit": str(PAGE_MAX), "order": "desc", "include_failed": "true"}

        def read(document: Any) -> list[Transaction]:
            return [records.transaction(each) for each in records.records(document, most=PAGE_MAX)]

        try:
            return await self._rest.agreed(f"/accounts/{address}/transactions", query, read=read, key=tuple)
        except CallRefused as refused:
            if refused.number == _NOT_FOUND:
                return []
            raise

    async def fee_stats(self) -> Mapping[str, Any]:
        """Statistics of fees.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rest.get("/fee_stats", read=lambda document: reading.record(document, "the answer"))

    async def submit(self, envelope: str) -> None:
        """Hand a transaction to every node; one that has it waiting already is content.

        Raises:
            Refused: with the codes of the ledger's rules, as far as the node says them.
            Uncertain: nobody knows.
        """

        def known(refused: CallRefused) -> bool:
            return refused.number == _CONFLICT

        try:
            await self._rest.broadcast("/transactions_async", {"tx": envelope}, read=_pending, known=known)
        except errors.Refused as error:
            cause = error.__cause__
            raise errors.Refused(_why(cause) if isinstance(cause, CallRefused) else error.detail) from error

    async def _found(
        self, path: str, *, read: Callable[[Any], T], at: int | None, key: Callable[[T], Any] = lambda found: found
    ) -> T | None:
        try:
            return await self._rest.agreed(path, read=read, key=key, at=at)
        except CallRefused as refused:
            if refused.number == _NOT_FOUND:
                return None
            raise


def _pending(document: Any) -> None:
    status = reading.text(reading.member(document, "tx_status"), "tx_status")
    if status not in {"PENDING", "DUPLICATE"}:
        raise errors.NodeWrong("A node takes a transaction and does not say so.")


def _why(refused: CallRefused) -> str:
    """In the words of the protocol, where the node passes its result on."""
    told = refused.data if isinstance(refused.data, dict) else {}
    for name in ("error_result_xdr", "errorResultXdr"):
        if isinstance(told.get(name), str) and len(told[name]) <= results.RESULT_MAX:
            try:
                return f"The network does not take the transaction: {results.reason(told[name])}."
            except errors.NodeWrong:
                continue
    return f"The network does not take the transaction ({refused.number} {refused.message})."
