"""Proofs of reserves: who stands for which leaf, what the root commits to, and how all of it is checked by anybody.

Everything here is written in docs/how-to/prove-reserves.md, too, for those who write a checker of their own.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from billfold.chains.claims import Claim
from billfold.custody.contracts.reserves import (
    FORMAT,
    PROOF_FORMAT,
    CheckedReserves,
    HolderProof,
    Liabilities,
    Reserves,
    Step,
)
from billfold.custody.domain import sum_trees
from billfold.custody.domain.sum_trees import Node
from billfold.kernel import clock

#: A tree has as many leaves as this at least, so that it does not say how few holders there are.
LEAVES_MIN: Final = 16
SECRET_BYTES: Final = 32
_HOLDER: Final = b"billfold.reserves.holder.1\0"
_ASSET: Final = b"billfold.reserves.asset.1\0"
_ROOT: Final = b"billfold.reserves.root.1\0"

#: Whether a claim has this signature.
IsSigned = Callable[[Claim, str], bool]


# --- who is who ---


def salt(secret: bytes, asset: str, holder: UUID) -> bytes:
    """What only the holder is told, with their proof. Without it nobody can try out who a leaf might be."""
    return hmac.digest(secret, b"salt\0" + asset.encode() + b"\0" + holder.bytes, "sha256")


def holder_of(salt: bytes, holder: UUID) -> bytes:
    """The holder as a leaf has them. Leaves are ordered by it, so their order says nothing."""
    return sha256(_HOLDER + salt + holder.bytes).digest()


def padding(secret: bytes, asset: str, number: int) -> bytes:
    """Nobody, as a leaf has them: to whom nothing is owed, and who looks like all others."""
    return hmac.digest(secret, b"nobody\0" + asset.encode() + b"\0" + number.to_bytes(8, "big"), "sha256")


def leaves_of(holders: int) -> int:
    """How many leaves a tree of so many holders has: the next power of two."""
    return max(LEAVES_MIN, 1 << (holders - 1).bit_length() if holders else 0)


# --- what is committed to ---


def asset_hash(told: Liabilities) -> bytes:
    """An asset's part of the root.

    Raises: ValueError.
    """
    parts = (
        told.asset.encode(),
        told.scale.to_bytes(1, "big"),
        told.chain.encode(),
        (told.token or "").encode(),
        told.depth.to_bytes(1, "big"),
        int(told.owed).to_bytes(sum_trees.AMOUNT_BYTES, "big"),
        bytes.fromhex(told.top),
        int(told.below_zero).to_bytes(sum_trees.AMOUNT_BYTES, "big"),
    )
    return sha256(_ASSET + b"".join(len(part).to_bytes(2, "big") + part for part in parts)).digest()


def root_of(snapshot: UUID, at: datetime, assets: Sequence[Liabilities]) -> bytes:
    """What addresses are signed for: the snapshot, its instant, and the assets in the order of their codes.

    Raises: ValueError.
    """
    codes = [one.asset for one in assets]
    if codes != sorted(set(codes)):
        raise ValueError("the assets are not in their order")
    head = snapshot.bytes + clock.microseconds(at).to_bytes(8, "big") + len(assets).to_bytes(2, "big")
    return sha256(_ROOT + head + b"".join(map(asset_hash, assets))).digest()


# --- checking ---


class Refuted(ValueError):
    """What is wrong with a proof."""


def check(published: Reserves, *, is_signed: IsSigned) -> CheckedReserves:
    """What the published file shows by itself.

    Raises:
        Refuted: it does not hold.
    """
    if published.format != FORMAT:
        raise Refuted(f"It is not of the format {FORMAT}.")
    try:
        root = root_of(published.snapshot, published.at, published.assets)
    except (ValueError, OverflowError) as error:
        raise Refuted(f"What it says is owed can't be: {error}.") from error
    if root.hex() != published.root:
        raise Refuted("The root is not that of what it says is owed.")
    claims = list(_claims(published, root))
    for claim, signature in claims:
        if not is_signed(claim, signature):
            raise Refuted(f"The signature of {claim.address} on {claim.chain} is not its key's for this root.")
    if len({(claim.chain, claim.address) for claim, _ in claims}) != len(claims):
        raise Refuted("An address is counted twice.")
    _check_amounts(published)
    for one in published.assets:
        if int(one.held) != sum(_held(published, one)):
            raise Refuted(f"The addresses do not add up to what it says is held of {one.asset}.")
    return CheckedReserves(
        addresses=len(claims), short=[one.asset for one in published.assets if int(one.held) < int(one.owed)]
    )


def check_proof(proof: HolderProof, published: Reserves) -> None:
    """Pass if a holder's amounts are among what is owed.

    Raises:
        Refuted: they are not.
    """
    if proof.format != PROOF_FORMAT:
        raise Refuted(f"The proof is not of the format {PROOF_FORMAT}.")
    if (proof.snapshot, proof.root) != (published.snapshot, published.root):
        raise Refuted("The proof is of another snapshot, or of another root.")
    known = {one.asset: one for one in published.assets}
    for step in proof.assets:
        told = known.get(step.asset)
        if told is None:
            raise Refuted(f"The published file says nothing of {step.asset}.")
        try:
            _check_step(proof.holder, step, told)
        except ValueError as error:
            raise Refuted(f"The proof of {step.asset} does not hold: {error}.") from error


def _check_step(holder: UUID, step: Step, told: Liabilities) -> None:
    if len(step.path) != told.depth:
        raise ValueError("its way is not as long as the tree is deep")
    amount = int(step.amount)
    start = sum_trees.leaf(holder_of(bytes.fromhex(step.salt), holder), amount)
    beside = [Node(bytes.fromhex(one.hash), int(one.sum)) for one in step.path]
    end = sum_trees.climbed(start, step.index, beside)
    if (end.hash.hex(), end.sum) != (told.top, int(told.owed)):
        raise ValueError("its way ends elsewhere than at the top of the tree")


def _claims(published: Reserves, root: bytes) -> Iterator[tuple[Claim, str]]:
    for part in published.chains:
        for one in part.addresses:
            claim = Claim(
                snapshot=published.snapshot, root=root, chain=part.chain, network=part.network, address=one.address
            )
            yield claim, one.signature


def _check_amounts(published: Reserves) -> None:
    """Pass if amounts are of one network's money, told where that is, and none takes away from another.

    Raises:
        Refuted.
    """
    if len({part.network for part in published.chains}) > 1:
        raise Refuted("Money of different networks is counted together.")
    if len({part.chain for part in published.chains}) != len(published.chains):
        raise Refuted("A chain is told of twice.")
    chain_of = {one.asset: one.chain for one in published.assets}
    for part in published.chains:
        for one in part.addresses:
            for asset, amount in one.amounts.items():
                if chain_of.get(asset) != part.chain:
                    raise Refuted(f"{asset} is told of {one.address}, which is on {part.chain}.")
                if int(amount) < 0:
                    raise Refuted(f"{one.address} is said to hold less than nothing of {asset}.")


def _held(published: Reserves, told: Liabilities) -> Iterable[int]:
    for part in published.chains:
        if part.chain == told.chain:
            for one in part.addresses:
                yield int(one.amounts.get(told.asset, "0"))


def text_of(published: Reserves) -> bytes:
    """The published file: JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(published), indent=1) + b"\n"
