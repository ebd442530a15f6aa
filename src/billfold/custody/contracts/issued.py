"""Every address that was ever given out, for whoever checks that there are keys for them."""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.chains.signing_port import Purpose


class IssuedTree(msgspec.Struct, frozen=True, kw_only=True):
    """The signer's tree of keys that a chain's addresses come from."""

    chain: str
    network: str
    tree_id: UUID


class IssuedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address, and where its key is in the chain's tree."""

    chain: str
    purpose: Purpose
    place: int
    address: str
    #: As custody keeps it; empty where addresses are not shared.
    memo: str
