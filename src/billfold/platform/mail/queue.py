"""The queue of mails: appended to in the caller's database transaction, taken from by whoever sends.

All SQL of the schema `mail` is here. What a taken mail owes to whom is in the README beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.platform.keys import Envelope
from billfold.platform.mail import errors
from billfold.platform.postgres.database import Connection

#: A mailbox as people have them: its local part in ASCII, which is what every mail server takes, and without the quotes
#: and blanks by which headers are forged.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(\.{_ATOM})*@[^\W_]([\w.-]{{0,251}}[^\W_])?")
_PHONE = re.compile(r"\+[1-9][0-9]{5,14}", re.ASCII)
#: Mails are counted up to here: beyond, it only matters that they are many.
LAG_COUNT_MAX = 100_000


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that is to be sent. `attempts` counts this one too, and `age_s` is by the database's clock."""

    id: UUID
    recipient: str
    template: str
    locale: str
    sealed: bytes
    created_at: datetime
    attempts: int
    age_s: float


class Lag(msgspec.Struct, frozen=True):
    """How many mails wait, and how long the oldest has."""

    mails: int
    age_s: float


class MailQueue:
    """Where contexts put mails. The values are sealed while they wait."""

    def __init__(self, envelope: Envelope, *, sms_domain: str | None = None) -> None:
        """`sms_domain` is that of a gateway that turns mail to +66812345678@sms_domain into a short message."""
        self._envelope = envelope
        self._sms_domain = sms_domain

    async def append(
        self, connection: Connection, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        """Send a mail if and only if the database transaction of `connection` commits.

        `to` is an e-mail address, or a phone number in E.164 form.

        Raises:
            MailAddressInvalid: it is neither.
            PhonesUnreachable: it is a phone, and no gateway is configured.
        """
        recipient = self._recipient(to)
        mail_id = ids.new()
        sealed = await self._envelope.seal(msgspec.json.encode(dict(values)), context=_context(mail_id))
        await connection.execute(
            "INSERT INTO mail.queue (id, recipient, template, locale, sealed) VALUES ($1, $2, $3, $4, $5)",
            mail_id,
            recipient,
            template,
            locale,
            sealed,
        )

    async def values(self, mail: Mail) -> dict[str, str]:
        """What its template is to be filled with.

        Raises: KeysUnavailable, SealBroken.
        """
        plain = await self._envelope.open(mail.sealed, context=_context(mail.id))
        return msgspec.json.decode(plain, type=dict[str, str])

    def _recipient(self, to: str) -> str:
        if _PHONE.fullmatch(to):
            if self._sms_domain is None:
                raise errors.PhonesUnreachable
            return f"{to}@{self._sms_domain}"
        return mailbox(to)


async def take(connection: Connection, limit: int, *, lease_s: float) -> list[Mail]:
    """Up to `limit` mails that are due, those due first before others. Nobody else gets them within `lease_s`."""
    found = await connection.fetch(
        "UPDATE mail.queue SET attempts = attempts + 1, "
        "next_try_at = clock_timestamp() + make_interval(secs => $2::float8) "
        "WHERE id IN (SELECT id FROM mail.queue WHERE next_try_at <= statement_timestamp() "
        "             ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED) "
        "RETURNING id, recipient, template, locale, sealed, created_at, attempts, "
        "          extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_s",
        limit,
        lease_s,
    )
    return [Mail(**row) for row in found]


async def remove(connection: Connection, mail: Mail) -> None:
    """Forget a mail that is sent, or given up."""
    await connection.execute("DELETE FROM mail.queue WHERE id = $1", mail.id)


async def postpone(connection: Connection, mail: Mail, *, pause_s: float) -> None:
    """Let anybody take the mail again after `pause_s`, unless somebody has meanwhile."""
    await connection.execute(
        "UPDATE mail.queue SET next_try_at = clock_timestamp() + make_interval(secs => $3::float8) "
        "WHERE id = $1 AND attempts = $2",
        mail.id,
        mail.attempts,
        pause_s,
    )


async def lag(connection: Connection) -> Lag:
    """How much waits, and for how long."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM (SELECT FROM mail.queue LIMIT $1) AS counted), "
        "coalesce((SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM mail.queue), 0)",
        LAG_COUNT_MAX,
    )
    assert row is not None
    return Lag(*row)


def mailbox(text: str) -> str:
    """The address as every mail server takes it, its domain in the ASCII form of IDNA.

    Raises: MailAddressInvalid.
    """
    local, _, domain = text.rpartition("@")
    try:
        named = domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise errors.MailAddressInvalid from error
    if _MAILBOX.fullmatch(text) is None:
        raise errors.MailAddressInvalid
    return f"{local}@{named}"


def _context(mail_id: UUID) -> str:
    return f"mail/{mail_id}"
