"""What the signer is asked to claim for a proof of reserves. It moves nothing, and is written down all the same."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from billfold.chains.claims import Claim
from billfold.chains.port import Network
from billfold.chains.signing_port import Place
from billfold.signer import errors


class Claiming(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of one tree, for one proof of reserves."""

    tree_id: UUID
    snapshot: UUID
    root: bytes
    places: Mapping[str, Place]

    @property
    def digest(self) -> bytes:
        """What makes it the same again."""
        addresses = "\n".join(sorted(self.places)).encode()
        return sha256(self.tree_id.bytes + self.snapshot.bytes + self.root + addresses).digest()

    @property
    def about(self) -> dict[str, Any]:
        """It, for a line of the log."""
        return {
            "request": str(self.snapshot),
            "tree": str(self.tree_id),
            "digest": self.digest.hex(),
            "root": self.root.hex(),
            "addresses": sorted(self.places),
        }

    def texts(self, *, chain: str, network: Network) -> dict[str, str]:
        """The sentence for each address."""
        return {
            address: Claim(snapshot=self.snapshot, root=self.root, chain=chain, network=network, address=address).text()
            for address in self.places
        }


def check(network: Network, *, allowed: bool) -> None:
    """Pass if addresses of a chain may be claimed: on a sandbox always, elsewhere where the policy says so.

    Raises:
        ClaimsForbidden.
    """
    if network != "sandbox" and not allowed:
        raise errors.ClaimsForbidden
