"""Owners and their API keys."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.identity.contracts.scopes import KEY_SCOPES, KeyScope
from billfold.kernel import clock, forms

Mode = Literal["test", "live"]
NAME_MAX = 100
#: Keys that can be used, for each owner. Whoever needs more wants an owner for each of their customers.
KEYS_MAX = 1_000

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=forms.NO_NUL)]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever wallets and keys belong to."""

    id: str
    name: str
    created_at: datetime


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key to create."""

    name: Annotated[Name, Meta(description="What the key is for.", examples=["Checkout server"])]
    scopes: Annotated[
        list[KeyScope],
        Meta(
            description="What it may do: no more than the key that creates it.",
            examples=[["wallets:read", "transfers:write"]],
            min_length=1,
            max_length=len(KEY_SCOPES),
        ),
    ]
    expires_at: Annotated[
        clock.Text | None,
        Meta(
            description="From when on it is refused: an RFC 3339 instant in the future, and no later than the "
            "end of the key that creates it. Without it: never.",
            examples=["2027-12-31T00:00:00Z"],
        ),
    ] = None
    owner_id: Annotated[
        str | None,
        Meta(
            description="For operators: whose key it is. Without it: that of the key that creates it.",
            examples=["019aa2c6-7a00-7000-8000-00000000b001"],
        ),
    ] = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key is to be."""

    owner_id: UUID
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    #: Of a key that is created by another one, the mode is that one's.
    mode: Mode = "live"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is now, without its text."""

    id: str
    owner_id: str
    name: str
    mode: Mode
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    #: Some seconds after its latest use, at most a minute late.
    last_used_at: datetime | None
    revoked_at: datetime | None


class CreatedApiKey(ApiKey, frozen=True, kw_only=True):
    """A key that was just created, with its text."""

    #: The text to send. It is shown once: null when this repeats the answer of an earlier request.
    key: str | None
