"""Which movements of a block are money for us, whose it is, and which are none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from billfold.chains.port import Block, Movement
from billfold.custody import errors
from billfold.kernel import money

Kind = Literal["wallet", "unmatched", "house", "warm"]
#: An address, and the memo that says whose it is where that takes one.
Place = tuple[str, str]

#: No chain has longer ones. What is longer comes from a node that is broken, or worse.
TEXT_MAX = 200
#: Of any chain; a block with more is not one.
MOVEMENTS_MAX = 1_000_000
#: Blocks of a chain with ten a second for thousands of years; PostgreSQL counts a thousand times as far.
HEIGHT_MAX = 10**15
#: Bitcoin's are 100.
MATURES_MAX = 100_000


class Ours(msgspec.Struct, frozen=True):
    """An address of ours."""

    purpose: str
    wallet_id: UUID | None


class Warm(msgspec.Struct, frozen=True):
    """By what money of the operator's own warm address is known: who sends it, or where it arrives.

    It decides between accounts of the house alone.
    """

    sender: str | None = None
    address: str | None = None

    def brought(self, movement: Movement) -> bool:
        """Whether this came from there."""
        return movement.address == self.address or (movement.sender is not None and movement.sender == self.sender)


class Arrived(msgspec.Struct, frozen=True):
    """Money for us."""

    movement: Movement
    asset: str
    kind: Kind
    wallet_id: UUID | None


class Passed(msgspec.Struct, frozen=True):
    """A movement to an address of ours that is no deposit, and why."""

    movement: Movement
    wallet_id: UUID | None
    reason: str


def places(movements: Iterable[Movement]) -> set[Place]:
    """Where it has to be looked for whose they are."""
    return {place for movement in movements for place in _places(movement)}


def _places(movement: Movement) -> list[Place]:
    """The likelier first. Many senders know memos of text only, and write the number there."""
    memo = movement.memo
    if memo is None:
        return [(movement.address, "")]
    kind, _, text = memo.partition(":")
    number = [(movement.address, f"id:{text}")] if kind == "text" and text.isascii() and text.isdigit() else []
    return [(movement.address, memo), *number, (movement.address, "")]


def owner(movement: Movement, ours: Mapping[Place, Ours]) -> Ours | None:
    """Whose the address is; None if it is not ours."""
    return next((found for place in _places(movement) if (found := ours.get(place)) is not None), None)


def sort(
    movements: Iterable[Movement],
    *,
    ours: Mapping[Place, Ours],
    assets: Mapping[str | None, str],
    own: Collection[str],
    fed: Collection[str] = (),
    shared: bool,
    warm: Warm | None = None,
) -> tuple[list[Arrived], list[Passed]]:
    """What has arrived for us, and what was passed over.

    `assets` are codes by token; `own` are transactions of ours, and `fed` those of them that bring wallets' addresses
    the house's own coin; `shared` says that wallets share an address, so that
    money without a known memo is nobody's yet; `warm` is what the operator's own comes back by.
    """
    arrived: list[Arrived] = []
    passed: list[Passed] = []
    for movement in movements:
        found = owner(movement, ours)
        if found is None or movement.amount == 0:
            continue
        asset = assets.get(movement.token)
        if movement.ignored is not None:
            passed.append(Passed(movement, found.wallet_id, movement.ignored))
        elif asset is None:
            passed.append(Passed(movement, found.wallet_id, "token_not_listed"))
        elif movement.chain_tx in fed:
            passed.append(Passed(movement, None, "own_transaction"))
        elif found.wallet_id is not None:
            arrived.append(Arrived(movement, asset, "wallet", found.wallet_id))
        elif movement.chain_tx in own:
            passed.append(Passed(movement, None, "own_transaction"))
        elif warm is not None and warm.brought(movement):
            arrived.append(Arrived(movement, asset, "warm", None))
        else:
            arrived.append(Arrived(movement, asset, "unmatched" if shared else "house", None))
    return arrived, passed


def check(block: Block, *, height: int) -> None:
    """Go on only with a block that can be.

    Raises:
        BlockWrong: it says what is wrong.
    """
    if block.height != height:
        raise errors.BlockWrong(f"The block {height} says that it is {block.height}.")
    if not (block.hash and block.parent and _can_be(block.hash) and _can_be(block.parent)):
        raise errors.BlockWrong(f"The block {height} has no hash that can be one.")
    if max(len(block.movements), len(block.spent)) > MOVEMENTS_MAX:
        raise errors.BlockWrong(f"The block {height} has more in it than any block.")
    check_movements(block.movements)
    if not all(_can_be(text) for one in block.spent for text in (one.chain_tx, one.index, one.by)):
        raise errors.BlockWrong(f"The block {height} uses up a coin with a name that can't be.")


def check_height(height: int) -> None:
    """Go on only with a height that can be.

    Raises:
        BlockWrong: no chain will ever be there.
    """
    if not 0 <= height <= HEIGHT_MAX:
        raise errors.BlockWrong(f"The last block is said to be {str(height)[:TEXT_MAX]}.")


def check_movements(movements: Sequence[Movement]) -> None:
    """Go on only with movements that can be, each at a place of its own.

    Raises:
        BlockWrong: it says what is wrong.
    """
    seen: set[tuple[str, str]] = set()
    for one in movements:
        if not 0 <= one.amount <= money.UNITS_MAX:
            raise errors.BlockWrong(f"A movement of {one.chain_tx[:TEXT_MAX]} has an amount that can't be.")
        texts = (one.chain_tx, one.index, one.address, one.token or "", one.memo or "", one.sender or "")
        if not all(_can_be(text) for text in texts):
            raise errors.BlockWrong("A movement has a text that can't be.")
        if not 0 <= one.matures_after <= MATURES_MAX:
            raise errors.BlockWrong(f"New coins of {one.chain_tx} can't be spent for {one.matures_after} blocks.")
        if (one.chain_tx, one.index) in seen:
            raise errors.BlockWrong(f"The place {one.index} of {one.chain_tx} is there twice.")
        seen.add((one.chain_tx, one.index))


def _can_be(text: str) -> bool:
    """Whether it is no longer than anything of a chain, and a database takes it."""
    if len(text) > TEXT_MAX or "\x00" in text:
        return False
    # Almost all are; half a pair of surrogates is what JSON can say and UTF-8 can't.
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
