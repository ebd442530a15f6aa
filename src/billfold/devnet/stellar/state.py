"""What the ledger holds between transactions: accounts with their trustlines, data and signers, and offers.

Only what a transaction has touched is copied, so that a failed one is taken back at a cost of its own size.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction

NATIVE = "native"
#: Amounts and limits are signed numbers of 64 bits.
INT64_MAX = 2**63 - 1
#: Stroops for each entry that an account keeps in the ledger, as on the public network; an account itself is two.
BASE_RESERVE = 5_000_000
#: Stroops for an operation, as on the public network.
BASE_FEE = 100


@dataclass
class Line:
    """A trustline: how much of an asset an account has, and may have at most."""

    balance: int = 0
    limit: int = INT64_MAX
    authorized: bool = True


@dataclass
class Offer:
    """So much of one asset for another, at `n`/`d` of what is bought for each of what is sold."""

    id: int
    seller: str
    selling: str
    buying: str
    amount: int
    n: int
    d: int


@dataclass
class Account:
    """An account; weights and thresholds as in its creation until it sets others."""

    id: str
    balance: int
    sequence: int
    modified: int
    flags: int = 0
    master_weight: int = 1
    low: int = 0
    medium: int = 0
    high: int = 0
    home_domain: str = ""
    signers: dict[str, int] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    offers: int = 0

    def subentries(self) -> int:
        """How many entries it keeps in the ledger beside itself."""
        return len(self.signers) + len(self.data) + len(self.lines) + self.offers

    def reserve(self, *, more: int = 0) -> int:
        """What it must keep, with so many more entries."""
        return (2 + self.subentries() + more) * BASE_RESERVE


class State:
    """All accounts and offers."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._offers: dict[int, Offer] = {}
        self._last_offer = 0
        self._before: dict[str, Account | None] | None = None
        self._offers_before: tuple[dict[int, Offer], int] = ({}, 0)

    # --- transactions -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """From here on everything can be taken back."""
        assert self._before is None, "one transaction at a time"
        self._before = {}
        self._offers_before = ({key: copy.copy(offer) for key, offer in self._offers.items()}, self._last_offer)

    def keep(self) -> None:
        """The transaction has succeeded."""
        self._before = None

    def take_back(self) -> None:
        """The transaction has failed."""
        assert self._before is not None
        for key, account in self._before.items():
            if account is None:
                self._accounts.pop(key, None)
            else:
                self._accounts[key] = account
        self._offers, self._last_offer = self._offers_before
        self._before = None

    # --- accounts ---------------------------------------------------------------------------------------------

    def account(self, key: str) -> Account | None:
        """The account, to be read and changed."""
        found = self._accounts.get(key)
        self._remember(key, found)
        return found

    def add(self, account: Account) -> None:
        """A new account."""
        self._remember(account.id, None)
        self._accounts[account.id] = account

    def remove(self, key: str) -> None:
        """The account is merged into another."""
        self._remember(key, self._accounts[key])
        del self._accounts[key]

    def accounts(self) -> list[Account]:
        """All, to be read."""
        return list(self._accounts.values())

    def _remember(self, key: str, account: Account | None) -> None:
        if self._before is not None and key not in self._before:
            self._before[key] = copy.deepcopy(account)

    # --- offers -----------------------------------------------------------------------------------------------

    def offer(self, number: int) -> Offer | None:
        """One offer."""
        return self._offers.get(number)

    def put(self, offer: Offer) -> Offer:
        """Add an offer; without a number it gets the next one."""
        if not offer.id:
            self._last_offer += 1
            offer.id = self._last_offer
        self._offers[offer.id] = offer
        self._owner(offer).offers += 1
        return offer

    def withdraw(self, offer: Offer) -> None:
        """The offer is used up or taken back."""
        del self._offers[offer.id]
        self._owner(offer).offers -= 1

    def offers(self, *, selling: str | None = None, buying: str | None = None) -> list[Offer]:
        """Offers, the cheapest first, and of the same price the oldest."""
        found = [
            offer
            for offer in self._offers.values()
            if selling in {None, offer.selling} and buying in {None, offer.buying}
        ]
        return sorted(found, key=lambda offer: (Fraction(offer.n, offer.d), offer.id))

    def offers_of(self, seller: str) -> list[Offer]:
        """What an account offers."""
        return [offer for offer in self._offers.values() if offer.seller == seller]

    def _owner(self, offer: Offer) -> Account:
        owner = self.account(offer.seller)
        assert owner is not None, "an account with offers can't be merged"
        return owner
