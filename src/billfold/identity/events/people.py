"""What every event about a person has in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billfold.identity.events.keys import SOURCE
from billfold.kernel.events import Event
from billfold.kernel.principal import Principal


def person_event(
    *,
    event_id: str,
    kind: str,
    user_id: str,
    subject: str | None = None,
    by: Principal | None,
    time: datetime,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Something that happened to a person, or to what is theirs (`subject`).

    `by` is who did it: None for themselves before they are logged in, for a schedule, or for somebody at the machine.
    """
    told = {
        "user_id": user_id,
        "owner_id": user_id,
        "by": str(by.credential_id) if by else None,
        "by_user": str(by.user_id) if by and by.user_id else None,
        **(data or {}),
    }
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject or user_id, time=time, key=user_id, data=told)
