"""What the key of an address signs to show that the address is ours: a sentence that no chain takes for a transaction.

Each chain's package has a module `claims`, which reads such a signature, and in its `signing` a function `claim`, which
makes one. The sentence is always the one that is written here, so whoever asks for a signature chooses no byte of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, Protocol, cast
from uuid import UUID

import msgspec

from billfold.chains.port import Network

#: What a root of a proof of reserves has.
ROOT_BYTES: Final = 32


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """That an address is held by whoever has made a proof of reserves."""

    snapshot: UUID
    root: bytes
    chain: str
    network: Network
    address: str

    def text(self) -> str:
        """The sentence that is signed: one line of printable ASCII, so that a hardware wallet could show it, too."""
        assert len(self.root) == ROOT_BYTES, "callers check it"
        return (
            f"Billfold proof of reserves 1: snapshot {self.snapshot}, root {self.root.hex()}, chain {self.chain}, "
            f"network {self.network}, address {self.address}"
        )


class Claims(Protocol):
    """The module `claims` of a chain."""

    def is_signed(self, text: str, signature: str, *, address: str, network: Network) -> bool:
        """Whether the key of the address has signed the sentence. What can't be read is no signature.

        Of an address in another than its one form nothing is signed: it would be counted once for each form.
        """
        ...


#: Signatures of these can be read.
CHAINS: Final = ("bitcoin", "ethereum", "solana", "stellar")


def is_signed(claim: Claim, signature: str) -> bool:
    """Whether the key of the claim's address has signed it; of a chain that is not known nothing is."""
    if claim.chain not in CHAINS:
        return False
    module = cast("Claims", import_module(f"billfold.chains.{claim.chain}.claims"))
    return module.is_signed(claim.text(), signature, address=claim.address, network=claim.network)
