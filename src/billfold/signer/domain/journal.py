"""Lines of the log: each is hashed together with the hash of the line before, so none can be changed or left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from billfold.chains.port import Payment
from billfold.chains.signing_port import Shown
from billfold.kernel import clock
from billfold.signer.contracts import Decision

#: What the first line follows.
GENESIS: Final = bytes(32)
_VERSION: Final = 1


def content(*, position: int, at: datetime, decision: Decision, about: Mapping[str, Any]) -> bytes:
    """The text of a line: JSON in one form. Amounts are decimal text."""
    line = {"v": _VERSION, "position": position, "at": clock.format(at), "decision": decision, **about}
    return msgspec.json.encode(line, order="deterministic")


def chained(previous: bytes, text: bytes) -> bytes:
    """SHA-256 of the hash before and the text."""
    return sha256(previous + text).digest()


def told(shown: Shown, places: Mapping[str, Any]) -> dict[str, Any]:
    """What a transaction does, for a line."""
    return {
        "kind": shown.kind,
        "sources": list(shown.sources),
        "payments": [_payment(payment, own=payment.address in places) for payment in shown.payments],
        "fee_max": str(shown.fee_max),
    }


def _payment(payment: Payment, *, own: bool) -> dict[str, Any]:
    said = {"address": payment.address, "amount": str(payment.amount), "token": payment.token, "memo": payment.memo}
    return {name: value for name, value in said.items() if value is not None} | ({"own": True} if own else {})
