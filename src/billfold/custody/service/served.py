"""The chains that are configured, each with its adapter and what is asked of its deposits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from billfold.chains.errors import AddressInvalid
from billfold.chains.outside_port import Outside
from billfold.chains.port import Chain
from billfold.custody import errors
from billfold.custody.contracts import ReconcilingTerms, Terms
from billfold.custody.contracts.withdrawals import WithdrawalTerms


class Showing(Protocol):
    """The module `showing` of a chain: how its addresses are shown to people who are to pay."""

    #: Whether all wallets have one address and a memo of their own.
    SHARED: bool

    def uri(self, address: str, *, memo: str | None, network: str) -> str:
        """What a wallet program opens."""
        ...

    def memo(self, number: int) -> str:
        """The memo that stands for the wallet of this number; of a chain whose addresses are shared."""
        ...

    def muxed(self, address: str, memo: str) -> str | None:
        """Address and memo in one, where the chain has such a thing."""
        ...


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A chain that is served."""

    chain: Chain
    terms: Terms
    showing: Showing
    withdrawing: WithdrawalTerms = WithdrawalTerms()
    reconciling: ReconcilingTerms = ReconcilingTerms()
    #: Loads the chain's module `outside`, where its keys are elsewhere; None where they are the signer's.
    outside: Callable[[], Outside] | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.chain.name

    @property
    def swept(self) -> bool:
        """Whether its deposits are to be moved to where withdrawals are paid from: coins are spent where they lie."""
        return self.chain.model != "coins" and not self.showing.SHARED

    @property
    def warm(self) -> str | None:
        """The operator's own address in its one form; None where there is none, or what is set is no address."""
        return None if (found := warm_of(self.chain, self.withdrawing)) is None else found[0]


def warm_of(chain: Chain, terms: WithdrawalTerms) -> tuple[str, str | None] | None:
    """The operator's own address in its one form, and the memo that is part of it."""
    if terms.treasury.warm is None:
        return None
    try:
        return chain.canonical(terms.treasury.warm)
    except AddressInvalid:
        return None


class Serving:
    """All of them, by name."""

    def __init__(self, served: Sequence[Served]) -> None:
        self._by_name = {one.name: one for one in served}

    @property
    def all(self) -> list[Served]:
        """Each, in the order of the settings."""
        return list(self._by_name.values())

    @property
    def names(self) -> frozenset[str]:
        """Of all of them."""
        return frozenset(self._by_name)

    def get(self, chain: str) -> Served:
        """The chain of this name.

        Raises:
            ChainUnknown
        """
        found = self._by_name.get(chain)
        if found is None:
            raise errors.ChainUnknown(pointer="chain")
        return found
