"""SMTP on this machine: every mail is taken, from anybody to anybody, up to a size. Only this file knows aiosmtpd."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiosmtpd.smtp import SMTP, Envelope, Session

from billfold.platform.mail.sink.box import Box

HOST = "127.0.0.1"
#: Ours have some kilobytes.
MESSAGE_MAX_BYTES = 1024 * 1024
#: Who says nothing for so long is cut off.
SILENCE_MAX_S = 30.0


class _Taker:
    """What aiosmtpd calls when a mail has come."""

    def __init__(self, box: Box, not_kept: Callable[[OSError], None]) -> None:
        self._box = box
        self._not_kept = not_kept

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        try:
            self._box.keep(content, sender=envelope.mail_from or "", recipients=envelope.rcpt_tos)
        except OSError as error:
            self._not_kept(error)
            return "452 4.3.1 The disk does not take it now"
        return "250 2.0.0 Kept in the mail sink"


@contextlib.asynccontextmanager
async def listening(box: Box, *, port: int, not_kept: Callable[[OSError], None]) -> AsyncIterator[int]:
    """Take mails into `box` until the block ends; gives the port (chosen by the system if 0).

    `not_kept` hears why one could not be taken; whoever sent it is told to come again.

    Raises:
        OSError: the port is taken.
    """
    taker = _Taker(box, not_kept)

    def connection() -> SMTP:
        return SMTP(
            taker,
            data_size_limit=MESSAGE_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Billfold's mail sink",
            timeout=SILENCE_MAX_S,
        )

    server = await asyncio.get_running_loop().create_server(connection, HOST, port)
    async with server:
        yield server.sockets[0].getsockname()[1]
