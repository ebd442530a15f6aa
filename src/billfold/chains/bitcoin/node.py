"""bitcoind's JSON-RPC, as much of it as custody needs, and also as btcd speaks it (https://developer.bitcoin.org/reference/rpc/).

Blocks and transactions are taken as bytes and read by ourselves: a node can keep them from us, but it can't make them
say something else, since their hash is what was asked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median_low
from typing import Any

import msgspec

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, transactions
from billfold.chains.bitcoin.families import Family
from billfold.chains.bitcoin.transactions import Block, Transaction
from billfold.chains.nodes import Nodes, reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.nodes.rpc import Rpc
from billfold.chains.port import Head, Signed

#: Bitcoin Core's numbers: it starts; not there; out of range; spent or unknown inputs; in the chain already.
_STARTING, _NOT_FOUND, _OUT_OF_RANGE, _ALREADY, _NO_METHOD = -28, -5, -8, -27, -32601
#: btcd's for a height that is not there.
_BTCD_OUT_OF_RANGE = -1
#: What btcd says of a transaction that it has, with whatever number.
_KNOWN = re.compile(r"already (have|in|known)|already exists|txn-already", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{64}")
_GENESIS: dict[str, frozenset[str]] = {
    "main": frozenset({"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"}),
    # Testnet 3, testnet 4, signet.
    "test": frozenset(
        {
            "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
            "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
            "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        }
    ),
    "sandbox": frozenset({"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"}),
}
#: Transactions that wait on the whole network; the most ever were some hundred thousand.
WAITING_MAX = 1_000_000
#: A rate beyond it is a mistake or an attack: a hundred times what was ever paid for long, in satoshi for 1,000 bytes.
RATE_MAX = 100_000_000
_COIN_SCALE = 8
#: Of a transaction; a number, since btcd takes no truth value there. Of headers, and whether the mempool counts.
_VERBOSE, _YES, _NO = 1, True, False
#: Coins of one address that are looked at.
_COINS_MAX = 100_000
_PAGE = 100


class Placed(msgspec.Struct, frozen=True):
    """A transaction, and the block of the best chain that has it. Without one it waits, or was in a block once."""

    transaction: Transaction
    block: str | None
    height: int | None
    waits: bool


class Node:
    """The nodes of one network."""

    def __init__(self, nodes: Nodes) -> None:
        self.network = nodes.network
        self.rpc = Rpc(nodes, chain="bitcoin", away=frozenset({_STARTING}))

    async def check(self) -> None:
        """Pass if all nodes are of this network and find every transaction.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        for genesis in await self.rpc.each("getblockhash", 0, read=_hash):
            if genesis not in _GENESIS[self.network]:
                raise errors.NodeWrong("A node is of another network of Bitcoin.")
        if (await self.tip())[0] == 0:
            return
        first = await self.block(await self._hash_at(1) or "")
        try:
            await self.rpc.each("getrawtransaction", first.transactions[0].txid, read=_bytes)
        except CallRefused as refused:
            raise errors.NodeWrong(
                "A node does not find old transactions: it needs the setting txindex=1."
            ) from refused

    async def tip(self) -> tuple[int, str]:
        """Height and hash of the last block."""
        return await self.rpc.head("getblockchaininfo", read=_tip, height=lambda tip: tip[0])

    async def head(self) -> Head:
        """The last block."""
        height, block_hash = await self.tip()
        header = await self._of_hash("getblockheader", block_hash, _NO)
        if len(header) != transactions.HEADER_BYTES or transactions.hashed(header) != block_hash:
            raise errors.NodeWrong("A node gave a header that does not have the hash that was asked for.")
        (seconds,) = struct.unpack_from("<I", header, 68)
        return Head(height=height, hash=block_hash, time=datetime.fromtimestamp(seconds, UTC))

    async def block_at(self, height: int) -> Block | None:
        """The block at a height of the best chain; None if there is none yet."""
        block_hash = await self._hash_at(height)
        return None if block_hash is None else await self.block(block_hash)

    async def block(self, block_hash: str) -> Block:
        """The block with a hash."""
        try:
            found = transactions.block(await self._raw_block(block_hash))
        except transactions.Malformed as error:
            raise errors.NodeWrong(f"A node gave a block that is none: {error}.") from error
        if found.hash != block_hash:
            raise errors.NodeWrong("A node gave another block than was asked for.")
        return found

    async def waiting(self) -> Sequence[str]:
        """Ids of the transactions that wait for a block."""
        return await self.rpc.call("getrawmempool", read=_hashes)

    async def transaction(self, txid: str) -> Transaction | None:
        """A transaction that waits or is in a block; None if the node knows none."""
        try:
            raw = await self.rpc.call("getrawtransaction", txid, read=_bytes)
        except CallRefused as refused:
            if refused.number != _NOT_FOUND:
                raise
            return None
        return _same(raw, txid)

    async def placed(self, txid: str) -> Placed | None:
        """Where a transaction is, by as many nodes as must say so; None if they know none."""
        try:
            raw, block_hash = await self.rpc.agreed(
                "getrawtransaction", txid, _VERBOSE, read=_located, key=lambda said: said
            )
        except CallRefused as refused:
            if refused.number != _NOT_FOUND:
                raise
            return None
        transaction = _same(raw, txid)
        height = None if block_hash is None else await self._height(block_hash)
        return Placed(transaction, None if height is None else block_hash, height, waits=block_hash is None)

    async def unspent(self, txid: str, vout: int) -> bool:
        """Whether blocks have this output, and none a transaction that spends it; what waits doesn't count."""
        return await self.rpc.agreed("gettxout", txid, vout, _NO, read=lambda said: said is not None, key=bool)

    async def rate(self, blocks: int) -> int | None:
        """What gets a transaction into one of the next blocks; None if the nodes have seen too little to say.

        The middle one of what they say: no single node sets what we pay.
        """
        try:
            said = await self.rpc.answers("estimatesmartfee", blocks, read=_rate)
        except CallRefused as refused:
            if refused.number != _NO_METHOD:
                raise
            return None
        known = [each for each in said if each is not None]
        return median_low(known) if known else None

    async def least_rate(self) -> int:
        """Below it nodes pass nothing on, the middle one of them; 0 if it doesn't say so, as btcd."""
        return median_low(await self.rpc.answers("getmempoolinfo", read=_least_rate))

    async def family(self, txid: str) -> Family | None:
        """A transaction that waits with all that waits beside it; None if the node has none such.

        Raises:
            NodeUnavailable: the node does not say so, as btcd.
        """
        try:
            return await self.rpc.call("getmempoolentry", txid, read=_family)
        except CallRefused as refused:
            if refused.number == _NO_METHOD:
                raise errors.NodeUnavailable("The node does not say what waits beside a transaction.") from refused
            if refused.number != _NOT_FOUND:
                raise
            return None

    async def hand_over(self, signed: Signed) -> None:
        """Give a transaction to all nodes.

        Raises:
            Refused, Uncertain.
        """
        said = await self.rpc.broadcast("sendrawtransaction", signed.raw.hex(), read=_hash, known=_has_it)
        if said not in {None, signed.chain_tx}:
            raise errors.NodeWrong("A node knows the transaction by another id than ours.")

    async def holdings(self, address: str) -> int:
        """What an address holds now, in satoshi: by a search through all coins, or by btcd's index of addresses."""
        try:
            scan = ("scantxoutset", "start", [f"addr({address})"])
            return await self.rpc.agreed(*scan, read=_total, key=lambda total: total)
        except CallRefused as refused:
            if refused.number != _NO_METHOD:
                raise
        found: list[Transaction] = []
        page: list[Transaction] | None = None
        while page is None or len(page) == _PAGE:
            try:
                search = ("searchrawtransactions", address, _VERBOSE, len(found), _PAGE)
                page = await self.rpc.agreed(*search, read=_searched, key=_txids)
            except CallRefused as refused:
                # btcd has no empty list: there is no such transaction.
                if refused.number != _NOT_FOUND:
                    raise
                break
            found += page
            if len(found) > _COINS_MAX:
                raise errors.NodeWrong(f"An address has more than {_COINS_MAX} transactions.")
        return _left(found, addresses.script_of(address, self.network))

    async def _hash_at(self, height: int) -> str | None:
        try:
            return await self.rpc.agreed("getblockhash", height, read=_hash, key=str, at=height)
        except CallRefused as refused:
            if refused.number in {_OUT_OF_RANGE, _BTCD_OUT_OF_RANGE}:
                return None
            raise

    async def _raw_block(self, block_hash: str) -> bytes:
        return await self._of_hash("getblock", block_hash, 0)

    async def _of_hash(self, method: str, block_hash: str, form: object) -> bytes:
        """Something of a block that another call has named: the node that is asked now may not have it yet."""
        try:
            return await self.rpc.call(method, block_hash, form, read=_bytes)
        except CallRefused as refused:
            if refused.number == _NOT_FOUND:
                raise errors.NodeUnavailable("A node does not have a block of which another has told.") from refused
            raise

    async def _height(self, block_hash: str) -> int | None:
        """The height of a block of the best chain; None of one that is not on it any more."""
        try:
            return await self.rpc.agreed("getblockheader", block_hash, _YES, read=_active_height, key=lambda said: said)
        except CallRefused as refused:
            # btcd has no headers of other chains in its index.
            if refused.number in {_NOT_FOUND, -32603}:
                return None
            raise


