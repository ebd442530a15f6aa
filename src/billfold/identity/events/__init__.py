"""What happened to people and their credentials. Fields of a payload are only ever added within a version.

Each event is ordered by its owner, and written in the database transaction of the change it tells of. No event has a
secret in it, nor the hash of one.
"""

from billfold.identity.events.aliases import ALIAS_TYPES, AliasEventType, alias_event
from billfold.identity.events.approvals import APPROVAL_TYPES, ApprovalEventType
from billfold.identity.events.factors import FACTOR_TYPES, FactorEventType
from billfold.identity.events.keys import API_KEY_TYPES, SOURCE, ApiKeyEventType, api_key_event
from billfold.identity.events.payloads import PAYLOADS
from billfold.identity.events.people import person_event
from billfold.identity.events.providers import IDENTITY_TYPES, IdentityEventType
from billfold.identity.events.sessions import SESSION_TYPES, SessionEventType
from billfold.identity.events.staff import STAFF_TYPES, StaffEventType
from billfold.identity.events.users import USER_CLOSED, USER_TYPES, UserEventType, attempt_event

TYPES: tuple[str, ...] = (
    *API_KEY_TYPES,
    *SESSION_TYPES,
    *IDENTITY_TYPES,
    *FACTOR_TYPES,
    *ALIAS_TYPES,
    *APPROVAL_TYPES,
    *USER_TYPES,
    *STAFF_TYPES,
)

__all__ = [
    "ALIAS_TYPES",
    "API_KEY_TYPES",
    "APPROVAL_TYPES",
    "FACTOR_TYPES",
    "IDENTITY_TYPES",
    "PAYLOADS",
    "SESSION_TYPES",
    "SOURCE",
    "STAFF_TYPES",
    "TYPES",
    "USER_CLOSED",
    "USER_TYPES",
    "AliasEventType",
    "ApiKeyEventType",
    "ApprovalEventType",
    "FactorEventType",
    "IdentityEventType",
    "SessionEventType",
    "StaffEventType",
    "UserEventType",
    "alias_event",
    "api_key_event",
    "attempt_event",
    "person_event",
]
