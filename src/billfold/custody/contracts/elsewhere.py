"""Keys that are elsewhere, and what goes there to be signed, as callers give and get them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.chains.port import Network
from billfold.kernel.money import Money

#: `deposit` addresses are given to wallets; what leaves is paid from the one that is `hot`.
ListedPurpose = Literal["deposit", "hot"]
TxKind = Literal["pay", "clear", "sweep", "gas", "open", "warm", "merge", "child"]
#: So many addresses are imported at a time.
IMPORT_MAX = 1_000
#: A request's body is not larger. A PSBT with larger transactions in it is handed in as the transaction that it makes.
SIGNED_MAX = 120_000


class ChainKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Where the keys of a chain are, and what is known of them."""

    chain: str
    network: Network
    where: Literal["signer", "elsewhere"]
    #: What all addresses follow from; None where they are listed, or nothing was imported.
    public_key: str | None = None
    fingerprint: str | None = None
    #: What withdrawals are paid from; None before it is known.
    hot: str | None = None
    #: Of a list: how many addresses wait to be given to wallets. None where they don't run out.
    addresses_left: int | None = None
    #: Transactions that wait for signatures.
    unsigned: int = 0


class UnsignedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a transaction pays."""

    address: str
    money: Money
    memo: str | None
    #: None is the house's own.
    withdrawal_id: UUID | None


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that waits for signatures from elsewhere."""

    id: UUID
    chain: str
    #: `pay` withdrawals, `clear` uses up a number or coins for nothing, `sweep` and `gas` bring deposits to the house,
    #: `open` makes its trustlines.
    kind: TxKind
    payments: Sequence[UnsignedPayment]
    #: The most that it may cost.
    fee: Money
    #: The one that it takes the place of.
    replaces: UUID | None
    created_at: datetime
    exported_at: datetime | None


class KeyNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """An address whose key has to sign."""

    address: str
    #: Where the key is below the master key; None where the address was listed.
    path: str | None


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as it is to be signed."""

    transaction: Unsigned
    network: Network
    #: `psbt` (base64), `eip1559` (hexadecimal), `solana_message` (base64), `stellar_xdr` (base64).
    form: str
    unsigned: str
    keys: Sequence[KeyNeeded]
    #: When it can't happen any more, or after which block; None where that is never.
    expires_at: datetime | None
    last_height: int | None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed elsewhere, and is sent now."""

    id: UUID
    chain: str
    chain_tx: str
