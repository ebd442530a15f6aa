"""What an access token says."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

#: Access tokens live as long at most.
ACCESS_MAX_S = 600
#: How long others may keep the published keys.
PUBLISHED_MAX_AGE_S = 300

#: Of an instant in a token, in seconds since 1970: those that Python's calendar has.
Seconds = Annotated[int, Meta(ge=0, le=253_402_300_799)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """A person, one of their sessions, and what it may do: the claims of RFC 9068."""

    iss: str
    aud: str
    #: The person.
    sub: UUID
    client_id: str
    #: The session.
    sid: UUID
    #: Scopes with spaces between them: what it may do at most. Roles that were taken away since take theirs with them.
    scope: str
    roles: list[str]
    #: How the person proved who they are (RFC 8176), and when.
    amr: list[str]
    auth_time: Seconds
    iat: Seconds
    exp: Seconds
    jti: str
