"""What is started when, and stopped when: servers, migrations, roles; and roles, NATS, PostgreSQL.

The composition of real roles, migrations and sandbox is made by the command `billfold up`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec

import billfold
from billfold.app import messaging, pages, settings
from billfold.app.supervisor import master_keys, output, record
from billfold.app.supervisor.keeper import Keeper, Service
from billfold.app.supervisor.roles import STOP_TIMEOUT_S, Role, RoleProcess
from billfold.platform import children, host
from billfold.platform.messaging.embedded import EmbeddedNats
from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres

#: A port that is chosen by chance is seldom taken while a role starts, and not again and again.
PORT_TRIES = 3
#: Where messages to phones go in the sink; it is nobody's (RFC 6761).
SINK_SMS_DOMAIN = "sms.invalid"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotEmbedded(settings.SettingInvalid):
    """`billfold up` runs servers of its own; with yours use `billfold serve api` and `billfold serve worker`."""

    code = "not_embedded"


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """What a newcomer gets to try the stack: a key, and a curl that moves money with it."""

    api_key: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the stack is made of besides the servers."""

    roles: Sequence[Role]
    #: Brings the database up to date, as its owner.
    migrate: Callable[[settings.Settings], Awaitable[object]]
    #: Runs after the migrations, while the roles start.
    sandbox: Callable[[settings.Settings], Awaitable[Sandbox]]


