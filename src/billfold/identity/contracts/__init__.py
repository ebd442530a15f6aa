"""What callers give the identity context and get from it, by topic."""

from billfold.identity.contracts.keys import (
    KEYS_MAX,
    NAME_MAX,
    ApiKey,
    CreatedApiKey,
    Grant,
    Mode,
    Name,
    NewApiKey,
    Owner,
)
from billfold.identity.contracts.scopes import (
    ALL_SCOPES,
    KEY_SCOPES,
    OPERATOR,
    PERSONAL,
    ROLE_SCOPES,
    ROLES,
    SCOPES,
    STAFF,
    Role,
    Scope,
    scopes_of,
)

__all__ = [
    "ALL_SCOPES",
    "KEYS_MAX",
    "KEY_SCOPES",
    "NAME_MAX",
    "OPERATOR",
    "PERSONAL",
    "ROLES",
    "ROLE_SCOPES",
    "SCOPES",
    "STAFF",
    "ApiKey",
    "CreatedApiKey",
    "Grant",
    "Mode",
    "Name",
    "NewApiKey",
    "Owner",
    "Role",
    "Scope",
    "scopes_of",
]
