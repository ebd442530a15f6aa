"""What is asked of Solana's nodes, and how their answers are read: nothing in them is believed without a look.

Watching goes by `confirmed`: more than two thirds of the stake have voted for such a block, and none was ever taken
back. What decides that a transaction is dead goes by `finalized`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import Nodes, reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.nodes.rpc import Rpc

Commitment = Literal["confirmed", "finalized"]
LAMPORTS_MAX = 2**64 - 1
#: Numbers of errors by which a node says that another should be asked: it has cleaned up, is not healthy, has no
#: history, does not know the block's state yet, or has not come so far.
_AWAY = frozenset({-32001, -32005, -32011, -32014, -32016})
#: By these a slot has no block, or none yet.
_NO_BLOCK = frozenset({-32004, -32007, -32009})
#: The last moment that PostgreSQL and Python both know is later.
_TIME_MAX = 32_503_680_000
_TEXT_MAX = 128
#: So many slots in a row were empty in no outage that did not stop the chain.
SLOTS_BACK = 128
_FEES_MAX = 150
_SLOTS_MAX = 500_000

T = TypeVar("T")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A block without what is in it. `height` counts blocks, where slots may be empty."""

    slot: int
    height: int
    hash: str
    parent: str
    time: datetime


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account; of its data no more than a token account has."""

    lamports: int
    owner: str
    executable: bool
    space: int
    data: bytes


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of a signature."""

    slot: int
    confirmed: bool


class Node:
    """All nodes of the chain."""

    def __init__(self, nodes: Nodes) -> None:
        self._rpc = Rpc(nodes, chain="solana", away=_AWAY)

    async def close(self) -> None:
        await self._rpc.close()

    async def genesis_hashes(self) -> Sequence[str]:
        """That of each node."""
        return await self._rpc.each("getGenesisHash", read=lambda answer: text(answer, "genesis hash"))

    async def tip(self) -> Header:
        """The last confirmed block.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        slot = await self._rpc.head("getSlot", {"commitment": "confirmed"}, read=_slot, height=lambda found: found)
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
        slot = await self._rpc.call("getSlot", {"commitment": "finalized"}, read=_slot)
        found = await self.header(slot, commitment="finalized", agreed=True)
        if found is None:
            raise NodeUnavailable("A node of Solana does not have its last final block.")
        return found

    async def slots(self, first: int, last: int, *, commitment: Commitment) -> Sequence[int]:
        """Those between that have a block."""

        def read(answer: Any) -> Sequence[int]:
            found = [_slot(each) for each in reading.items(answer, "slots", most=_SLOTS_MAX)]
            if found != sorted(set(found)) or (found and not first <= found[0] <= found[-1] <= last):
                raise NodeWrong("A node gives slots that were not asked for.")
            return found

        return await self._rpc.call("getBlocks", first, last, {"commitment": commitment}, read=read)

    async def header(self, slot: int, *, commitment: Commitment, agreed: bool = False) -> Header | None:
        """The header of a slot's block, if it has one."""
        config = _block_config("none", commitment)
        return await self._block(slot, config, lambda answer: header(answer, slot), agreed=agreed)

    async def block(self, slot: int, read: Callable[[Any], T | None]) -> T | None:
        """A slot's confirmed block as `read` reads it, agreed on by the quorum."""
        return await self._block(slot, _block_config("accounts", "confirmed"), read, agreed=True)

    async def signatures(self, slot: int) -> tuple[Header, frozenset[str]] | None:
        """A final block with all its signatures, agreed on by the quorum."""

        def read(answer: Any) -> tuple[Header, frozenset[str]]:
            found = reading.items(reading.member(answer, "signatures"), "signatures", most=100_000)
            return header(answer, slot), frozenset(text(each, "signature") for each in found)

        return await self._block(slot, _block_config("signatures", "finalized"), read, agreed=True)

    async def signatures_of(self, slot: int, payer: str) -> tuple[Header, frozenset[str]] | None:
        """A final block with the signatures of one who pays fees, agreed on by the quorum."""

        def read(answer: Any) -> tuple[Header, frozenset[str]]:
            found = reading.items(reading.member(answer, "transactions"), "transactions", most=100_000)
            pairs = [_payer(reading.member(each, "transaction")) for each in found]
            return header(answer, slot), frozenset(signature for by, signature in pairs if by == payer)

        return await self._block(slot, _block_config("accounts", "finalized"), read, agreed=True)

    async def first_slot(self) -> int:
        """The first block of which as many nodes still know as the quorum wants, or an earlier one."""
        firsts = await self._rpc.each("getFirstAvailableBlock", read=_slot)
        return max(firsts)

    async def account(self, key: str) -> Account | None:
        """What an account is now.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rpc.call("getAccountInfo", key, _account_config(0), read=_account)

    async def agreed_account(self, key: str, *, slot: int = 0) -> Account | None:
        """What an account is after a slot or later: whose it is and what its data say, the quorum agrees on.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._rpc.agreed(
            "getAccountInfo",
            key,
            _account_config(slot),
            read=_account,
            key=lambda found: found and (found.owner, found.data),
        )

    async def final_account(
        self, key: str, *, read: Callable[[Account | None], T | None], slot: int = 0
    ) -> tuple[int, T | None]:
        """What is finally in an account as `read` reads it, agreed on by the quorum, and at which slot.

        That slot is none before `slot`: a node that is behind has no say.
        """

        def read_at(answer: Any) -> tuple[int, T | None]:
            at = _slot(reading.member(reading.member(answer, "context"), "slot"))
            if at < slot:
                raise NodeWrong("A node gives an account as it was before the slot that it was asked for.")
            return at, read(_account(answer))

        config = {"commitment": "finalized", "encoding": "base64", "minContextSlot": slot}
        return await self._rpc.agreed("getAccountInfo", key, config, read=read_at, key=lambda found: found[1])

    async def naming(self, key: str, *, slot: int, most: int) -> Sequence[tuple[str, int]]:
        """Final transactions that name an account, with their slots, the last first, as a node knows after a slot."""

        def read(answer: Any) -> Sequence[tuple[str, int]]:
            return [
                (text(reading.member(each, "signature"), "signature"), _slot(reading.member(each, "slot")))
                for each in reading.items(answer, "signatures", most=most)
            ]

        config = {"commitment": "finalized", "limit": most, "minContextSlot": slot}
        return await self._rpc.call("getSignaturesForAddress", key, config, read=read)

    async def final_transaction(self, signature: str) -> VersionedTransaction | None:
        """A final transaction with its signatures, agreed on by the quorum."""

        def read(answer: Any) -> bytes | None:
            if answer is None:
                return None
            raw = _bytes(reading.member(answer, "transaction"))
            if str(_transaction(raw).signatures[0]) != signature:
                raise NodeWrong("A node gives another transaction than was asked for.")
            return raw

        config = {"commitment": "finalized", "encoding": "base64", "maxSupportedTransactionVersion": 0}
        raw = await self._rpc.agreed("getTransaction", signature, config, read=read, key=lambda found: found)
        return None if raw is None else _transaction(raw)

    async def status(self, signature: str) -> Status | None:
        """What as many nodes know of a signature as the quorum wants, however long ago it was."""

        def read(answer: Any) -> Status | None:
            found = reading.items(value(answer), "statuses", most=1)
            if len(found) != 1:
                raise NodeWrong("A node gives no status for a signature.")
            return None if found[0] is None else _status(found[0])

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
        return await self._rpc.agreed("getBalance", key, config, read=_lamports, key=lambda found: found)

    async def fee(self, message: bytes) -> int | None:
        """What a node takes for a message; None if it does not know its recent block."""

        def read(answer: Any) -> int | None:
            found = value(answer)
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


