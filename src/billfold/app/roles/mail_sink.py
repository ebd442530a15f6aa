"""The role `mail-sink`: the mail server of a stack that has none set, and the page that shows its mails.

It starts with every stack and seldom has anything to say, so it loads little: the library of logs alone would take
longer than all the rest.
"""

from __future__ import annotations

import asyncio
import signal

from billfold.app import settings
from billfold.platform.mail.sink import receiving, web
from billfold.platform.mail.sink.box import FOLDER, Box

ROLE = "mail-sink"


def run(tree: settings.Settings) -> None:
    """Take mails and show them until SIGTERM or Ctrl-C."""
    asyncio.run(_serve(tree))


async def _serve(tree: settings.Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    box = Box(tree.data_dir / FOLDER)

    def not_kept(error: OSError) -> None:
        _warn(tree.log, "a mail can't be kept", reason=error.strerror)

    async with receiving.listening(box, port=tree.mail_sink.smtp_port, not_kept=not_kept):
        with web.listening(box, port=tree.mail_sink.port):
            await stop.wait()


def _warn(tree: settings.Log, event: str, **values: object) -> None:
    import structlog  # noqa: PLC0415 - see above.

    from billfold.platform.telemetry import logs  # noqa: PLC0415

    logs.configure(role=ROLE, level=tree.level, form=tree.format)
    structlog.get_logger(__name__).warning(event, **values)
