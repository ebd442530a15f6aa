"""The local chain: blocks, faucet and reorganizations, each on the disk before anybody is told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler

from billfold.devnet import serving
from billfold.devnet.ethereum import engine, faucet, journal, passing
from billfold.devnet.ethereum.gate import Gate
from billfold.devnet.ethereum.journal import Line, Made, Past
from billfold.devnet.serving import DevnetConflict, DevnetError
from billfold.platform import host

#: Blocks between whole states: a start makes at most twice as many again.
STATE_EVERY = 256
#: The engine must still have the state that is gone back to, and the journal what came after it.
REORG_MAX = 250


class Local(serving.Devnet):
    """Ethereum in a folder."""

    chain = "ethereum"
    usual_block_s = 2.0

    def __init__(self, folder: Path) -> None:
        self._folder = host.private_folder(folder / "ethereum")
        self._engine = engine.Anvil(self._folder)
        self._journal = journal.Journal(self._folder)
        self._gate = Gate()
        #: Transactions that no block has, by hash, in the order of their arrival.
        self._waiting: dict[str, str] = {}
        self._tip = serving.Tip(height=0, hash="")
        self._time = 0

    async def start(self) -> None:
        """Be as far as it was, with the same hashes.

        Raises:
            DevnetError: a block can't be made again as it was; then nothing is changed.
        """
        past = self._journal.open()
        await self._engine.start()
        try:
            await self._again(past)
            if not self._tip.height:
                await self._first()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End."""
        await self._engine.stop()
        self._journal.close()

    def routes(self) -> Sequence[ControllerRouterHandler]:
        """JSON-RPC at `/`."""

        @post("/", status_code=200)
        async def rpc(request: Request[Any, Any, Any]) -> Response[bytes]:
            return Response(await self._passed(await request.body()), media_type=MediaType.JSON)

        return [rpc]

    async def tip(self) -> serving.Tip:
        """The last block."""
        return self._tip

    async def mine(self, blocks: int) -> None:
        """Make blocks; killed in the midst of many, it has made some or none of them."""
        async with self._gate.changing():
            made = await self._blocks(max(int(time.time()), self._time + 1), count=blocks, step_s=1)
            self._journal.write(Line(block=block) for block in made)
            if self._tip.height >= self._journal.kept + STATE_EVERY:
                await self._keep()

    async def faucet(self, wanted: serving.Faucet) -> str:
        """Send coins or tokens from the account that has them."""
        if wanted.memo is not None:
            raise DevnetError("Ethereum has no memos")
        what = faucet.payment(wanted.address, wanted.amount, wanted.token)
        return await self._pay(what, gas=faucet.GAS_TO_PAY)

    async def reorg(self, *, depth: int, drop: bool) -> None:
        """Go back, and make other blocks."""
        height = self._tip.height - depth
        # The first block has the token, without which the chain is not what everybody expects.
        if depth > REORG_MAX or height < max(1, self._journal.floor):
            deepest = min(REORG_MAX, self._tip.height - max(1, self._journal.floor))
            raise DevnetConflict(f"not deeper than {deepest} blocks now")
        async with self._gate.changing():
            gone = await self._transactions(height + 1, self._tip.height)
            self._journal.forget_states_after(height)
            lines = [Line(back=height)]
            await self._engine.call("anvil_rollback", depth)
            await self._engine.call("anvil_dropAllTransactions")
            await self._reset_fee()
            again = ({} if drop else gone) | self._waiting
            self._waiting = await self._handed_over(again.items())
            lost = [hashed for hashed in gone | again if hashed not in self._waiting]
            lines.append(Line(drop=lost))
            # Later than any block that was, so that no new one is the same as an old one.
            first = max(int(time.time()), self._time) + 1
            await self._look()
            lines += [Line(block=block) for block in await self._blocks(first, count=depth + 1, step_s=1)]
            self._journal.write(lines)

    async def _first(self) -> None:
        """Make the token, in the first block of all."""
        if not self._waiting:
            await self._pay({"to": b"", "value": 0, "data": faucet.usdc()}, gas=faucet.GAS_TO_DEPLOY)
        await self.mine(1)

    async def _again(self, past: Past) -> None:
        """Make everything that was, once more."""
        if past.state is not None:
            await self._engine.call("anvil_loadState", past.state.decode())
        await self._look()
        for run in journal.runs(past.blocks):
            await self._handed_over((hashed, past.raws[hashed]) for hashed in run[0].txs)
            step_s = run[-1].time - run[-2].time if len(run) > 1 else 1
            made = await self._blocks(run[0].time, count=len(run), step_s=step_s)
            if made[-1].hash != run[-1].hash:
                raise DevnetError(f"block {run[-1].height} was {run[-1].hash} and would now be {made[-1].hash}")
        self._waiting = await self._handed_over((hashed, past.raws[hashed]) for hashed in past.waiting)

    async def _passed(self, body: bytes) -> bytes:
        async with self._gate.reading():
            said, handed = await passing.answer(body, self._engine.forward)
            new = {each.hash: each.raw for each in handed if each.hash not in self._waiting}
            if new:
                self._waiting |= new
                self._journal.write(Line(tx=each) for each in new.items())
            return said

    async def _pay(self, what: dict[str, Any], *, gas: int) -> str:
        nonce = int(await self._engine.call("eth_getTransactionCount", faucet.ADDRESS, "pending"), 16)
        head = await self._engine.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003 - as JSON-RPC has it
        base_fee = int(head["baseFeePerGas"], 16)
        chain_id = engine.CHAIN_ID
        hashed, raw = faucet.signed(what, nonce=nonce, base_fee=base_fee, gas=gas, chain_id=chain_id)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
        said = msgspec.json.decode(await self._passed(msgspec.json.encode(asked)))
        if "error" in said:
            raise DevnetError(f"the faucet's transaction is refused: {said['error'].get('message')}")
        return hashed

    async def _blocks(self, first: int, *, count: int, step_s: int) -> list[Made]:
        """So many blocks, the first with what waits for one and that instant, the next so many seconds later each."""
        before = self._tip.height
        await self._engine.call("evm_setNextBlockTimestamp", first)
        # The interval that `anvil_mine` takes itself has the time added that passes meanwhile.
        await self._engine.call("anvil_setBlockTimestampInterval", step_s)
        await self._engine.call("anvil_mine", hex(count))
        asked = [("eth_getBlockByNumber", hex(before + 1 + number), False) for number in range(count)]
        made = [_made(block) for block in await self._engine.calls(asked)]
        self._at(made[-1])
        for hashed in (hashed for block in made for hashed in block.txs):
            self._waiting.pop(hashed, None)
        return made

    async def _look(self) -> None:
        """See where the engine is."""
        self._at(_made(await self._engine.call("eth_getBlockByNumber", "latest", False)))  # noqa: FBT003

    def _at(self, block: Made) -> None:
        self._tip, self._time = serving.Tip(height=block.height, hash=block.hash), block.time

    async def _reset_fee(self) -> None:
        """After going back the engine would go on with the base fee of the block that it has forgotten.

        https://eips.ethereum.org/EIPS/eip-1559 says how it follows from the block before.
        """
        head = await self._engine.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003 - as JSON-RPC has it
        fee, used, target = int(head["baseFeePerGas"], 16), int(head["gasUsed"], 16), int(head["gasLimit"], 16) // 2
        change = fee * abs(used - target) // target // 8
        fee = fee + max(change, 1) if used > target else fee - change if used < target else fee
        await self._engine.call("anvil_setNextBlockBaseFeePerGas", hex(fee))

    async def _transactions(self, first: int, last: int) -> dict[str, str]:
        """All transactions of blocks, by their hash."""
        asked = [("eth_getBlockByNumber", hex(height), False) for height in range(first, last + 1)]
        hashes = [hashed for block in await self._engine.calls(asked) for hashed in block["transactions"]]
        raws = await self._engine.calls([("eth_getRawTransactionByHash", hashed) for hashed in hashes])
        return dict(zip(hashes, raws, strict=True))

    async def _handed_over(self, transactions: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Those that the engine still takes."""
        taken: dict[str, str] = {}
        for hashed, raw in transactions:
            try:
                await self._engine.call("eth_sendRawTransaction", raw)
            except engine.EngineFailed:
                continue
            taken[hashed] = raw
        return taken

    async def _keep(self) -> None:
        """Keep a whole state, and forget transactions that were replaced by others while they waited."""
        pool = await self._engine.call("txpool_content")
        there = {each["hash"] for kind in pool.values() for account in kind.values() for each in account.values()}
        self._waiting = {hashed: raw for hashed, raw in self._waiting.items() if hashed in there}
        state: str = await self._engine.call("anvil_dumpState", False)  # noqa: FBT003 - as JSON-RPC has it
        self._journal.keep(self._tip.height, state.encode(), self._waiting.items())


def _made(block: dict[str, Any]) -> Made:
    return Made(int(block["number"], 16), block["hash"], int(block["timestamp"], 16), block["transactions"])
