"""What is started when, and stopped when: servers, migrations, ledgers, roles; and roles, ledgers, servers, PostgreSQL.

The composition of real roles, migrations and sandbox is made by the command `billfold up`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec

import billfold
from billfold.app import messaging, pages, settings
from billfold.app.supervisor import master_keys, output, ports, record, signing
from billfold.app.supervisor.additions import NONE, Added, Additions, ledger_addresses
from billfold.app.supervisor.keeper import Keeper, Service
from billfold.app.supervisor.roles import LEDGER, SIGNER, STOP_TIMEOUT_S, Role, RoleProcess
from billfold.platform import children, host
from billfold.platform.messaging.embedded import EmbeddedNats
from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres

#: A port that is chosen by chance is seldom taken while a role starts, and not again and again.
PORT_TRIES = 3
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
    #: Makes what is missing in the other servers, when they run.
    prepare: Callable[[settings.Settings], Awaitable[object]]
    #: Runs after the migrations, while the roles start.
    sandbox: Callable[[settings.Settings], Awaitable[Sandbox]]
    #: Runs beside the roles: copies to the servers that were added, by name, what they lack, and says so.
    catch_up: Callable[[settings.Settings, Collection[str], Callable[[str], None]], Awaitable[object]]
    profile: str = "minimal"
    additions: Additions = NONE
    #: Whether keys of chains are needed.
    signer: bool = False


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
        self._added = Added(
            self._data_dir,
            keeper=lambda service: self._keeper(service, writes_to=self._data_dir),
            say=self._say,
            changed=self._write_record,
        )
        self._ledger_ports: tuple[int, ...] = ()
        self._ledgers: tuple[Keeper, ...] = ()
        self._signers: tuple[Keeper, ...] = ()
        #: By which commands of this machine find the signer's own things.
        self._signer_settings: dict[str, Any] = {}
        self._roles: tuple[Keeper, ...] = ()
        self._claims = ports.Claims(say=self._say)
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
                    kept = (
                        keeper.failed() for keeper in (*self._servers, *self._signers, *self._ledgers, *self._roles)
                    )
                    catching_up = self._parts.catch_up(self._settings, self._added.keepers, self._say)
                    await self._unless_stopped(_together(*kept, self._added.kept(), catching_up))
            finally:
                await self._stop_all()

    async def _start(self) -> None:
        await end_leftovers(self._data_dir)
        keys_file = master_keys.file_of(self._loaded.settings)
        free = self._choose_ports()
        self._settings = settings.replaced(free, {"keys.file": keys_file})
        await _together(
            self._start_database(),
            *(broker.start() for broker in self._servers[1:]),
            self._added.start(self._parts.additions, log=self._added_log),
        )
        found_by: dict[str, object] = {**self._added.settings}
        if (nats := self._nats) is not None:
            found_by |= {"nats.url": nats.url, "nats.user": nats.user, "nats.password": nats.password}
        if self._parts.additions.ledgers:
            found_by |= ledger_addresses(self._data_dir, self._parts.additions.ledgers)
        self._settings = settings.replaced(self._settings, found_by)
        await self._parts.prepare(self._settings)
        if self._parts.signer:
            await self._prepare_signer()
        # Whoever asks the signer can wait for it, so nothing does.
        started = await _together(self._start_roles(), *(keeper.start() for keeper in self._signers))
        self._record = self._describe(started[0])
        self._write_record()
        if (before := record.replace_address(self._data_dir, self._record.api_url)) is not None:
            self._say(f"the API is at {self._record.api_url} now; last time it was at {before}")

    async def _prepare_signer(self) -> None:
        """Before whoever has to know where it is. It is not told of any other database, and nobody else of its own."""
        found = dict(signing.found_by(self._settings, self._postgres))
        found["signer.metrics_port"] = signing.metrics_port(self._loaded, claim=self._claims.take)
        self._settings = settings.replaced(self._settings, found)
        await self._parts.migrate(self._settings)
        await signing.make_keys(self._settings)
        self._signer_settings = record.signer_of(self._settings)
        self._signers = (self._keeper(RoleProcess(SIGNER, self._settings, on_line=self._log(SIGNER.name))),)

    async def _start_roles(self, tries_left: int = PORT_TRIES) -> Sandbox:
        """Start them, on other ports again where another program has been faster."""
        self._ledgers = tuple(self._ledger_keepers())
        self._roles = tuple(
            self._keeper(RoleProcess(role, self._settings, on_line=self._log(role.name))) for role in self._parts.roles
        )
        try:
            await _together(*(keeper.start() for keeper in self._ledgers))
            starting = [keeper.start() for keeper in self._roles]
            sandbox: Sandbox = (await _together(self._parts.sandbox(self._settings), *starting))[0]
        except host.PortTaken as taken:
            if not tries_left:
                raise
            # One that was set is refused here.
            free = self._choose_ports()
            self._say(f"{taken.detail} Trying a free one …")
            await self._stop_roles()
            self._settings = msgspec.structs.replace(
                self._settings, api=free.api, worker=free.worker, mail=free.mail, mail_sink=free.mail_sink
            )
            return await self._start_roles(tries_left - 1)
        return sandbox

    def _ledger_keepers(self) -> Iterator[Keeper]:
        addresses = (self._settings.ledger.address or "").split(",")
        for number, (address, port) in enumerate(zip(addresses, self._ledger_ports, strict=False), start=1):
            name = f"ledger-{number}"
            own = settings.replaced(self._settings, {"ledger.listen": address, "ledger.metrics_port": port})
            yield self._keeper(RoleProcess(LEDGER, own, on_line=self._log(name), name=name))

    def _choose_ports(self) -> settings.Settings:
        tree, self._ledger_ports = ports.choose(
            self._loaded, ledgers=self._parts.additions.ledgers, claim=self._claims.take
        )
        for sentence in ports.moved(self._loaded.settings, tree):
            self._say(sentence)
        return tree

    async def _start_database(self) -> None:
        await self._servers[0].start()
        assert self._settings.keys.file is not None
        await master_keys.make_missing(self._settings.keys.file, self._postgres.dsn(cluster.OWNER))
        dsn = self._postgres.dsn
        self._settings = settings.replaced(
            self._settings,
            {
                "postgres.dsn": dsn(cluster.APP),
                "postgres.owner_dsn": dsn(cluster.OWNER),
                "audit.dsn": dsn(cluster.APP, database=cluster.AUDIT),
                "audit.owner_dsn": dsn(cluster.OWNER, database=cluster.AUDIT),
            },
        )
        await self._parts.migrate(self._settings)

    async def _stop_all(self) -> None:
        self._say("stopping")
        await self._stop_roles()
        await _stop(self._signers)
        for group in ((*self._servers[1:], *self._added.keepers.values()), self._servers[:1]):
            await _stop(group)
        self._claims.release()
        self._say("stopped")

    async def _stop_roles(self) -> None:
        """What asks the ledgers goes before them."""
        for group in (self._roles, self._ledgers):
            await _stop(group)

    def _keepers(self) -> tuple[Keeper, ...]:
        return (*self._servers, *self._added.keepers.values(), *self._signers, *self._ledgers, *self._roles)

    def _keeper(self, service: Service, *, writes_to: Path | None = None) -> Keeper:
        return Keeper(service, say=self._say, changed=self._write_record, writes_to=writes_to)

    def _say(self, text: str) -> None:
        self._terminal.write("billfold", text)

    def _log(self, name: str) -> children.LogLine:
        return lambda line: self._terminal.write(name, line)

    def _server_log(self, name: str) -> children.LogLine:
        return self._log(name) if self._settings.log.level == "debug" else output.without_routine(self._log(name))

    def _added_log(self, name: str) -> children.LogLine:
        """Theirs is for whoever looks for a fault in them. Why one has ended is told in any case."""
        return self._log(name) if self._settings.log.level == "debug" else _unheard

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
                **({"signer": tree.metrics.local_url(tree.signer.metrics_port)} if self._signers else {}),
                **{f"ledger-{n}": tree.metrics.local_url(port) for n, port in enumerate(self._ledger_ports, start=1)},
            },
            mail_sink_url=tree.mail_sink.url if ports.has_mail_sink(self._loaded.settings) else None,
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
            profile=self._parts.profile,
            addresses=self._addresses(),
            left_out=self._added.left_out,
            starting=self._added.starting,
            settings={**record.named(self._loaded), **self._added.settings, **self._signer_settings},
            processes={},
        )

    def _addresses(self) -> dict[str, str]:
        tree = self._settings
        ledgers = (tree.ledger.address or "").split(",")[: len(self._ledger_ports)]
        theirs = {} if ledgers else {"ledger": tree.ledger.address}
        found = {
            "postgres": f"127.0.0.1:{self._postgres.port}",
            **self._broker_address(),
            **self._added.addresses,
            **{f"ledger-{number}": address for number, address in enumerate(ledgers, start=1)},
            **theirs,
            "signer": tree.signer.address,
            "api": tree.api.local_url,
            "mail-sink": tree.mail_sink.url if ports.has_mail_sink(self._loaded.settings) else None,
        }
        return {name: address for name, address in found.items() if address is not None}

    def _broker_address(self) -> dict[str, str]:
        where = messaging.shown_place(self._settings)
        return {} if where is None else {self._settings.broker.kind: where}

    def _write_record(self) -> None:
        """Tell the others, again when a process was replaced. A stack that is still starting is not told of."""
        if self._record is None:
            return
        processes = {keeper.service.name: keeper.child.pid for keeper in self._keepers() if keeper.child is not None}
        self._record = msgspec.structs.replace(
            self._record, processes=processes, left_out=self._added.left_out, starting=self._added.starting
        )
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


def _refuse_foreign_servers(loaded: settings.Loaded) -> None:
    databases = ("postgres.dsn", "postgres.owner_dsn", "audit.dsn", "audit.owner_dsn", "signer.dsn", "signer.owner_dsn")
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


async def _stop(keepers: Iterable[Keeper]) -> None:
    await asyncio.gather(*(keeper.stop() for keeper in keepers))


def _unheard(_: str) -> None:
    pass


async def _as_coroutine(work: Awaitable[Any]) -> Any:
    return await work
