"""Who is calling, as every context needs to know it. How they proved it is the identity context's business."""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.kernel import errors


class MissingScope(errors.Denied):
    """Your credentials lack the scope that this needs."""

    code = "missing_scope"


class SessionNeeded(errors.Denied):
    """This takes a person who has logged in; no API key can do it."""

    code = "session_needed"


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller."""

    #: What was presented: the API key's id, or the session's.
    credential_id: UUID
    #: Whose things the caller may see and move.
    owner_id: UUID
    scopes: frozenset[str]
    #: The person behind it, whichever credentials they use; None is a program of an owner who is no person.
    user_id: UUID | None = None
    #: Whether that person has logged in, instead of sending an API key.
    is_session: bool = False

    def require(self, scope: str) -> None:
        """Go on only with `scope`.

        Raises:
            MissingScope: the credentials do not carry it.
        """
        if scope not in self.scopes:
            raise MissingScope(f"Your credentials lack the scope {scope}.")

    def require_person(self) -> UUID:
        """Go on only for a person who has logged in, and say who.

        Raises:
            SessionNeeded: it is a program, or somebody's API key.
        """
        if self.user_id is None or not self.is_session:
            raise SessionNeeded
        return self.user_id

    @property
    def is_operator(self) -> bool:
        """Whether the caller may act on everybody's things."""
        return "operator" in self.scopes

    @property
    def sees_everybody(self) -> bool:
        """Whether the caller may see everybody's things."""
        return "operator" in self.scopes or "everybody:read" in self.scopes
