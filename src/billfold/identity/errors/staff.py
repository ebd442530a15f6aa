"""Refusals to those who look after people."""

from __future__ import annotations

from billfold.kernel import errors


class OwnRoles(errors.Denied):
    """Nobody changes their own roles; ask another administrator."""

    code = "own_roles"


class RolesChanged(errors.Conflict):
    """Their roles have been changed since this was asked for; look at them, and ask again."""

    code = "roles_changed"


class RolesApart(errors.Invalid):
    """Who is compliance, treasurer or admin can't be user or service too; their own money needs another account."""

    code = "roles_apart"
