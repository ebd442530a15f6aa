"""How addresses are shown to whoever is to pay. All wallets have one account; a memo says whose the money is."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from billfold.chains.port import Network

SHARED = True
#: Of SEP-7: a wallet program takes the public network when nothing else is said.
_PASSPHRASES: Mapping[Network, str | None] = {
    "main": None,
    "test": "Test SDF Network ; September 2015",
    "sandbox": "Billfold Sandbox Network ; November 2026",
}
#: Numbers in a row become memos that are far apart, so that a digit typed wrong is nobody's memo and not a neighbour's.
#: An odd factor makes it one to one; 63 bits, since many programs keep a memo in a signed number.
_FACTOR = 6_364_136_223_846_793_005
_MODULUS = 2**63


def uri(address: str, *, memo: str | None, network: Network) -> str:
    """SEP-7, the operation `pay`."""
    fields = {"destination": address}
    if memo is not None:
        kind, _, text = memo.partition(":")
        fields |= {"memo": text, "memo_type": f"MEMO_{kind.upper()}"}
    passphrase = _PASSPHRASES[network]
    if passphrase is not None:
        fields["network_passphrase"] = passphrase
    return f"web+stellar:pay?{urlencode(fields, quote_via=quote)}"


def memo(number: int) -> str:
    """The memo of the wallet of this number, never the same for two."""
    return f"id:{(number + 1) * _FACTOR % _MODULUS}"


def muxed(address: str, memo: str) -> str | None:
    """The M-address of an account and a memo id (CAP-27)."""
    from stellar_sdk import MuxedAccount  # noqa: PLC0415 - it takes half a second, and most processes never need it.

    kind, _, text = memo.partition(":")
    return MuxedAccount(address, int(text)).account_muxed if kind == "id" else None
