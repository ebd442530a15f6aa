"""Amounts and assets as Stellar has them: signed 64 bits of ten-millionths, `native` or CODE:ISSUER."""

from __future__ import annotations

import re

from stellar_sdk import Asset, StrKey

from billfold.chains import errors

#: Every asset of Stellar has seven decimals.
SCALE = 7
INT64_MAX = 2**63 - 1
_CODE = re.compile(r"[A-Za-z0-9]{1,12}")


def display(units: int) -> str:
    """Smallest units as the decimal text that the SDK takes."""
    return f"{units // 10**SCALE}.{units % 10**SCALE:0{SCALE}d}"


def asset(token: str | None) -> Asset:
    """The asset of a token as custody writes it, or lumens.

    Raises:
        PaymentInvalid: it is not CODE:ISSUER.
    """
    if token is None:
        return Asset.native()
    code, _, issuer = token.partition(":")
    if not _CODE.fullmatch(code) or not StrKey.is_valid_ed25519_public_key(issuer):
        raise errors.PaymentInvalid("A token of Stellar is CODE:ISSUER.")
    return Asset(code, issuer)


def token(found: Asset) -> str | None:
    """The other way round."""
    return None if found.is_native() else f"{found.code}:{found.issuer}"
