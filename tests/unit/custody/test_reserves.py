"""Proofs of reserves as anybody checks them: with the published file and one's own proof, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold.chains.claims import Claim
from billfold.custody.contracts.reserves import (
    FORMAT,
    PROOF_FORMAT,
    Beside,
    HeldAddress,
    HeldOnChain,
    HolderProof,
    Liabilities,
    Reserves,
    Step,
)
from billfold.custody.domain import reserves, sum_trees
from billfold.custody.domain.reserves import Refuted, check, check_proof

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)
SNAPSHOT = UUID(int=7)
SECRET = bytes(range(32))
CHANCE = random.Random(7)
OWED = {UUID(int=100 + number): CHANCE.randrange(1, 10**12) for number in range(37)}
TREE = sorted(
    [(reserves.holder_of(reserves.salt(SECRET, "BTC", one), one), amount) for one, amount in OWED.items()]
    + [(reserves.padding(SECRET, "BTC", number), 0) for number in range(reserves.leaves_of(37) - 37)]
)
NODES = [sum_trees.leaf(*one) for one in TREE]


def signed(claim: Claim, signature: str) -> bool:
    return signature == f"{claim.address} {claim.root.hex()[:8]}"


def published(**other: Any) -> Reserves:
    top = sum_trees.top(NODES)
    told = Liabilities(
        asset="BTC",
        scale=8,
        chain="bitcoin",
        token=None,
        owed=str(top.sum),
        depth=6,
        top=top.hash.hex(),
        below_zero="12",
        held=str(top.sum + 1),
    )
    root = reserves.root_of(SNAPSHOT, AT, [told]).hex()
    amounts = {"a": str(top.sum), "b": "1"}
    addresses = [
        HeldAddress(address=name, amounts={"BTC": held}, signature=f"{name} {root[:8]}")
        for name, held in amounts.items()
    ]
    chain = HeldOnChain(chain="bitcoin", network="main", height=9, addresses=addresses, left_out=0)
    made = Reserves(format=FORMAT, snapshot=SNAPSHOT, at=AT, root=root, assets=[told], chains=[chain])
    return msgspec.structs.replace(made, **other)


def proof(holder: UUID) -> HolderProof:
    salt = reserves.salt(SECRET, "BTC", holder)
    index = [key for key, _ in TREE].index(reserves.holder_of(salt, holder))
    way = [Beside(hash=one.hash.hex(), sum=str(one.sum)) for one in sum_trees.path(NODES, index)]
    step = Step(asset="BTC", amount=str(OWED[holder]), salt=salt.hex(), index=index, path=way)
    return HolderProof(
        format=PROOF_FORMAT, snapshot=SNAPSHOT, at=AT, root=published().root, holder=holder, assets=[step]
    )


def test_what_is_published_holds_and_so_does_the_proof_of_every_holder() -> None:
    checked = check(published(), is_signed=signed)
    assert (checked.addresses, list(checked.short)) == (2, [])
    for holder in OWED:
        check_proof(proof(holder), published())


def changed(told: Reserves, **other: Any) -> Reserves:
    """Its asset is told otherwise."""
    return msgspec.structs.replace(told, assets=[msgspec.structs.replace(told.assets[0], **other)])


def first_address(told: Reserves, **other: Any) -> Reserves:
    chain = told.chains[0]
    addresses = [msgspec.structs.replace(chain.addresses[0], **other), *chain.addresses[1:]]
    return msgspec.structs.replace(told, chains=[msgspec.structs.replace(chain, addresses=addresses)])


def twice(told: Reserves) -> Reserves:
    chain = told.chains[0]
    addresses = [*chain.addresses, chain.addresses[1]]
    held = str(int(told.assets[0].held) + 1)
    return changed(
        msgspec.structs.replace(told, chains=[msgspec.structs.replace(chain, addresses=addresses)]), held=held
    )


def on_chains(told: Reserves, *changes: dict[str, Any]) -> Reserves:
    """Its part of a chain, once for each of these, with that changed."""
    return msgspec.structs.replace(told, chains=[msgspec.structs.replace(told.chains[0], **one) for one in changes])


def elsewhere(told: Reserves, **changes: Any) -> Reserves:
    """Its second address is in another part, with this changed."""
    first, second = told.chains[0].addresses
    return on_chains(told, {"addresses": [first]}, {"addresses": [second], **changes})


WRONG: dict[str, tuple[Callable[[Reserves], Reserves], str]] = {
    "less is owed": (lambda told: changed(told, owed="1"), "root"),
    "another top": (lambda told: changed(told, top="00" * 32), "root"),
    "another scale": (lambda told: changed(told, scale=9), "root"),
    "another token": (lambda told: changed(told, token="worthless"), "root"),
    "another depth": (lambda told: changed(told, depth=5), "root"),
    "more below zero": (lambda told: changed(told, below_zero="13"), "root"),
    "another time": (lambda told: msgspec.structs.replace(told, at=AT.replace(hour=19)), "root"),
    "another snapshot": (lambda told: msgspec.structs.replace(told, snapshot=UUID(int=8)), "root"),
    "no format": (lambda told: msgspec.structs.replace(told, format="x"), "format"),
    "an asset twice": (lambda told: msgspec.structs.replace(told, assets=[*told.assets] * 2), "order"),
    "more is held": (lambda told: changed(told, held="9" * 20), "add up"),
    "an address has more": (lambda told: first_address(told, amounts={"BTC": "9" * 20}), "add up"),
    "a stranger's address": (lambda told: first_address(told, address="satoshi"), "signature"),
    "another signature": (lambda told: first_address(told, signature="a"), "signature"),
    "an address twice": (twice, "twice"),
    "an amount on another chain": (
        lambda told: elsewhere(told, chain="ethereum"),
        "is told of b, which is on ethereum",
    ),
    "an asset that is not owed": (
        lambda told: first_address(told, amounts={**told.chains[0].addresses[0].amounts, "ETH": "1"}),
        "ETH is told of a",
    ),
    "another network's money": (lambda told: elsewhere(told, network="test"), "different networks"),
    "a chain twice": (elsewhere, "twice"),
    "less than nothing": (
        lambda told: changed(first_address(told, amounts={"BTC": "-1"}), held="0"),
        "less than nothing",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_changed_in_the_published_file_shows(what: str) -> None:
    change, why = WRONG[what]
    with pytest.raises(Refuted, match=why):
        check(change(published()), is_signed=signed)


def test_a_signature_for_an_older_root_is_none() -> None:
    older = published()
    newer = changed(older, owed="1")
    root = reserves.root_of(SNAPSHOT, AT, newer.assets).hex()
    with pytest.raises(Refuted, match="signature"):
        check(msgspec.structs.replace(newer, root=root), is_signed=signed)


def test_less_than_what_is_owed_is_told() -> None:
    told = published()
    chain = told.chains[0]
    chain = msgspec.structs.replace(chain, addresses=chain.addresses[1:])
    less = changed(msgspec.structs.replace(told, chains=[chain]), held="1")
    assert list(check(less, is_signed=signed).short) == ["BTC"]


def step(mine: HolderProof, **other: Any) -> HolderProof:
    return msgspec.structs.replace(mine, assets=[msgspec.structs.replace(mine.assets[0], **other)])


def test_a_proof_with_anything_changed_does_not_hold() -> None:
    holder, other = list(OWED)[:2]
    mine = proof(holder)
    (told,) = mine.assets
    way = list(told.path)
    moved = [msgspec.structs.replace(way[0], sum=str(int(way[0].sum) + 1)), *way[1:]]
    for wrong in (
        step(mine, amount=str(int(told.amount) - 1)),
        step(mine, amount=str(int(told.amount) - 1), path=moved),
        step(mine, path=moved),
        step(mine, path=way[:-1]),
        step(mine, path=[*way[1:], way[0]]),
        step(mine, salt="00" * 32),
        step(mine, index=told.index ^ 1),
        step(mine, asset="ETH"),
        # The same leaf for two, or for a wallet that is not in the tree.
        msgspec.structs.replace(mine, holder=other),
        msgspec.structs.replace(mine, root="00" * 32),
        msgspec.structs.replace(mine, snapshot=UUID(int=8)),
        msgspec.structs.replace(mine, format="x"),
    ):
        with pytest.raises(Refuted):
            check_proof(wrong, published())


def test_a_holder_who_was_dropped_has_no_proof() -> None:
    holder = next(iter(OWED))
    key = reserves.holder_of(reserves.salt(SECRET, "BTC", holder), holder)
    nodes = [sum_trees.leaf(bytes(32), 0) if one == key else sum_trees.leaf(one, amount) for one, amount in TREE]
    top = sum_trees.top(nodes)
    told = changed(published(), owed=str(top.sum), top=top.hash.hex())
    told = msgspec.structs.replace(told, root=reserves.root_of(SNAPSHOT, AT, told.assets).hex())
    with pytest.raises(Refuted, match="top"):
        check_proof(msgspec.structs.replace(proof(holder), root=told.root), told)


def test_leaves_say_neither_who_they_are_nor_how_many() -> None:
    assert [reserves.leaves_of(count) for count in (0, 1, 16, 17, 32, 33, 1_000_000)] == [
        16,
        16,
        16,
        32,
        32,
        64,
        1 << 20,
    ]
    holder = UUID(int=1)
    seen = {reserves.salt(secret, asset, holder) for secret in (SECRET, bytes(32)) for asset in ("BTC", "ETH")}
    assert len(seen) == 4


def test_files_are_read_as_they_are_written_and_never_with_an_amount_that_is_none() -> None:
    text = reserves.text_of(published())
    assert msgspec.json.decode(text, type=Reserves) == published()
    for bad in (b'"-1"', b'"1.5"', b'"01"', b'"1e9"', b"1", b'"' + b"9" * 97 + b'"'):
        wrong = text.replace(b'"12"', bad)
        assert wrong != text
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=Reserves)
