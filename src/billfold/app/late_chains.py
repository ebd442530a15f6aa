"""A chain whose adapter is made when somebody first speaks to it.

The libraries of some chains take seconds to import. A process that starts has better things to do, and most that put
all parts together never speak to a chain.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from billfold.chains.nodes import Nodes
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
            if self._chain is None:
                await asyncio.sleep(self._load_at - time.monotonic())
            chain = self._chain or await asyncio.to_thread(self._loaded)
            return await getattr(chain, asked)(*arguments, **named)

        return call

    async def close(self) -> None:
        """Give up connections, if there are any."""
        if self._chain is not None:
            await self._chain.close()

    def _loaded(self) -> Chain:
        with self._loading:
            if self._chain is None:
                self._chain = cast("Chain", import_module(f"billfold.chains.{self.name}").open(self._nodes))
            return self._chain
