"""What is in the data of each event about people, for those who read them: docs/reference/schemas is made of it.

Fields are only ever added within a version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it is, and who did it: the session or key (`by`), and the person behind that."""

    owner_id: UUID
    by: UUID | None
    by_user: UUID | None


class OfAPerson(_Told, frozen=True, kw_only=True):
    """What every event about a person has."""

    user_id: UUID


class ApiKeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is after what the event's type names; never its text or hash."""

    api_key_id: UUID
    owner_id: UUID
    name: str
    mode: str
    scopes: Sequence[str]
    expires_at: datetime | None
    by: UUID | None


class AliasChanged(_Told, frozen=True, kw_only=True):
    """An alias as it is after what the event's type names. Addresses are not told."""

    alias_id: UUID
    kind: str
    alias: str | None
    status: str
    visibility: str
    kept_until: datetime | None


class SessionTold(OfAPerson, frozen=True, kw_only=True):
    """A session."""

    session_id: UUID


class SessionStarted(SessionTold, frozen=True, kw_only=True):
    """A login on a device."""

    device: str
    address: str
    methods: Sequence[str]


class SessionEnded(SessionTold, frozen=True, kw_only=True):
    """The end of a session, and why."""

    reason: str


class IdentityLinked(OfAPerson, frozen=True, kw_only=True):
    """An account at a provider."""

    identity_id: UUID
    provider: str
    subject: str


class FactorChanged(OfAPerson, frozen=True, kw_only=True):
    """An authenticator app or a passkey."""

    factor: str
    passkey_id: UUID | None = None
    name: str | None = None


class RecoveryCodeUsed(OfAPerson, frozen=True, kw_only=True):
    """How many codes are left."""

    left: int


class ProofRefused(OfAPerson, frozen=True, kw_only=True):
    """What the proof was for."""

    purpose: str


class StepUpApproved(OfAPerson, frozen=True, kw_only=True):
    """An operation that its user has approved with a fresh factor."""

    step_up_id: UUID
    operation: str
    method: str


class ApprovalChanged(OfAPerson, frozen=True, kw_only=True):
    """A request that waits for a second person, as it is after what the event's type names."""

    approval_id: UUID
    kind: str
    status: str
    checker_id: UUID | None
    reason: str | None


class UserRegistered(OfAPerson, frozen=True, kw_only=True):
    """Somebody has an account. Addresses are masked."""

    email: str | None
    phone: str | None
    locale: str
    address: str


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What a stranger has attempted. `login` is masked; there may be nobody of that name."""

    user_id: UUID | None
    owner_id: UUID | None
    login: str
    device: str
    address: str


class PasswordSet(OfAPerson, frozen=True, kw_only=True):
    """From where a new password was set."""

    device: str
    address: str


class ProfileChanged(OfAPerson, frozen=True, kw_only=True):
    """The names of what has changed, and two of the values."""

    changed: Sequence[str]
    locale: str
    time_zone: str


class AddressChanged(OfAPerson, frozen=True, kw_only=True):
    """A verified address in the place of another; both masked."""

    kind: str
    before: str | None = msgspec.field(name="from")
    after: str = msgspec.field(name="to")


class RoleChanged(OfAPerson, frozen=True, kw_only=True):
    """The roles that somebody has, and had."""

    roles: Sequence[str]
    before: Sequence[str]


PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    **dict.fromkeys(("api_key.created.v1", "api_key.used.v1", "api_key.revoked.v1"), ApiKeyChanged),
    **dict.fromkeys(("alias.added.v1", "alias.verified.v1", "alias.changed.v1", "alias.released.v1"), AliasChanged),
    "session.started.v1": SessionStarted,
    "session.ended.v1": SessionEnded,
    "session.reuse_detected.v1": SessionTold,
    **dict.fromkeys(("identity.linked.v1", "identity.unlinked.v1"), IdentityLinked),
    **dict.fromkeys(("factor.added.v1", "factor.removed.v1"), FactorChanged),
    "recovery_codes.renewed.v1": OfAPerson,
    "recovery_code.used.v1": RecoveryCodeUsed,
    **dict.fromkeys(("second_factor.refused.v1", "passkey.cloned.v1"), ProofRefused),
    "step_up.approved.v1": StepUpApproved,
    **{
        f"approval.{what}.v1": ApprovalChanged
        for what in ("requested", "approved", "rejected", "executed", "failed", "cancelled", "expired")
    },
    "user.registered.v1": UserRegistered,
    **dict.fromkeys(("user.login_failed.v1", "user.reset_requested.v1"), Attempted),
    **dict.fromkeys(("user.password_changed.v1", "user.password_reset.v1"), PasswordSet),
    "user.profile_changed.v1": ProfileChanged,
    "user.address_changed.v1": AddressChanged,
    "user.closed.v1": OfAPerson,
    "role.changed.v1": RoleChanged,
}
