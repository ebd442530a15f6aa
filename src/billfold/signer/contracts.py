"""What callers give the signer and get from it. Amounts are whole smallest units of their asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Purpose

#: One call derives no more addresses: some seconds' work for the slowest curve.
ADDRESSES_MAX = 10_000
#: A transaction is smaller on each of the chains, with all that is needed to sign it: a hundred coins of Bitcoin, each
#: with the whole transaction that it comes from.
PAYLOAD_MAX_BYTES = 12_000_000
#: Of one transaction: as many coins, or payments, as one ever has.
PLACES_MAX = 2_000
PAYMENTS_MAX = 2_000
#: An index of a key in its tree is below this: derivation has one bit for hardened ones (BIP-32).
INDEX_END = 2**31
#: How many letters a chain's name, an address, a token or a memo may have.
TEXT_MAX = 200

#: Addresses that are claimed by one call: some seconds' work for the slowest curve.
CLAIMS_MAX = 500

Decision = Literal[
    "signed",
    "refused",
    "claimed",
    "created",
    "imported",
    "rewrapped",
    "restored",
    "backed_up",
    "policy",
    "exported",
    "drilled",
]


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that grow from one seed, as the world may know them."""

    id: UUID
    chain: str
    network: Network
    #: What derives all its addresses and no key; None where the chain has no such thing.
    public: str | None
    created_at: datetime


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller believes a transaction to do. If its bytes say anything else, it is not signed.

    What the transaction pays to addresses of its own tree, which the request names as places, may be left out: change.
    """

    payments: Sequence[Payment]
    #: In the chain's own coin.
    fee_max: int
    #: All that leaves goes to the operator's own warm address, which the signer knows: such money does not count
    #: against limits, and it goes nowhere else.
    to_warm: bool = False


class SigningService(Protocol):
    """The signer as other processes see it. Everything may be asked again with the same ids."""

    async def create(self, *, tree_id: UUID, chain: str, network: Network) -> Tree:
        """A tree of a seed that is made now; the one that there is when it was made before.

        Raises:
            ChainNotSigned: the signer has no such chain.
            TreeDiffers: there is a tree of this id for another chain or network.
            KeysUnavailable, DatabaseUnavailable, ServiceUnavailable.
        """
        ...

    async def trees(self) -> Sequence[Tree]:
        """All trees, the oldest first.

        Raises:
            DatabaseUnavailable, ServiceUnavailable.
        """
        ...

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        """The addresses of `count` places in a row, at most ADDRESSES_MAX.

        Raises:
            TreeNotFound, RequestInvalid.
            KeysUnavailable, DatabaseUnavailable, ServiceUnavailable.
        """
        ...

    async def sign(
        self, *, request_id: UUID, tree_id: UUID, payload: bytes, places: Mapping[str, Place], expected: Expected
    ) -> Signed:
        """The signed transaction; for the same `request_id` and payload always the same, counted once.

        `places` has the key of each source by its address, and of each address of the tree itself that is paid without
        being `expected`.

        Raises:
            TreeNotFound, RequestInvalid.
            PayloadRefused: the transaction is not understood to the last byte.
            NotAsExpected: it does something else than expected, or a place has another address.
            RequestDiffers: another transaction was signed for this request before.
            PolicyMissing, LimitExceeded, DestinationNotAllowed, SweepElsewhere, WarmElsewhere: the signer's own policy
                is against it.
            KeysUnavailable, DatabaseUnavailable, ServiceUnavailable: later again, with the same request.
        """
        ...

    async def claim(
        self, *, tree_id: UUID, snapshot: UUID, root: bytes, places: Mapping[str, Place]
    ) -> Mapping[str, str]:
        """Signatures, by address, that say that these addresses are held by whoever made a proof of reserves.

        The signer writes the sentence itself (chains.claims), in a form that is no transaction. `places` has the key
        of each address. The same again gives the same.

        Raises:
            TreeNotFound, RequestInvalid.
            NotAsExpected: a place has another address.
            ClaimsForbidden: the signer's own policy is against it.
            KeysUnavailable, DatabaseUnavailable, ServiceUnavailable: later again.
        """
        ...

    async def export(self, *, request_id: UUID, tree_id: UUID, recipient: bytes) -> bytes:
        """The seed of a tree in a package that opens for `recipient` alone; for the same request always the same.

        `recipient` is a public key of X25519, 32 bytes.

        Raises:
            TreeNotFound, RequestDiffers.
            ExportNotAllowed: the signer's own policy names no such recipient.
            KeysUnavailable, DatabaseUnavailable, ServiceUnavailable: later again, with the same request.
        """
        ...


class Recipient(msgspec.Struct, frozen=True):
    """Somebody for whom seeds may be sealed."""

    name: str
    #: Of X25519, 32 bytes.
    public_key: bytes
    created_at: datetime


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """The seed of a tree, for a recipient. What it says in the open is authenticated with it."""

    tree: UUID
    chain: str
    network: Network
    recipient: bytes
    sealed: bytes
    format: Literal["billfold-seed-export-v1"] = "billfold-seed-export-v1"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a package. Its text form does not show it."""

    #: None where the seed was not made of words.
    words: str | None
    #: The 64 bytes that BIP-32 and SLIP-10 begin with, in hexadecimal digits.
    seed: str
    #: Whether it takes a passphrase besides to make the seed of the words.
    passphrase: bool

    def __repr__(self) -> str:
        return "Opened(…)"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one asset may leave trees of one chain and network."""

    chain: str
    network: Network
    #: None is the chain's own coin.
    token: str | None
    #: By one transaction; of the coin, with its fee.
    per_transaction: int
    #: Within any `window_s` seconds.
    per_window: int
    window_s: int


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is switched on for a chain and network, and whom it knows there."""

    chain: str
    network: Network
    #: Whether only those in `allowed` are paid.
    allow_list: bool
    allowed: Sequence[str]
    #: The operator's own, to which a surplus goes.
    warm: Sequence[str]
    #: Whether addresses may be claimed for proofs of reserves.
    claims: bool


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """A backup was tried: restored in a place of its own, and what grows from it compared with what was given out."""

    #: The file's SHA-256.
    backup: str
    issued: int
    derived: int
    equal: int
    #: The stable code of why it is not good; None when every address is as it should be.
    fault: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log: what was asked of the signer, what it has read itself, and what it has done."""

    position: int
    at: datetime
    decision: Decision
    #: As it was hashed: JSON.
    content: bytes
    hash: bytes
