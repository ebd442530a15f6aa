"""Sentences signed by the key of an account as SEP-53 has it.

What is hashed begins with words, where for a transaction the hash of the network's name stands.
https://github.com/stellar/stellar-protocol/blob/master/ecosystem/sep-0053.md
"""

from __future__ import annotations

import base64
import binascii

from stellar_sdk import Keypair
from stellar_sdk.exceptions import SdkError

from billfold.chains.port import Network


def is_signed(text: str, signature: str, *, address: str, network: Network) -> bool:  # noqa: ARG001 - one address on all
    """Whether the key of the account has signed the sentence."""
    try:
        made = base64.b64decode(signature, validate=True)
        pair = Keypair.from_public_key(address)
        pair.verify_message(text, made)
    except (SdkError, ValueError, binascii.Error):
        return False
    return pair.public_key == address
