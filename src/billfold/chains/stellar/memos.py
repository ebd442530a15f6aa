"""Memos as text in one form: `text:…`, `id:…`, `hash:…`, `return:…`, the last two as hexadecimal digits."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from stellar_sdk import HashMemo, IdMemo, Memo, NoneMemo, ReturnHashMemo, TextMemo

from billfold.chains import errors
from billfold.chains.nodes import reading

#: Of the protocol.
TEXT_BYTES_MAX = 28
ID_MAX = 2**64 - 1
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"0|[1-9][0-9]{0,19}")
#: As long as the base64 of a memo may be.
_TOLD_MAX = 200


def parsed(text: str | None) -> Memo:
    """The memo of a payment.

    Raises:
        PaymentInvalid: Stellar has no such memo.
    """
    if text is None:
        return NoneMemo()
    kind, _, value = text.partition(":")
    if kind == "text" and len(value.encode()) <= TEXT_BYTES_MAX:
        return TextMemo(value)
    if kind == "id" and _ID.fullmatch(value) and int(value) <= ID_MAX:
        return IdMemo(int(value))
    if kind in {"hash", "return"} and _HASH.fullmatch(value):
        return HashMemo(value) if kind == "hash" else ReturnHashMemo(value)
    raise errors.PaymentInvalid(
        f"A memo of Stellar is text: with up to {TEXT_BYTES_MAX} bytes, id: with a number of 64 bits, or hash: or"
        " return: with 64 hexadecimal digits in lower case."
    )


def shown(memo: Memo) -> str | None:
    """The other way round.

    Raises:
        PayloadRefused: the text is none that people could read.
    """
    match memo:
        case NoneMemo():
            return None
        case TextMemo():
            try:
                return f"text:{memo.memo_text.decode()}"
            except UnicodeDecodeError:
                raise errors.PayloadRefused("The memo is no text.") from None
        case IdMemo():
            return f"id:{memo.memo_id}"
        case HashMemo():
            return f"hash:{memo.memo_hash.hex()}"
        case ReturnHashMemo():
            return f"return:{memo.memo_return.hex()}"
        case _:
            raise errors.PayloadRefused("This kind of memo is not known.")


def told(transaction: Mapping[str, Any]) -> str | None:
    """The memo of a transaction as Horizon tells of it.

    Raises:
        NodeWrong
    """
    kind = reading.text(reading.member(transaction, "memo_type"), "memo_type", longest=_TOLD_MAX)
    if kind == "none":
        return None
    value = reading.text(transaction.get("memo", ""), "memo", longest=_TOLD_MAX)
    if kind == "text":
        return f"text:{value}"
    if kind == "id":
        return f"id:{reading.digits(value, 'memo', most=ID_MAX)}"
    if kind in {"hash", "return"}:
        try:
            return f"{kind}:{base64.b64decode(value, validate=True).hex()}"
        except (binascii.Error, ValueError):
            raise errors.NodeWrong("In a node's answer memo is no base64.") from None
    raise errors.NodeWrong("In a node's answer memo_type is none that is known.")
