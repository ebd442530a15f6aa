"""What a call of JSON-RPC brings, and what can be wrong with it, with the numbers and words of Solana's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from billfold.devnet.solana.chain import Commitment

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
PREFLIGHT_FAILURE = -32002
SIGNATURE_FAILURE = -32003
BLOCK_NOT_AVAILABLE = -32004
NODE_UNHEALTHY = -32005
SLOT_SKIPPED = -32007
VERSION_UNSUPPORTED = -32015
MIN_CONTEXT_SLOT = -32016

Encoding = Literal["base58", "base64", "base64+zstd", "json", "jsonParsed"]
T = TypeVar("T")


class CallFailed(Exception):
    """A call is answered with an error."""

    def __init__(self, number: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.data = data


class Slice(msgspec.Struct, frozen=True):
    """Which part of an account's data is wanted."""

    offset: int
    length: int


class Accounts(msgspec.Struct, frozen=True):
    """Which accounts a simulation is to show."""

    addresses: Sequence[str]
    encoding: Encoding = "base64"


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """What any of the calls can be told besides; each heeds what is meant for it."""

    commitment: Commitment | None = None
    encoding: Encoding | None = None
    min_context_slot: int | None = None
    transaction_details: Literal["full", "accounts", "signatures", "none"] | None = None
    max_supported_transaction_version: int | None = None
    skip_preflight: bool | None = None
    preflight_commitment: Commitment | None = None
    search_transaction_history: bool | None = None
    replace_recent_blockhash: bool | None = None
    sig_verify: bool | None = None
    accounts: Accounts | None = None
    data_slice: Slice | None = None
    limit: int | None = None
    before: str | None = None
    until: str | None = None
    mint: str | None = None
    program_id: str | None = None

    @property
    def at(self) -> Commitment:
        """Solana's default is the safest."""
        return self.commitment or "finalized"


class Params:
    """The positional parameters of a call."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, list):
            raise CallFailed(INVALID_PARAMS, "`params` should be a list")
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def of(self, index: int, kind: type[T]) -> T:
        """The parameter at a place, of a type."""
        if index >= len(self._values):
            raise CallFailed(INVALID_PARAMS, "`params` should have at least " + str(index + 1) + " argument(s)")
        try:
            return msgspec.convert(self._values[index], kind)
        except msgspec.ValidationError as error:
            raise CallFailed(INVALID_PARAMS, f"Invalid params: {error}") from error

    def config(self, index: int) -> Config:
        """The last parameter of nearly every call, which may be missing."""
        if index >= len(self._values) or self._values[index] is None:
            return Config()
        return self.of(index, Config)

    def key(self, index: int) -> Pubkey:
        return key(self.of(index, str))


def key(text: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise CallFailed(INVALID_PARAMS, f"Invalid param: {'WrongSize' if len(text) < 90 else 'Invalid'}") from None  # noqa: PLR2004


def signature(text: str) -> str:
    try:
        return str(Signature.from_string(text))
    except ValueError:
        raise CallFailed(INVALID_PARAMS, "Invalid param: Invalid") from None