def header(answer: Any, slot: int) -> Header:
    """A block's header as `getBlock` gives it."""
    seconds = reading.whole(reading.member(answer, "blockTime"), "block time", most=_TIME_MAX)
    if reading.whole(reading.member(answer, "parentSlot"), "parent slot") > slot:
        raise NodeWrong("A node gives a block that is before its parent.")
    return Header(
        slot=slot,
        height=reading.whole(reading.member(answer, "blockHeight"), "block height"),
        hash=text(reading.member(answer, "blockhash"), "blockhash"),
        parent=text(reading.member(answer, "previousBlockhash"), "blockhash of the parent"),
        time=datetime.fromtimestamp(seconds, UTC),
    )


def value(answer: Any) -> Any:
    """What is told of a slot."""
    return reading.member(answer, "value")


def text(given: Any, what: str) -> str:
    return reading.text(given, what, longest=_TEXT_MAX)


def _payer(given: Any) -> tuple[str, str]:
    """Who pays a transaction's fee, and their signature: each the first of all."""
    keys = reading.items(reading.member(given, "accountKeys"), "accounts", most=256)
    signatures = reading.items(reading.member(given, "signatures"), "signatures", most=256)
    if not keys or not signatures:
        raise NodeWrong("A node gives a transaction without signatures or accounts.")
    return text(reading.member(keys[0], "pubkey"), "account"), text(signatures[0], "signature")


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


def _slot(answer: Any) -> int:
    return reading.whole(answer, "slot")


def _lamports(answer: Any) -> int:
    return reading.whole(value(answer), "balance", most=LAMPORTS_MAX)


def _status(given: Any) -> Status:
    level = reading.member(given, "confirmationStatus")
    return Status(slot=_slot(reading.member(given, "slot")), confirmed=level in {"confirmed", "finalized"})


def _account_config(slot: int) -> Mapping[str, Any]:
    part = {"offset": 0, "length": 165}
    return {"commitment": "confirmed", "encoding": "base64", "dataSlice": part, "minContextSlot": slot}


def _account(answer: Any) -> Account | None:
    given = value(answer)
    if given is None:
        return None
    data = _bytes(reading.member(given, "data"))
    return Account(
        lamports=reading.whole(reading.member(given, "lamports"), "lamports", most=LAMPORTS_MAX),
        owner=text(reading.member(given, "owner"), "owner"),
        executable=reading.member(given, "executable") is True,
        space=reading.whole(given.get("space", len(data)), "space"),
        data=data,
    )


def _bytes(given: Any) -> bytes:
    """What a node shows in base 64, with the name of that beside it."""
    parts = reading.items(given, "data", most=2)
    try:
        return base64.b64decode(reading.text(parts[0], "data"), validate=True)
    except (IndexError, binascii.Error):
        raise NodeWrong("A node gives data that could not be read.") from None


def _transaction(raw: bytes) -> VersionedTransaction:
    """A transaction whose signatures are all good."""
    try:
        found = VersionedTransaction.from_bytes(raw)
        good = bool(found.signatures) and all(found.verify_with_results())
    except ValueError as error:
        raise NodeWrong("A node gives a transaction that is none.") from error
    if not good:
        raise NodeWrong("A node gives a transaction that no block can have.")
    return found
