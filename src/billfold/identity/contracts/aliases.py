"""Aliases: names by which money finds its way."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Kind = Literal["handle", "email", "phone", "custom"]
#: How much of its owner's name an alias shows to others.
Visibility = Literal["name", "masked", "hidden"]
#: A pending one is an address that its owner has not proved to be theirs: nobody can pay to it, nor is it taken.
AliasStatus = Literal["active", "pending", "released"]

#: The longest e-mail address (RFC 5321).
ALIAS_MAX = 254
#: Of each owner, pending ones included.
ALIASES_MAX = 20
#: A program names the wallets of all its customers, by names of its own.
CUSTOM_MAX = 1_000_000

AliasText = Annotated[
    str,
    Meta(
        description="A handle (@ada), an e-mail address, a phone number with its country code (+66812345678), or a "
        "name of your own (customer:4711).",
        examples=["@ada"],
        min_length=1,
        max_length=ALIAS_MAX,
    ),
]


class NewAlias(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alias to take."""

    alias: AliasText
    visibility: Annotated[
        Visibility | None,
        Meta(
            description="What others see of your name: all of it (`name`), its first letters (`masked`), or nothing: a "
            "`hidden` alias is unknown to them, and they can't pay to it. By default `masked` for addresses and "
            "numbers, otherwise `name`.",
            examples=["name"],
        ),
    ] = None
    owner_id: Annotated[
        str | None,
        Meta(
            description="For operators, and for names such as customer:4711 alone: whose it is to be.",
            examples=["019aa2c6-7a00-7000-8000-00000000b001"],
        ),
    ] = None


class AliasChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of an alias."""

    visibility: Visibility


class AliasCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that was sent to an address; without it, another one is sent."""

    code: Annotated[str, Meta(description="The digits.", examples=["48151623"], max_length=16)] | None = None


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """An alias as its owner sees it."""

    id: str
    owner_id: str
    alias: Annotated[str, Meta(description="As it is shown to everybody.")]
    kind: Kind
    status: Annotated[
        AliasStatus, Meta(description="A pending address has to be verified before anybody can pay to it.")
    ]
    visibility: Visibility
    created_at: datetime
    verified_at: Annotated[datetime | None, Meta(description="When its owner proved that the address is theirs.")]
    released_at: datetime | None
    kept_until: Annotated[
        datetime | None, Meta(description="Until then nobody but you can take an alias that you have released.")
    ]


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    """Who an alias stands for, as whoever wants to pay may see it."""

    alias: str
    kind: Kind
    payee: Annotated[str, Meta(description="Their name, or what they show of it. Send it back with the payment.")]
    verified: Annotated[bool, Meta(description="Whether they have proved that this address or number is theirs.")]
    yours: Annotated[bool, Meta(description="Whether they are you.")]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An alias that was found for a payment. It stays inside: nobody who pays learns whose it is by id."""

    alias_id: UUID
    owner_id: UUID
    payee: str
    #: The alias as it is shown.
    shown: str


def may_be_alias(text: str) -> bool:
    """Whether this can't be anything else than an alias; ids have none of these signs."""
    return text[:1] == "+" or "@" in text or ":" in text
