"""The text of an account's key: SEP-23, base32 of a byte for the kind, the key, and CRC-16 of both.

https://github.com/stellar/stellar-protocol/blob/master/ecosystem/sep-0023.md
"""

from __future__ import annotations

import base64
import binascii

KEY_BYTES = 32
#: What makes the text begin with G.
_ACCOUNT = (6 << 3).to_bytes(1)


def account(key: bytes) -> str:
    """The address of a public key."""
    content = _ACCOUNT + key
    return base64.b32encode(content + binascii.crc_hqx(content, 0).to_bytes(2, "little")).decode()
