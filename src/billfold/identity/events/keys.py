"""What happened to API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from billfold.identity.contracts import ApiKey
from billfold.kernel import clock
from billfold.kernel.events import Event

SOURCE = "/billfold/identity"

ApiKeyEventType = Literal["api_key.created.v1", "api_key.used.v1", "api_key.revoked.v1"]
API_KEY_TYPES: tuple[ApiKeyEventType, ...] = get_args(ApiKeyEventType)


def api_key_event(*, event_id: str, kind: ApiKeyEventType, key: ApiKey, by: str | None, time: datetime) -> Event:
    """The key as it is after that, and the id of the key that did it: none for somebody at the machine itself."""
    data = {
        "api_key_id": key.id,
        "owner_id": key.owner_id,
        "name": key.name,
        "mode": key.mode,
        "scopes": key.scopes,
        "expires_at": clock.format(key.expires_at) if key.expires_at else None,
        "by": by,
    }
    return Event(id=event_id, type=kind, source=SOURCE, subject=key.id, time=time, key=key.owner_id, data=data)
