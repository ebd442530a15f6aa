from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from billfold.chains.nodes import Nodes
from billfold.chains.nodes.rest import Rest
from billfold.chains.nodes.rpc import Rpc
from billfold.devnet.proxy import FaultProxy
from tests.integration.chains.nodes import small


@dataclass
class Setting:
    """Nodes that are each behind a proxy, and clients of them."""

    nodes: list[small.SmallNode]
    proxies: list[FaultProxy]
    stack: AsyncExitStack

    def told(self, *, quorum: int = 1, timeout_s: float = 5) -> Nodes:
        urls = [proxy.url for proxy in self.proxies]
        return Nodes(network="sandbox", urls=urls, quorum=quorum, timeout_s=timeout_s)

    def rpc(self, *, quorum: int = 1, timeout_s: float = 5, away: frozenset[int] = frozenset()) -> Rpc:
        made = Rpc(self.told(quorum=quorum, timeout_s=timeout_s), chain="small", away=away)
        self.stack.push_async_callback(made.close)
        return made

    def rest(self, *, quorum: int = 1, timeout_s: float = 5) -> Rest:
        made = Rest(self.told(quorum=quorum, timeout_s=timeout_s), chain="small")
        self.stack.push_async_callback(made.close)
        return made

    def asked(self) -> list[int]:
        return [len(node.requests) for node in self.nodes]


@pytest.fixture
async def three() -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(small.running()) for _ in range(3)]
        proxies = [await stack.enter_async_context(FaultProxy(node.url)) for node in nodes]
        yield Setting(nodes, proxies, stack)
