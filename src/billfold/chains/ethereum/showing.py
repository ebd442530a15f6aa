"""How addresses are shown to whoever is to pay."""

from __future__ import annotations

from collections.abc import Mapping

from billfold.chains.port import Network

SHARED = False
#: EIP-155; the sandbox's is that of development nodes.
_CHAIN_IDS: Mapping[Network, int] = {"main": 1, "test": 11_155_111, "sandbox": 31_337}


def uri(address: str, *, memo: str | None, network: Network) -> str:
    """EIP-681, with the chain that is meant: an address looks the same on all of them."""
    del memo
    return f"ethereum:{address}@{_CHAIN_IDS[network]}"


def memo(number: int) -> str:
    """There are no memos."""
    raise AssertionError(f"wallet {number} has an address of its own")


def muxed(address: str, memo: str) -> str | None:
    """There are no such addresses."""
    del address, memo
    return None