def _hash(said: Any) -> str:
    found = reading.text(said, "a hash")
    if not _HASH.fullmatch(found):
        raise errors.NodeWrong("In a node's answer a hash is none.")
    return found


def _hashes(said: Any) -> Sequence[str]:
    return [_hash(each) for each in reading.items(said, "the mempool", most=WAITING_MAX)]


def _bytes(said: Any) -> bytes:
    try:
        return bytes.fromhex(reading.text(said, "bytes", longest=2 * transactions.WEIGHT_MAX))
    except ValueError:
        raise errors.NodeWrong("In a node's answer bytes are not in hexadecimal digits.") from None


def _tip(said: Any) -> tuple[int, str]:
    return reading.whole(reading.member(said, "blocks"), "blocks"), _hash(reading.member(said, "bestblockhash"))


def _located(said: Any) -> tuple[bytes, str | None]:
    block_hash = reading.record(said, "a transaction").get("blockhash")
    return _bytes(reading.member(said, "hex")), _hash(block_hash) if block_hash else None


def _active_height(said: Any) -> int | None:
    confirmations = reading.whole(reading.member(said, "confirmations"), "confirmations", least=-1)
    return reading.whole(reading.member(said, "height"), "height") if confirmations > 0 else None


def _rate(said: Any) -> int | None:
    rate = reading.record(said, "an estimate").get("feerate")
    return None if rate is None else reading.units(rate, "feerate", scale=_COIN_SCALE, most=RATE_MAX)