class Stack:
    """One run of the stack in one data folder."""

    def __init__(self, loaded: settings.Loaded, parts: Parts, *, log: TextIO, colour: bool) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._data_dir = loaded.settings.data_dir
        self._parts = parts
        self._stop = asyncio.Event()
        self._terminal = output.Terminal(log, colour=colour, gone=self._stop.set)
        self._postgres = EmbeddedPostgres(
            self._data_dir, port=self._settings.postgres.port, on_line=self._server_log(EmbeddedPostgres.name)
        )
        #: None where the settings name another broker.
        self._nats: EmbeddedNats | None = None
        if self._settings.broker.kind == "nats":
            self._nats = EmbeddedNats(
                self._data_dir, port=self._settings.nats.port, on_line=self._server_log(EmbeddedNats.name)
            )
        servers: tuple[Service, ...] = (self._postgres,) if self._nats is None else (self._postgres, self._nats)
        self._servers = tuple(self._keeper(server, writes_to=self._data_dir) for server in servers)
        self._roles: tuple[Keeper, ...] = ()
        self._claims: dict[int, int] = {}
        self._started_at = datetime.now(UTC)
        self._record: record.StackRecord | None = None

    async def run(self, *, ready: Callable[[record.StackRecord], None]) -> None:
        """Run until a signal comes or something can't be kept running; call `ready` when all answer.

        Raises: AlreadyRunning, NotEmbedded, SettingInvalid, GaveUp, and what the start of a part raises.
        """
        _refuse_foreign_servers(self._loaded)
        with record.locked(self._data_dir), self._signals():
            try:
                if await self._unless_stopped(self._start()):
                    assert self._record is not None
                    ready(self._record)
                    await self._unless_stopped(_together(*(keeper.failed() for keeper in self._keepers())))
            finally:
                await self._stop_all()

    async def _start(self) -> None:
        await end_leftovers(self._data_dir)
        keys_file = master_keys.file_of(self._loaded.settings)
        self._settings = msgspec.structs.replace(
            with_ports(self._loaded, claim=self._claim_port),
            keys=msgspec.structs.replace(self._loaded.settings.keys, file=keys_file),
        )
        await _together(self._start_database(), *(broker.start() for broker in self._servers[1:]))
        if (nats := self._nats) is not None:
            self._settings = msgspec.structs.replace(
                self._settings,
                nats=msgspec.structs.replace(self._settings.nats, url=nats.url, user=nats.user, password=nats.password),
            )
        self._record = self._describe(await self._start_roles())
        self._write_record()
        if (before := record.replace_address(self._data_dir, self._record.api_url)) is not None:
            self._say(f"the API is at {self._record.api_url} now; last time it was at {before}")

    async def _start_roles(self, tries_left: int = PORT_TRIES) -> Sandbox:
        """Start them, on other ports again where another program has been faster."""
        self._roles = tuple(
            self._keeper(RoleProcess(role, self._settings, on_line=self._log(role.name))) for role in self._parts.roles
        )
        starting = [keeper.start() for keeper in self._roles]
        try:
            sandbox: Sandbox = (await _together(self._parts.sandbox(self._settings), *starting))[0]
        except host.PortTaken as taken:
            if not tries_left:
                raise
            # One that was set is refused here.
            free = with_ports(self._loaded, claim=self._claim_port)
            self._say(f"{taken.detail} Trying a free one …")
            await asyncio.gather(*(keeper.stop() for keeper in self._roles))
            self._settings = msgspec.structs.replace(
                self._settings, api=free.api, worker=free.worker, mail=free.mail, mail_sink=free.mail_sink
            )
            return await self._start_roles(tries_left - 1)
        return sandbox

    def _claim_port(self, port: int) -> bool:
        """Keep other stacks of this user, which may be starting too, from choosing the same port."""
        if port not in self._claims:
            try:
                lock = record.claim_port(port)
            except OSError as error:
                self._say(f"port {port} can't be kept from other stacks that start now: {error}")
                return True
            if lock is None:
                return False
            self._claims[port] = lock
        return True

    async def _start_database(self) -> None:
        await self._servers[0].start()
        assert self._settings.keys.file is not None
        await master_keys.make_missing(self._settings.keys.file, self._postgres.dsn(cluster.OWNER))
        self._settings = msgspec.structs.replace(
            self._settings,
            postgres=msgspec.structs.replace(
                self._settings.postgres,
                dsn=self._postgres.dsn(cluster.APP),
                owner_dsn=self._postgres.dsn(cluster.OWNER),
            ),
            audit=msgspec.structs.replace(
                self._settings.audit,
                dsn=self._postgres.dsn(cluster.APP, database=cluster.AUDIT),
                owner_dsn=self._postgres.dsn(cluster.OWNER, database=cluster.AUDIT),
            ),
        )
        await self._parts.migrate(self._settings)

    async def _stop_all(self) -> None:
        self._say("stopping")
        for group in (self._roles, self._servers[1:], self._servers[:1]):
            await asyncio.gather(*(keeper.stop() for keeper in group))
        for lock in self._claims.values():
            os.close(lock)
        self._say("stopped")

    def _keepers(self) -> tuple[Keeper, ...]:
        return (*self._servers, *self._roles)

    def _keeper(self, service: Service, *, writes_to: Path | None = None) -> Keeper:
        return Keeper(service, say=self._say, changed=self._write_record, writes_to=writes_to)

    def _say(self, text: str) -> None:
        self._terminal.write("billfold", text)

    def _log(self, name: str) -> children.LogLine:
        return lambda line: self._terminal.write(name, line)

    def _server_log(self, name: str) -> children.LogLine:
        return self._log(name) if self._settings.log.level == "debug" else output.without_routine(self._log(name))

    def _describe(self, sandbox: Sandbox) -> record.StackRecord:
        tree = self._settings
        return record.StackRecord(
            pid=os.getpid(),
            started_at=self._started_at.isoformat(timespec="seconds"),
            version=billfold.__version__,
            data_dir=str(self._data_dir),
            api_url=tree.api.local_url,
            tls_certificate=None if tree.api.tls_certificate is None else str(tree.api.tls_certificate),
            docs_url=f"{tree.api.local_url}/docs",
            account_url=pages.account(tree.api.url),
            metrics_urls={
                "api": tree.metrics.local_url(tree.api.metrics_port),
                "worker": tree.metrics.local_url(tree.worker.metrics_port),
            },
            mail_sink_url=tree.mail_sink.url if has_mail_sink(self._loaded.settings) else None,
            keys_file=str(tree.keys.file),
            api_key=sandbox.api_key,
            example=sandbox.example,
            postgres_dsn=self._postgres.dsn(cluster.APP, tcp=True),
            postgres_owner_dsn=self._postgres.dsn(cluster.OWNER, tcp=True),
            postgres_readonly_dsn=self._postgres.dsn(cluster.READONLY, tcp=True),
            audit_dsn=self._postgres.dsn(cluster.APP, database=cluster.AUDIT, tcp=True),
            audit_owner_dsn=self._postgres.dsn(cluster.OWNER, database=cluster.AUDIT, tcp=True),
            nats_url=tree.nats.url,
            nats_user=tree.nats.user,
            nats_password=tree.nats.password,
            processes={},
        )

    def _write_record(self) -> None:
        """Tell the others, again when a process was replaced. A stack that is still starting is not told of."""
        if self._record is None:
            return
        processes = {keeper.service.name: keeper.child.pid for keeper in self._keepers() if keeper.child is not None}
        self._record = msgspec.structs.replace(self._record, processes=processes)
        try:
            record.write(self._data_dir, self._record)
        except OSError as error:
            # The stack lives on without it: a full disk is no reason to stop.
            self._say(f"stack.json can't be written: {error}")

    async def _unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do the work and return True; or, when a stop is asked for meanwhile, break it off and return False."""
        tasks = (asyncio.create_task(work), asyncio.create_task(self._stop.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped = not tasks[0].done()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not stopped:
            tasks[0].result()
        return not stopped

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)


async def end_leftovers(data_dir: Path) -> None:
    """Stop what a stack that was killed has left running. The folder's lock must be held.

    Raises: LeftoverProcess.
    """
    for lock in record.program_locks(data_dir):
        # PostgreSQL takes SIGTERM as: wait until the last client has gone.
        number = signal.SIGINT if lock.stem == EmbeddedPostgres.name else signal.SIGTERM
        await children.end_leftover(lock, stop_signal=number, timeout_s=STOP_TIMEOUT_S)


def with_ports(loaded: settings.Loaded, *, claim: Callable[[int], bool]) -> settings.Settings:
    """The settings with ports that are free: one that was set is kept or refused, a default gives way.

    It also does so to another stack that has claimed it and does not listen yet.

    Raises: PortTaken, NoFreePort.
    """
    api, worker, sink = loaded.settings.api, loaded.settings.worker, loaded.settings.mail_sink
    chosen: dict[str, int] = {}
    defaults = {
        "api.port": api.port,
        "api.metrics_port": api.metrics_port,
        "worker.metrics_port": worker.metrics_port,
        "mail_sink.port": sink.port,
        "mail_sink.smtp_port": sink.smtp_port,
    }
    for key, port in defaults.items():
        if key in loaded.sources:
            chosen[key] = host.checked_port(port)
        else:
            free = host.port_is_free(port) and port not in chosen.values() and claim(port)
            chosen[key] = port if free else host.free_port(besides=chosen.values())
    return msgspec.structs.replace(
        loaded.settings,
        api=msgspec.structs.replace(api, port=chosen["api.port"], metrics_port=chosen["api.metrics_port"]),
        worker=msgspec.structs.replace(worker, metrics_port=chosen["worker.metrics_port"]),
        mail=_mail(loaded.settings, sink_port=chosen["mail_sink.smtp_port"]),
        mail_sink=settings.MailSink(port=chosen["mail_sink.port"], smtp_port=chosen["mail_sink.smtp_port"]),
    )


def has_mail_sink(tree: settings.Settings) -> bool:
    """Whether the stack of these settings, as they were given, has a mail server of its own."""
    return tree.mail.host is None


def _mail(tree: settings.Settings, *, sink_port: int) -> settings.Mail:
    """The mail server that is set, or the sink. There, phones have a gateway too."""
    if not has_mail_sink(tree):
        return tree.mail
    return msgspec.structs.replace(
        tree.mail,
        host="127.0.0.1",
        port=sink_port,
        tls="none",
        user=None,
        password=None,
        sms_domain=tree.mail.sms_domain or SINK_SMS_DOMAIN,
    )


def _refuse_foreign_servers(loaded: settings.Loaded) -> None:
    databases = ("postgres.dsn", "postgres.owner_dsn", "audit.dsn", "audit.owner_dsn")
    for key in (*databases, "nats.url", "nats.user", "nats.password"):
        if key in loaded.sources:
            raise NotEmbedded(
                f"{key} is set by {loaded.sources[key]}, but `billfold up` runs servers of its own; "
                "unset it, or run `billfold serve api` and `billfold serve worker` with it."
            )
    if loaded.settings.broker.kind != "nats":
        # Only NATS comes with the stack. Where is the other one? Is there a client for it?
        messaging.of(loaded.settings)


async def _together(*work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> list[Any]:
    """Do all at once. The first that fails breaks off the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_as_coroutine(part)) for part in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _as_coroutine(work: Awaitable[Any]) -> Any:
    return await work
