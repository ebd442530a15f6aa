"""A real SMTP server for tests, which keeps what it gets and can be told to behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from billfold.platform import host
from tests.servers import LoopThread

#: Mails take milliseconds; a slow machine is forgiven.
DEADLINE_S = 60.0
_POLL_S = 0.01


@dataclass(frozen=True)
class Received:
    """A mail as it was handed over."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    def text(self) -> str:
        return self._body("plain")

    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert isinstance(body, EmailMessage)
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class Behaviour:
    """How the next mails are received. A reply refuses; the rest is what can happen to a connection."""

    reply_to_sender: str | None = None
    reply_to_recipient: str | None = None
    reply_to_content: str | None = None
    #: The mail is kept and never answered.
    silent: bool = False
    #: The connection is cut off when the content has come: the mail may be kept all the same.
    cut_off: bool = False
    keeps_when_cut_off: bool = False


@dataclass
class SmtpServer:
    """On an event loop in a thread of its own."""

    thread: LoopThread
    credentials: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    port: int = field(default_factory=host.free_port)
    received: list[Received] = field(default_factory=list)
    behaviour: Behaviour = field(default_factory=Behaviour)
    #: How many mails have been begun, refused ones included.
    tries: int = 0
    _listening: socket.socket | None = None
    _beginning: set[asyncio.Task[None]] = field(default_factory=set)
    _connections: set[SMTP] = field(default_factory=set)

    def start(self) -> None:
        """Listen, at the same port again after `stop`."""
        self.thread.run(self._start())

    def stop(self) -> None:
        """Listen no more, and cut off every connection, as a crash does."""
        self.thread.run(self._stop())

    def wait_for(self, count: int) -> list[Received]:
        """The mails, once there are so many."""
        self.wait_until(lambda: len(self.received) >= count, f"{count} mails")
        return self.received

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}; got {len(self.received)}"
            time.sleep(_POLL_S)

    # What aiosmtpd calls.

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.tries += 1
        if self.behaviour.reply_to_sender:
            return self.behaviour.reply_to_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        if self.behaviour.reply_to_recipient:
            return self.behaviour.reply_to_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        behaviour = self.behaviour
        if behaviour.reply_to_content:
            return behaviour.reply_to_content
        if not behaviour.cut_off or behaviour.keeps_when_cut_off:
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), message))
        if behaviour.cut_off:
            _cut_off(server)
        if behaviour.silent:
            await asyncio.sleep(3600)
        return "250 OK"

    async def _start(self) -> None:
        """Not by asyncio's own server: that loses sockets which it accepts while it is being closed."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._listening.settimeout(0)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        assert self._listening is not None
        accepted, _ = self._listening.accept()
        task = asyncio.get_running_loop().create_task(self._begin(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        direct = self.tls if self.implicit_tls else None
        # Not every client likes our certificate.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted, ssl=direct)

    def _connection(self) -> SMTP:
        connection = SMTP(
            self,
            hostname="mail.example",
            tls_context=None if self.implicit_tls else self.tls,
            authenticator=self._authenticate,
            auth_required=self.credentials is not None,
            # It knows of TLS only if it has begun it itself.
            auth_require_tls=self.tls is not None and not self.implicit_tls,
        )
        self._connections.add(connection)
        return connection

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.credentials
        return AuthResult(success=known, handled=False)

    async def _stop(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        await asyncio.gather(*self._beginning)
        for connection in self._connections:
            _cut_off(connection)
        self._connections.clear()
        # The handlers of the connections that were cut off end in their own time.
        await asyncio.sleep(0.05)


def _cut_off(connection: SMTP) -> None:
    transport = connection.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()


@contextmanager
def running(**options: Any) -> Iterator[SmtpServer]:
    """A server until the block ends."""
    thread = LoopThread()
    server = SmtpServer(thread, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        thread.close()