def _least_rate(said: Any) -> int:
    form = reading.record(said, "the mempool's state")
    rates = [form[name] for name in ("mempoolminfee", "minrelaytxfee") if name in form]
    return max((reading.units(each, "a least rate", scale=_COIN_SCALE, most=RATE_MAX) for each in rates), default=0)


def _family(said: Any) -> Family:
    fees = reading.record(reading.member(said, "fees"), "fees")

    def whole(name: str) -> int:
        return reading.whole(reading.member(said, name), name, least=1)

    def fee(name: str) -> int:
        most = transactions.MONEY_MAX
        return reading.units(reading.member(fees, name), f"the fee {name}", scale=_COIN_SCALE, most=most)

    return Family(
        vsize=whole("vsize"),
        fee=fee("base"),
        above=whole("ancestorcount"),
        above_vsize=whole("ancestorsize"),
        above_fee=fee("ancestor"),
        below=whole("descendantcount"),
        below_vsize=whole("descendantsize"),
    )


def _total(said: Any) -> int:
    if reading.member(said, "success") is not True:
        raise errors.NodeUnavailable("A node has given up its search through all coins.")
    reading.items(reading.member(said, "unspents"), "the coins", most=_COINS_MAX)
    return reading.units(
        reading.member(said, "total_amount"), "total_amount", scale=_COIN_SCALE, most=transactions.MONEY_MAX
    )


def _searched(said: Any) -> list[Transaction]:
    """Those of a page that are in blocks; the others come last."""
    page = reading.items(said, "transactions", most=_PAGE)
    mined = [each for each in page if reading.record(each, "a transaction").get("confirmations")]
    return [_parsed(_bytes(reading.member(each, "hex"))) for each in mined]


def _txids(page: list[Transaction]) -> tuple[str, ...]:
    return tuple(each.txid for each in page)


def _left(found: Sequence[Transaction], script: bytes) -> int:
    """What outputs with a script come to that none of these transactions spends."""
    spent = {each.coin for transaction in found for each in transaction.inputs}
    return sum(
        output.value
        for transaction in found
        for vout, output in enumerate(transaction.outputs)
        if output.script == script and (transaction.txid, vout) not in spent
    )


def _same(raw: bytes, txid: str) -> Transaction:
    found = _parsed(raw)
    if found.txid != txid:
        raise errors.NodeWrong("A node gave another transaction than was asked for.")
    return found


def _parsed(raw: bytes) -> Transaction:
    try:
        return transactions.transaction(raw)
    except transactions.Malformed as error:
        raise errors.NodeWrong(f"A node gave a transaction that is none: {error}.") from error


def _has_it(refused: CallRefused) -> bool:
    return refused.number == _ALREADY or _KNOWN.search(refused.message) is not None
