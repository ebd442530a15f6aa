"""Anvil as a child: started, asked, stopped. It keeps nothing; what has to last is in the journal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import msgspec

from billfold.devnet.ethereum import faucet, fetching
from billfold.devnet.serving import DevnetError
from billfold.platform import children, host

CHAIN_ID = 31337
#: So many states of the past can be asked for and gone back to; each has some tens of kilobytes.
STATES_IN_MEMORY = 512
#: After eight blocks one is final: soon enough to see it, late enough to play with reorganizations.
BLOCKS_IN_SLOT_EPOCH = 4
_START_TIMEOUT_S = 60.0
_POLL_S = 0.02
#: A trace of a large block takes seconds.
_ANSWER_TIMEOUT_S = 120.0
#: The first block's, so that everybody's is the same.
_GENESIS_TIME = 1_750_000_000
_GAS_LIMIT = 30_000_000


class EngineFailed(DevnetError):
    """Anvil says no, or nothing."""

    code = "devnet_engine_failed"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_GATEWAY


class Anvil:
    """One anvil on a port of its own, which makes a block only when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = host.free_port()
        self._child: children.Child | None = None
        self._http = httpx2.AsyncClient(timeout=_ANSWER_TIMEOUT_S, trust_env=False)

    async def start(self) -> None:
        """Start it with the first block alone.

        Raises:
            Missing, EngineFailed.
        """
        program = await asyncio.to_thread(fetching.anvil)
        genesis = self._folder / "genesis.json"
        genesis.write_bytes(msgspec.json.encode(_genesis()))
        self._child = await children.start(
            children.Program(
                name="anvil",
                command=(str(program), *self._options(genesis)),
                lock=self._folder / "anvil.lock",
                env={"HOME": str(self._folder)},
                folder=self._folder,
            ),
            on_line=lambda line: print(line, file=sys.stderr),  # noqa: T201 - a program's log
        )
        await self._ready(self._child)

    async def stop(self) -> None:
        """End it."""
        await self._http.aclose()
        if self._child is not None:
            await self._child.stop()

    async def call(self, method: str, *parameters: Any) -> Any:
        """What it answers.

        Raises:
            EngineFailed.
        """
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = msgspec.json.decode(await self.forward(msgspec.json.encode(asked)))
        if "error" in answer:
            raise EngineFailed(f"{method}: {answer['error'].get('message')}")
        return answer.get("result")

    async def calls(self, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What it answers to many questions, each a method and its parameters.

        Raises:
            EngineFailed.
        """
        if not asked:
            return []
        asked_of = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
            for number, (method, *parameters) in enumerate(asked)
        ]
        answers = msgspec.json.decode(await self.forward(msgspec.json.encode(asked_of)))
        if any("error" in each for each in answers):
            raise EngineFailed(f"{asked[0][0]}: {next(each['error'] for each in answers if 'error' in each)}")
        return [each["result"] for each in sorted(answers, key=lambda each: each["id"])]

    async def forward(self, body: bytes) -> bytes:
        """What it answers to a request of somebody's, as it is.

        Raises:
            EngineFailed.
        """
        try:
            answer = await self._http.post(
                f"http://127.0.0.1:{self._port}/", content=body, headers={"Content-Type": "application/json"}
            )
        except httpx2.HTTPError as error:
            raise EngineFailed(f"no answer: {type(error).__name__}") from error
        return answer.content

    def _options(self, genesis: Path) -> tuple[str, ...]:
        return (
            *("--host", "127.0.0.1", "--port", str(self._port), "--quiet"),
            *("--init", str(genesis), "--chain-id", str(CHAIN_ID), "--accounts", "0", "--no-mining"),
            # In the order of arrival, so that the same transactions make the same block again.
            *("--order", "fifo", "--slots-in-an-epoch", str(BLOCKS_IN_SLOT_EPOCH)),
            *("--prune-history", str(STATES_IN_MEMORY), "--no-request-size-limit"),
        )

    async def _ready(self, child: children.Child) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        while True:
            try:
                await self.call("eth_chainId")
            except EngineFailed:
                if not child.running or asyncio.get_running_loop().time() > deadline:
                    raise child.failure("does not answer") from None
                await asyncio.sleep(_POLL_S)
            else:
                return


def _genesis() -> dict[str, Any]:
    """The first block, in the form that geth has for it too."""
    return {
        "config": {"chainId": CHAIN_ID},
        "timestamp": hex(_GENESIS_TIME),
        "gasLimit": hex(_GAS_LIMIT),
        "baseFeePerGas": hex(10**9),
        "difficulty": "0x0",
        "alloc": {faucet.ADDRESS: {"balance": hex(faucet.RICHES)}},
    }
