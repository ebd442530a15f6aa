"""The networks of Stellar: the passphrase of each is part of what is signed, so that nothing counts on two of them."""

from __future__ import annotations

from collections.abc import Mapping

from billfold.chains.port import Network

#: https://developers.stellar.org/docs/networks; `sandbox` is that of this machine.
PASSPHRASES: Mapping[Network, str] = {
    "main": "Public Global Stellar Network ; September 2015",
    "test": "Test SDF Network ; September 2015",
    "sandbox": "Billfold Sandbox Network ; November 2026",
}
