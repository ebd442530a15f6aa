"""Asks the chains what the addresses hold whose keys a backup has."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from billfold.custody import Custody, Served
from billfold.custody.contracts import IssuedAddress

#: A chain that does not know what an address holds looks for it for minutes, and most hold nothing.
_COINS = "coins"
#: Balances that one chain is asked for at the same time.
_ASKED_MAX = 8


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What addresses hold together whose keys the backup has, in smallest units."""

    chain: str
    #: None is the chain's own coin.
    token: str | None
    addresses: int
    units: int


class Scanning:
    """Of the chains that are served, by their nodes."""

    def __init__(self, *, custody: Custody, tokens: Mapping[str, Sequence[str]]) -> None:
        """`tokens` are those that count, by chain."""
        self._custody = custody
        self._tokens = tokens
        self._served = {one.name: one for one in custody.serving.all}
        self._heights: dict[str, int] = {}
        self._found: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, 0])
        #: Addresses that many share are asked for once.
        self._shared: set[tuple[str, str]] = set()

    async def run(
        self, pages: AsyncIterator[Sequence[IssuedAddress]], *, advance: Callable[[int], None] = lambda _: None
    ) -> None:
        """Ask for each address of each page.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        done = 0
        async for page in pages:
            for name, served in self._served.items():
                await self._ask(served, await self._worth_asking(served, [one for one in page if one.chain == name]))
            done += len(page)
            advance(done)

    @property
    def held(self) -> list[Held]:
        """By chain and token."""
        return [
            Held(chain=chain, token=token, addresses=count, units=units)
            for (chain, token), (count, units) in sorted(self._found.items(), key=str)
        ]

    async def _worth_asking(self, served: Served, page: Sequence[IssuedAddress]) -> list[str]:
        addresses = [one.address for one in page]
        if served.chain.model == _COINS:
            return sorted(await self._custody.issued.with_coins(chain=served.name, addresses=addresses))
        if not served.showing.SHARED:
            return addresses
        new = dict.fromkeys(one for one in addresses if (served.name, one) not in self._shared)
        self._shared |= {(served.name, one) for one in new}
        return list(new)

    async def _ask(self, served: Served, addresses: Sequence[str]) -> None:
        if not addresses:
            return
        if served.name not in self._heights:
            self._heights[served.name] = (await served.chain.head()).height
        height, gate = self._heights[served.name], asyncio.Semaphore(_ASKED_MAX)

        async def ask(address: str, token: str | None) -> int:
            async with gate:
                return await served.chain.balance(address, token=token, height=height)

        for token in (None, *self._tokens.get(served.name, ())):
            units = await asyncio.gather(*(ask(address, token) for address in addresses))
            sums = self._found[served.name, token]
            sums[0] += sum(one > 0 for one in units)
            sums[1] += sum(units)
