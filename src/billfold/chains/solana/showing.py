"""How addresses are shown to whoever is to pay."""

from __future__ import annotations

from billfold.chains.port import Network

SHARED = False


def uri(address: str, *, memo: str | None, network: Network) -> str:
    """A transfer request of Solana Pay (docs.solanapay.com/spec)."""
    del memo, network
    return f"solana:{address}"


def memo(number: int) -> str:
    """There are no memos."""
    raise AssertionError(f"wallet {number} has an address of its own")


def muxed(address: str, memo: str) -> str | None:
    """There are no such addresses."""
    del address, memo
    return None
