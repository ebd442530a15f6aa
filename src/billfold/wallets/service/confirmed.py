"""Confirmed transactions as they are written on a queue. Taking them from one is in `deliveries`.

The forms are described in docs/reference/confirmed-transactions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from billfold.kernel import forms
from billfold.kernel.money import Money
from billfold.platform.messaging import cloudevents
from billfold.wallets import errors
from billfold.wallets.contracts import ConfirmedTransaction

#: The `type` of the CloudEvent.
TYPE = "confirmed-transaction.v1"
#: A transaction is a few hundred bytes; texts at their longest make some kilobytes.
SIZE_MAX = 64 * 1024

_Name = Annotated[str, Meta(min_length=1, max_length=cloudevents.ATTRIBUTE_MAX)]


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    wallet: str
    direction: Literal["credit", "debit"]
    money: Money
    reference: str = ""
    description: str = ""
    effective_at: str | None = None


class _Plain(_Data, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: _Name
    id: _Name


_data = msgspec.json.Decoder(_Data)
_plain = msgspec.json.Decoder(_Plain)


def read(body: bytes, headers: Mapping[str, str]) -> ConfirmedTransaction:
    """The confirmed transaction in a message: a CloudEvent, in binary or structured JSON mode, or plain JSON.

    Raises:
        ConfirmedTransactionTooLarge, ConfirmedTransactionInvalid
    """
    if len(body) > SIZE_MAX:
        raise errors.ConfirmedTransactionTooLarge
    try:
        envelope = cloudevents.carried(body, headers)
        # Inside of a JSON text these quotes would be escaped, so this is a member's name.
        if envelope is None and b'"specversion"' in body:
            envelope = cloudevents.decode(body)
        if envelope is not None:
            if envelope.type != TYPE:
                raise errors.ConfirmedTransactionInvalid(f"The CloudEvent's type is not {TYPE}.", pointer="/type")
            data = _data.decode(envelope.data)
            return _transaction(data, source=envelope.source, sender_id=envelope.id)
        plain = _plain.decode(body)
        return _transaction(plain, source=plain.source, sender_id=plain.id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, cloudevents.InvalidCloudEvent) as error:
        raise errors.ConfirmedTransactionInvalid(f"Not a confirmed transaction: {forms.said(error)}") from error


def next_attempt(transaction: ConfirmedTransaction) -> ConfirmedTransaction:
    """The same transaction under the next key, for when its present attempt is known to be refused."""
    return msgspec.structs.replace(transaction, attempt=transaction.attempt + 1)


def _transaction(data: _Data, *, source: str, sender_id: str) -> ConfirmedTransaction:
    return ConfirmedTransaction(
        source=source,
        id=sender_id,
        wallet=data.wallet,
        direction=data.direction,
        amount=data.money.amount,
        asset=data.money.asset,
        reference=data.reference,
        description=data.description,
        effective_at=data.effective_at,
    )
