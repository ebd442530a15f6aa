"""Proofs of reserves: the published file, each holder's own proof, and how far one is made.

Amounts are decimal text of whole smallest units, hashes are hexadecimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.chains.port import Network

FORMAT: Final = "billfold-reserves/1"
PROOF_FORMAT: Final = "billfold-reserve-proof/1"
#: Assets of one proof: more than a house has chains and tokens.
ASSETS_MAX: Final = 100
#: Of each chain, those that hold most; what is on others is not counted, which is said.
ADDRESSES_MAX: Final = 500
#: Pairs above a leaf, and so steps of a proof.
PATH_MAX: Final = 40

#: A whole number of smallest units, never negative.
Units = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,95})$", examples=["123400000"])]
#: 32 bytes.
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
_Text = Annotated[str, Meta(min_length=1, max_length=200)]

SnapshotStatus = Literal["requested", "done", "failed"]


class Liabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed of one asset, and what the addresses below hold of it."""

    asset: Annotated[str, Meta(pattern=r"^[A-Z0-9._-]{2,20}$")]
    #: Decimals of the display unit.
    scale: Annotated[int, Meta(ge=0, le=36)]
    #: On which chain it is, and which token of it; the chain's own coin has none.
    chain: _Text
    token: _Text | None
    #: The sum of all leaves.
    owed: Units
    #: How many pairs are above a leaf, and the hash of the highest.
    depth: Annotated[int, Meta(ge=0, le=PATH_MAX)]
    top: Hash
    #: What wallets below zero owe the house in turn. It is not in the tree: nobody else is owed less for it.
    below_zero: Units
    held: Units


class HeldAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address, what it held by asset, and its key's signature for the root."""

    address: _Text
    amounts: Mapping[str, Units]
    signature: _Text


class HeldOnChain(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of one chain."""

    chain: _Text
    network: Network
    #: The block after which they held that.
    height: int
    addresses: Annotated[Sequence[HeldAddress], Meta(max_length=ADDRESSES_MAX)]
    #: Addresses that hold less than each of these, and are not counted.
    left_out: int


class Reserves(msgspec.Struct, frozen=True, kw_only=True):
    """The published file."""

    format: str
    snapshot: UUID
    #: The instant of what is owed.
    at: datetime
    root: Hash
    assets: Annotated[Sequence[Liabilities], Meta(max_length=ASSETS_MAX)]
    chains: Annotated[Sequence[HeldOnChain], Meta(max_length=ASSETS_MAX)]


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """The node beside one on the way up."""

    hash: Hash
    sum: Units


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """That an amount is among what is owed of an asset."""

    asset: str
    amount: Units
    salt: Hash
    #: The place of the leaf, counted from 0.
    index: Annotated[int, Meta(ge=0, lt=1 << PATH_MAX)]
    #: From below.
    path: Annotated[Sequence[Beside], Meta(max_length=PATH_MAX)]


class HolderProof(msgspec.Struct, frozen=True, kw_only=True):
    """A holder's own proof: of each asset of which something was owed to them."""

    format: str
    snapshot: UUID
    at: datetime
    root: Hash
    #: The wallet. Two holders can't be shown the same leaf, because it is in it.
    holder: UUID
    assets: Annotated[Sequence[Step], Meta(max_length=ASSETS_MAX)]


class CheckedReserves(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a published file that holds."""

    addresses: int
    #: Assets of which less is held than owed.
    short: Sequence[str]


class ReserveSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How far a proof of reserves is made."""

    id: UUID
    at: datetime
    assets: Sequence[str]
    status: SnapshotStatus
    root: str | None
    #: Why it failed, or what it waits for.
    reason: str
