"""What happened to aliases."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from billfold.identity.contracts import Alias
from billfold.identity.events.keys import SOURCE
from billfold.kernel import clock
from billfold.kernel.events import Event
from billfold.kernel.principal import Principal

AliasEventType = Literal["alias.added.v1", "alias.verified.v1", "alias.changed.v1", "alias.released.v1"]
ALIAS_TYPES: tuple[AliasEventType, ...] = get_args(AliasEventType)


def alias_event(*, event_id: str, kind: AliasEventType, alias: Alias, by: Principal | None, time: datetime) -> Event:
    """The alias as it is after the change, and who did it; None is the end of an account.

    E-mail addresses and phone numbers are not told: whoever may know them can ask for them.
    """
    data = {
        "alias_id": alias.id,
        "owner_id": alias.owner_id,
        "kind": alias.kind,
        "alias": alias.alias if alias.kind in {"handle", "custom"} else None,
        "status": alias.status,
        "visibility": alias.visibility,
        "kept_until": clock.format(alias.kept_until) if alias.kept_until else None,
        "by": str(by.credential_id) if by else None,
        "by_user": str(by.user_id) if by and by.user_id else None,
    }
    return Event(id=event_id, type=kind, source=SOURCE, subject=alias.id, time=time, key=alias.owner_id, data=data)
