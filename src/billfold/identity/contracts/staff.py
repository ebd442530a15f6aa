"""People as those see them who look after them."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.identity.contracts.scopes import ROLES, Role
from billfold.identity.contracts.sessions import Session


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account."""

    id: str
    display_name: str
    email: str | None
    phone: str | None
    locale: str
    time_zone: str
    roles: list[str]
    created_at: datetime
    closed_at: Annotated[datetime | None, Meta(description="When they have left, if they have.")]


class UserDetail(User, frozen=True, kw_only=True):
    """Somebody with an account, and where they are logged in."""

    sessions: list[Session]


class RoleChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The roles that somebody is to have, and no others."""

    roles: Annotated[
        list[Role], Meta(description="All of them.", examples=[["support"]], min_length=1, max_length=len(ROLES))
    ]
