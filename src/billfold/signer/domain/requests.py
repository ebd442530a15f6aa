"""What the signer is asked to sign."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

import msgspec

from billfold.chains.signing_port import Place
from billfold.signer.contracts import Expected


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction to sign."""

    request_id: UUID
    tree_id: UUID
    payload: bytes
    places: Mapping[str, Place]
    expected: Expected

    @property
    def digest(self) -> bytes:
        """What makes it the same request again: the tree, and the transaction."""
        return sha256(self.tree_id.bytes + self.payload).digest()
