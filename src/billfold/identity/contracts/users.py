"""People: how they register and log in, and what they say of themselves."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold.identity.contracts.keys import Name
from billfold.kernel import forms

#: In Python $ also matches before a last line feed; this means the same to JSON Schema and to Python.
_END = r"$(?!\n)"
CODE_DIGITS = 8
PASSWORD_MIN = 12

Email = Annotated[str, Meta(description="An e-mail address.", examples=["ada@example.com"], max_length=254)]
Phone = Annotated[
    str, Meta(description="A phone number with its country code.", examples=["+66812345678"], max_length=40)
]
Password = Annotated[
    str,
    Meta(
        description=f"{PASSWORD_MIN} to 128 characters, and none of the passwords that are guessed first.",
        examples=["correct horse battery staple"],
    ),
]
Locale = Annotated[
    str,
    Meta(
        description="The language of mails, by BCP 47.",
        examples=["en", "th"],
        max_length=35,
        pattern=forms.pattern(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*" + _END, "a language like en or th-TH"),
    ),
]
TimeZone = Annotated[
    str,
    Meta(description="Of the IANA database.", examples=["Asia/Bangkok"], min_length=1, max_length=64),
]
Code = Annotated[
    str,
    Meta(
        description="The digits that were sent.",
        examples=["48213705"],
        pattern=forms.pattern(rf"^[0-9]{{{CODE_DIGITS}}}" + _END, f"{CODE_DIGITS} digits"),
    ),
]
Device = Annotated[
    str,
    Meta(
        description="What your list of sessions shows it as; without it, the User-Agent.",
        examples=["Ada's laptop"],
        max_length=1_000,
    ),
]


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who wants an account: with an e-mail address or with a phone number."""

    email: Email | None = None
    phone: Phone | None = None
    password: Password
    display_name: Name
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A code is on its way. This id and the code together do what was asked for."""

    id: str
    expires_at: datetime


class Typed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that has arrived."""

    id: Annotated[str, Meta(description="What the request for it answered.", max_length=64)]
    code: Code


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sees of themselves."""

    id: str
    email: str | None
    phone: str | None
    display_name: str
    initials: Annotated[str, Meta(description="What stands for them where a picture would.")]
    locale: str
    time_zone: str
    roles: list[str]
    factors: Annotated[list[str], Meta(description="By what else than a password they can show that it is them.")]
    has_password: bool
    created_at: datetime


class ProfileChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of one's profile; what is left out stays."""

    display_name: Name | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet that keeps an account from being closed, and why."""

    wallet: str
    name: str
    #: Such as: has 12.34 USD, or is frozen.
    why: str
