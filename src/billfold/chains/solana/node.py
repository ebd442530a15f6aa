"""What is asked of Solana's nodes. How their answers are read is in `records`.

Watching goes by `confirmed`: more than two thirds of the stake have voted for such a block, and none was ever taken
back. What decides that a transaction is dead goes by `finalized`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import Nodes, reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.nodes.rpc import Rpc
from billfold.chains.solana import records
from billfold.chains.solana.records import LAMPORTS_MAX, Account, Header, Status

Commitment = Literal["confirmed", "finalized"]
#: Numbers of errors by which a node says that another should be asked: it has cleaned up, is not healthy, has no
#: history, does not know the block's state yet, or has not come so far.
_AWAY = frozenset({-32001, -32005, -32011, -32014, -32016})
#: By these a slot has no block, or none yet.
_NO_BLOCK = frozenset({-32004, -32007, -32009})
#: So many slots in a row were empty in no outage that did not stop the chain.
SLOTS_BACK = 128
_FEES_MAX = 150
_SLOTS_MAX = 500_000

T = TypeVar("T")


class Node:
    """All nodes of the chain."""

    def __init__(self, nodes: Nodes) -> None:
        self._rpc = Rpc(nodes, chain="solana", away=_AWAY)

    async def close(self) -> None:
        await self._rpc.close()

    async def genesis_hashes(self) -> Sequence[str]:
        """That of each node."""
        return await self._rpc.each("getGenesisHash", read=lambda answer: records.text(answer, "genesis hash"))

    async def tip(self) -> Header:
        """The last confirmed block.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        slot = await self._rpc.head(
            "getSlot", {"commitment": "confirmed"}, read=records.slot, height=lambda found: found
        )
        slots = await self.slots(max(0, slot - SLOTS_BACK), slot, commitment="confirmed")
        found = await self.header(slots[-1], commitment="confirmed") if slots else None
        if found is None:
            raise NodeUnavailable(f"A node of Solana has none of the last {SLOTS_BACK} blocks.")
        return found

    async def final(self) -> Header:
        """A block that is final, of which as many nodes know as the quorum wants.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        slot = await self._rpc.call("getSlot", {"commitment": "finalized"}, read=records.slot)
        found = await self.header(slot, commitment="finalized", agreed=True)
        if found is None:
            raise NodeUnavailable("A node of Solana does not have its last final block.")
        return found

    async def slots(self, first: int, last: int, *, commitment: Commitment) -> Sequence[int]:
        """Those between that have a block."""

        def read(answer: Any) -> Sequence[int]:
            found = [records.slot(each) for each in reading.items(answer, "slots", most=_SLOTS_MAX)]
            if found != sorted(set(found)) or (found and not first <= found[0] <= found[-1] <= last):
                raise NodeWrong("A node gives slots that were not asked for.")
            return found

        return await self._rpc.call("getBlocks", first, last, {"commitment": commitment}, read=read)

    async def header(self, slot: int, *, commitment: Commitment, agreed: bool = False) -> Header | None:
        """The header of a slot's block, if it has one."""
        config = _block_config("none", commitment)
        return await self._block(slot, config, lambda answer: records.header(answer, slot), agreed=agreed)

    async def block(self, slot: int, read: Callable[[Any], T | None]) -> T | None:
        """A slot's confirmed block as `read` reads it, agreed on by the quorum."""
        return await self._block(slot, _block_config("accounts", "confirmed"), read, agreed=True)

    async def signatures(self, slot: int) -> tuple[Header, frozenset[str]] | None:
        """A final block with all its signatures, agreed on by the quorum."""

        def read(answer: Any) -> tuple[Header, frozenset[str]]:
            found = reading.items(reading.member(answer, "signatures"), "signatures", most=100_000)
            return records.header(answer, slot), frozenset(records.text(each, "signature") for each in found)

        return await self._block(slot, _block_config("signatures", "finalized"), read, agreed=True)

    async def signatures_of(self, slot: int, payer: str) -> tuple[Header, frozenset[str]] | None:
        """A final block with the signatures of one who pays fees, agreed on by the quorum."""

        def read(answer: Any) -> tuple[Header, frozenset[str]]:
            found = reading.items(reading.member(answer, "transactions"), "transactions", most=100_000)
            pairs = [records.payer(reading.member(each, "transaction")) for each in found]
            return records.header(answer, slot), frozenset(signature for by, signature in pairs if by == payer)

        return await self._block(slot, _block_config("accounts", "finalized"), read, agreed=True)

    async def first_slot(self) -> int:
        """The first block of which as many nodes still know as the quorum wants, or an earlier one."""
        firsts = await self._rpc.each("getFirstAvailableBlock", read=records.slot)
        return max(firsts)

    async def account(self, key: str) -> Account | None:
        """What an account is now.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rpc.call("getAccountInfo", key, _account_config(0), read=records.account)

    async def agreed_account(self, key: str, *, slot: int = 0) -> Account | None:
        """What an account is after a slot or later: whose it is and what its data say, the quorum agrees on.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rpc.agreed(
            "getAccountInfo",
            key,
            _account_config(slot),
            read=records.account,
            key=lambda found: found and (found.owner, found.data),
        )

    async def final_account(
        self, key: str, *, read: Callable[[Account | None], T | None], slot: int = 0
    ) -> tuple[int, T | None]:
        """What is finally in an account as `read` reads it, agreed on by the quorum, and at which slot.

        That slot is none before `slot`: a node that is behind has no say.
        """

        def read_at(answer: Any) -> tuple[int, T | None]:
            at = records.slot(reading.member(reading.member(answer, "context"), "slot"))
            if at < slot:
                raise NodeWrong("A node gives an account as it was before the slot that it was asked for.")
            return at, read(records.account(answer))

        config = {"commitment": "finalized", "encoding": "base64", "minContextSlot": slot}
        return await self._rpc.agreed("getAccountInfo", key, config, read=read_at, key=lambda found: found[1])

    async def naming(self, key: str, *, slot: int, most: int) -> Sequence[tuple[str, int]]:
        """Final transactions that name an account, with their slots, the last first, as a node knows after a slot."""

        def read(answer: Any) -> Sequence[tuple[str, int]]:
            return [
                (
                    records.text(reading.member(each, "signature"), "signature"),
                    records.slot(reading.member(each, "slot")),
                )
                for each in reading.items(answer, "signatures", most=most)
            ]

        config = {"commitment": "finalized", "limit": most, "minContextSlot": slot}
        return await self._rpc.call("getSignaturesForAddress", key, config, read=read)

    async def final_transaction(self, signature: str) -> VersionedTransaction | None:
        """A final transaction with its signatures, agreed on by the quorum."""

        def read(answer: Any) -> bytes | None:
            if answer is None:
                return None
            raw = records.content(reading.member(answer, "transaction"))
            if str(records.transaction(raw).signatures[0]) != signature:
                raise NodeWrong("A node gives another transaction than was asked for.")
            return raw

        config = {"commitment": "finalized", "encoding": "base64", "maxSupportedTransactionVersion": 0}
        raw = await self._rpc.agreed("getTransaction", signature, config, read=read, key=lambda found: found)
        return None if raw is None else records.transaction(raw)

    async def status(self, signature: str) -> Status | None:
        """What as many nodes know of a signature as the quorum wants, however long ago it was."""

        def read(answer: Any) -> Status | None:
            found = reading.items(records.value(answer), "statuses", most=1)
            if len(found) != 1:
                raise NodeWrong("A node gives no status for a signature.")
            return None if found[0] is None else records.status(found[0])

        config = {"searchTransactionHistory": True}
        return await self._rpc.agreed("getSignatureStatuses", [signature], config, read=read, key=lambda found: found)

    async def transaction(self, signature: str, read: Callable[[Any], T]) -> T | None:
        """A confirmed transaction as `read` reads it, agreed on by the quorum."""
        config = {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0}
        return await self._rpc.agreed(
            "getTransaction",
            signature,
            config,
            read=lambda answer: None if answer is None else read(answer),
            key=lambda found: found,
        )

    async def send(self, raw: bytes, signature: str) -> None:
        """Hand a transaction to all nodes.

        Raises:
            Refused, Uncertain.
        """

        def read(answer: Any) -> str:
            if answer != signature:
                raise NodeWrong("A node gives a transaction another signature than it has.")
            return signature

        config = {"encoding": "base64", "preflightCommitment": "confirmed"}
        encoded = base64.b64encode(raw).decode()
        await self._rpc.broadcast("sendTransaction", encoded, config, read=read, known=_known)

    async def lamports(self, key: str, *, slot: int = 0) -> int:
        """What an account has after a slot or later, agreed on by the quorum."""
        config = {"commitment": "confirmed", "minContextSlot": slot}
        return await self._rpc.agreed("getBalance", key, config, read=records.lamports, key=lambda found: found)

    async def fee(self, message: bytes) -> int | None:
        """What a node takes for a message; None if it does not know its recent block."""

        def read(answer: Any) -> int | None:
            found = records.value(answer)
            return None if found is None else reading.whole(found, "fee", most=LAMPORTS_MAX)

        encoded = base64.b64encode(message).decode()
        return await self._rpc.call("getFeeForMessage", encoded, {"commitment": "confirmed"}, read=read)

    async def recent_fees(self) -> Sequence[int]:
        """The least price of computing by which a transaction got into each of the last blocks, in micro-lamports."""

        def read(answer: Any) -> Sequence[int]:
            slots = reading.items(answer, "fees", most=_FEES_MAX)
            return [
                reading.whole(reading.member(each, "prioritizationFee"), "fee", most=LAMPORTS_MAX) for each in slots
            ]

        return await self._rpc.call("getRecentPrioritizationFees", [], read=read)

    async def rent(self, size: int) -> int:
        """What an account with so much data must hold."""
        return await self._rpc.call(
            "getMinimumBalanceForRentExemption",
            size,
            read=lambda answer: reading.whole(answer, "rent", most=LAMPORTS_MAX),
        )

    async def _block(
        self, slot: int, config: Mapping[str, Any], read: Callable[[Any], T | None], *, agreed: bool
    ) -> T | None:
        def read_block(answer: Any) -> T | None:
            return None if answer is None else read(answer)

        try:
            if agreed:
                return await self._rpc.agreed(
                    "getBlock", slot, config, read=read_block, key=lambda found: found, at=slot
                )
            return await self._rpc.call("getBlock", slot, config, read=read_block)
        except CallRefused as refused:
            if refused.number in _NO_BLOCK:
                return None
            raise


def _known(refused: CallRefused) -> bool:
    """Whether a node refuses a transaction because it has it already. Some say so in words alone."""
    told = isinstance(refused.data, dict) and refused.data.get("err") == "AlreadyProcessed"
    return told or "already been processed" in refused.message


def _block_config(details: str, commitment: Commitment) -> Mapping[str, Any]:
    return {
        "commitment": commitment,
        "encoding": "json",
        "transactionDetails": details,
        "rewards": False,
        "maxSupportedTransactionVersion": 0,
    }


def _account_config(slot: int) -> Mapping[str, Any]:
    part = {"offset": 0, "length": 165}
    return {"commitment": "confirmed", "encoding": "base64", "dataSlice": part, "minContextSlot": slot}
