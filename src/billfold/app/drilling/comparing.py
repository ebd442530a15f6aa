"""Derives every address that was given out from what a backup has, and compares. It keeps counts and a few examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from typing import cast

import msgspec

from billfold.chains.signing_port import Purpose
from billfold.custody import Showing
from billfold.custody.contracts import IssuedAddress, IssuedTree
from billfold.kernel.errors import BillfoldError
from billfold.signer.contracts import ADDRESSES_MAX, SigningService, Tree

#: Differences that are told one by one.
TOLD_MAX = 20
#: Places that were taken and never used are derived, too, when no more lie between two that were.
_GAP_MAX = 100
#: Where memos tell deposits apart, all of them come to the key at this place.
_SHARED: tuple[Purpose, int] = ("hot", 0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is given out, and is not what the backup makes of its place."""

    chain: str
    purpose: Purpose
    place: int
    issued: str
    #: None: the backup makes nothing of it.
    derived: str | None


class Compared(msgspec.Struct, kw_only=True):
    """What was found so far. `differences` has the first TOLD_MAX."""

    issued: int = 0
    derived: int = 0
    equal: int = 0
    differences: list[Difference] = msgspec.field(default_factory=list)

    def count(self, one: IssuedAddress, derived: str | None) -> bool:
        """One more; whether it is as it should be."""
        self.issued += 1
        self.derived += derived is not None
        same = derived == _written(one)
        self.equal += same
        if not same and len(self.differences) < TOLD_MAX:
            self.differences.append(
                Difference(chain=one.chain, purpose=one.purpose, place=one.place, issued=_written(one), derived=derived)
            )
        return same


class Comparing:
    """Of one backup."""

    def __init__(self, *, signer: SigningService, restored: Sequence[Tree], trees: Sequence[IssuedTree]) -> None:
        """`restored` is what the backup has, `trees` what addresses were given out of."""
        self._signer = signer
        known = {(tree.id, tree.chain, tree.network) for tree in restored}
        self._trees = {tree.chain: tree for tree in trees if (tree.tree_id, tree.chain, tree.network) in known}
        self._shared: dict[str, str] = {}
        self.found = Compared()

    async def run(
        self, pages: AsyncIterator[Sequence[IssuedAddress]], *, advance: Callable[[int], None]
    ) -> AsyncIterator[Sequence[IssuedAddress]]:
        """Compare page after page; gives those of each that are as they should be.

        Raises:
            DatabaseUnavailable.
        """
        async for page in pages:
            good: list[IssuedAddress] = []
            for run in runs(page):
                derived = await self._derived(run)
                good += [one for one in run if self.found.count(one, derived.get(one.place))]
            advance(self.found.issued)
            yield good

    async def _derived(self, run: Sequence[IssuedAddress]) -> Mapping[int, str]:
        """What the backup makes of places in a row."""
        first, tree = run[0], self._trees.get(run[0].chain)
        if tree is None:
            return {}
        showing = _showing(first.chain)
        try:
            if showing.SHARED and first.purpose == "deposit":
                address = await self._of_all(tree)
                return {one.place: _joined(address, showing.memo(one.place)) for one in run}
            return dict(enumerate(await self._addresses(tree, first.purpose, first.place, run[-1].place), first.place))
        except BillfoldError as error:
            # A place that the chain does not have is a difference like any other; a database that is away is not.
            if error.retryable:
                raise
            return {}

    async def _of_all(self, tree: IssuedTree) -> str:
        if tree.chain not in self._shared:
            purpose, place = _SHARED
            (self._shared[tree.chain],) = await self._addresses(tree, purpose, place, place)
        return self._shared[tree.chain]

    async def _addresses(self, tree: IssuedTree, purpose: Purpose, first: int, last: int) -> Sequence[str]:
        return await self._signer.addresses(tree_id=tree.tree_id, purpose=purpose, first=first, count=last - first + 1)


def runs(page: Sequence[IssuedAddress]) -> Iterator[list[IssuedAddress]]:
    """Addresses that are derived together: of one chain and purpose, near each other, and not too many."""
    for _, group in groupby(page, key=lambda one: (one.chain, one.purpose)):
        run: list[IssuedAddress] = []
        for one in group:
            if run and (one.place - run[-1].place > _GAP_MAX or one.place - run[0].place >= ADDRESSES_MAX):
                yield run
                run = []
            run.append(one)
        yield run


def _showing(chain: str) -> Showing:
    return cast("Showing", import_module(f"billfold.chains.{chain}.showing"))


def _written(one: IssuedAddress) -> str:
    return _joined(one.address, one.memo)


def _joined(address: str, memo: str) -> str:
    return f"{address} {memo}" if memo else address
