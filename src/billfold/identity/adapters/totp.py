"""Codes of authenticator apps (RFC 6238), as pyotp computes them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import pyotp


def codes(secret: bytes, steps: Iterable[int]) -> Mapping[int, str]:
    """The code of each step of 30 seconds: SHA-1, 6 digits, which is all that some apps know."""
    app = pyotp.TOTP(text(secret))
    return {step: app.generate_otp(step) for step in steps}


def text(secret: bytes) -> str:
    """The secret as people type it."""
    return base64.b32encode(secret).decode()


def uri(secret: bytes, *, account: str, issuer: str) -> str:
    """The secret for a QR code or a link, beginning otpauth://totp/."""
    return pyotp.TOTP(text(secret)).provisioning_uri(name=account, issuer_name=issuer)
