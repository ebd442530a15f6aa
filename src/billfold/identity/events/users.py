"""What happened to people's accounts. Addresses are told masked, and passwords not at all."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, get_args

from billfold.identity.events.keys import SOURCE
from billfold.kernel.events import Event

UserEventType = Literal[
    "user.registered.v1",
    "user.login_failed.v1",
    "user.reset_requested.v1",
    "user.password_changed.v1",
    "user.password_reset.v1",
    "user.profile_changed.v1",
    "user.address_changed.v1",
    "user.closed.v1",
]
#: Told in the database transaction in which the person's wallets are closed, if they have any.
USER_CLOSED: Final = "user.closed.v1"
USER_TYPES: tuple[UserEventType, ...] = get_args(UserEventType)


def attempt_event(
    *, event_id: str, kind: UserEventType, user_id: str | None, login: str, device: str, address: str, time: datetime
) -> Event:
    """What a stranger has attempted. For a `login` that is nobody's there is no user, and the event all the same."""
    data = {"user_id": user_id, "owner_id": user_id, "login": login, "device": device, "address": address}
    about = user_id or "nobody"
    return Event(id=event_id, type=kind, source=SOURCE, subject=about, time=time, key=about, data=data)
