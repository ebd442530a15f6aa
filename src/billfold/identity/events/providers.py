"""What happened to the accounts elsewhere that people log in with."""

from typing import Literal, get_args

IdentityEventType = Literal["identity.linked.v1", "identity.unlinked.v1"]
IDENTITY_TYPES: tuple[IdentityEventType, ...] = get_args(IdentityEventType)
