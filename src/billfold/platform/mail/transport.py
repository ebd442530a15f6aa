"""SMTP: one connection for each mail, to the one server of the settings. Only this file knows aiosmtplib."""

from __future__ import annotations

import contextlib
import ssl
from email.message import EmailMessage
from typing import Literal

import aiosmtplib
import msgspec

from billfold.platform.mail import errors

Tls = Literal["starttls", "implicit", "none"]

PORTS: dict[Tls, int] = {"starttls": 587, "implicit": 465, "none": 25}
#: For each step of the conversation.
STEP_TIMEOUT_S = 10.0
#: Replies from here on mean: never.
_PERMANENT = 500


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server, and who we are there. Its certificate is checked, unless `tls` is none."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port})"


class Transport:
    """Hands mails to a server."""

    def __init__(self, server: Server, *, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted` says whose certificates are believed, instead of those that the system trusts."""
        self._server = server
        self._trusted = None if server.tls == "none" else trusted or ssl.create_default_context()

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand over a mail; when this returns, the server has taken it.

        Raises:
            MailServerUnavailable: not now; after a lost connection it may have been taken all the same.
            MailRefused: never.
        """
        client = self._client()
        try:
            await self._connect(client)
            await _transact(client, message, sender, recipient)
            # The mail is taken. What goes wrong with the farewell is nobody's business.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",
            tls_context=self._trusted,
            # Not the name of this machine, which is nobody's business, and costs a look-up.
            local_hostname="localhost",
            timeout=STEP_TIMEOUT_S,
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        """Whatever is refused here, a wrong password for instance, is no fault of the mail."""
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise errors.MailServerUnavailable(_said(error)) from error


async def _transact(client: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> None:
    try:
        await client.send_message(message, sender=sender, recipients=[recipient])
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _refusal(error.recipients[0]) from error
    except aiosmtplib.SMTPDataError as error:
        raise _refusal(error) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        # The sender is refused too: that is a setting, and is mended there.
        raise errors.MailServerUnavailable(_said(error)) from error


def _refusal(
    error: aiosmtplib.SMTPResponseException,
) -> errors.MailRefused | errors.MailServerUnavailable:
    refused = errors.MailRefused if error.code >= _PERMANENT else errors.MailServerUnavailable
    return refused(_said(error))


def _said(error: Exception) -> str:
    """What happened, for a log: never the server's own words, which like to repeat addresses."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{type(error).__name__}: reply {error.code}"
    return type(error).__name__
