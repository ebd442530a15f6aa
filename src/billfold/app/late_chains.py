"""A chain whose adapter is made when somebody first speaks to it.

The libraries of some chains take seconds to import. A process that starts has better things to do, and most that put
all parts together never speak to a chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import import_module
from typing import Any, cast

from billfold.chains.nodes import (
    Nodes,
    metrics,  # noqa: F401 - so that they are told at zero before the first chain is loaded.
)
from billfold.chains.port import Chain, Model

#: A process that begins is to serve first: whoever reads a chain can wait for so long.
LOAD_AFTER_S = 3.0
#: What is known of each before it is loaded: its model, and its own coin.
_KNOWN: Mapping[str, tuple[Model, str]] = {
    "bitcoin": ("coins", "BTC"),
    "ethereum": ("nonce", "ETH"),
    "solana": ("recent_block", "SOL"),
    "stellar": ("nonce", "XLM"),
}


def open(name: str, nodes: Nodes) -> Chain:  # noqa: A001 - as each chain's package has it
    """The chain of this name. Its package is imported with the first call, in a thread where the call can wait."""
    return cast("Chain", _Late(name, nodes))


@contextlib.asynccontextmanager
async def warmed(chains: Iterable[Chain]) -> AsyncIterator[None]:
    """Load those that are late in a thread meanwhile: a call that can't wait would do it in the event loop.

    For a process that surely speaks to them, and has begun to serve.
    """
    late = [chain for chain in chains if isinstance(chain, _Late)]
    task = asyncio.create_task(_load(late), name="load chains")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _load(late: Iterable[_Late]) -> None:
    for chain in late:
        await chain.load()


class _Late:
    def __init__(self, name: str, nodes: Nodes) -> None:
        self.name = name
        self.network = nodes.network
        self.model, self.coin = _KNOWN[name]
        self._nodes = nodes
        self._chain: Chain | None = None
        self._loading = threading.Lock()
        self._load_at = time.monotonic() + LOAD_AFTER_S

    def __getattr__(self, asked: str) -> Any:
        if not inspect.iscoroutinefunction(getattr(Chain, asked)):
            return getattr(self._loaded(), asked)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await getattr(await self.load(), asked)(*arguments, **named)

        return call

    async def load(self) -> Chain:
        """The adapter; not before others have begun to serve."""
        if self._chain is None:
            await asyncio.sleep(self._load_at - time.monotonic())
            return await asyncio.to_thread(self._loaded)
        return self._chain

    async def close(self) -> None:
        """Give up connections, if there are any."""
        if self._chain is not None:
            await self._chain.close()

    def _loaded(self) -> Chain:
        with self._loading:
            if self._chain is None:
                self._chain = cast("Chain", import_module(f"billfold.chains.{self.name}").open(self._nodes))
            return self._chain
