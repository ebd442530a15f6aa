"""What is measured, in which order. Yardstick and loads take turns in rounds, so that a ratio compares neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import (
    balances,
    brokers,
    costs,
    direct,
    journal,
    kept,
    latency,
    later,
    machine,
    outage,
    people,
    pgbench,
    population,
    roles,
    sealing,
    stack,
)
from bench.direct import Posting
from bench.figures import median
from bench.journal import Past
from bench.loads import Result, Site
from bench.pgbench import Pgbench
from bench.plan import CONNECTIONS, Authenticated, Events, Measured, Plan, Progress, Reads, Round, Start
from bench.population import Files
from bench.stack import Running
from billfold.identity import Identity
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database

#: A bulk of 1,000 is a batch of its own, so a few connections keep all writers busy.
BULK_CONNECTIONS = 6
BULK_ITEMS = 1_000
#: Logins that wait at once.
STORM_CONNECTIONS = 200
#: Before the rounds: code is compiled, plans are made, wallets are looked up, caches are filled.
WARM_UP_S = 3
#: Rather less than what can be sustained: latency at the peak is the length of a queue.
STEADY = 0.5
#: Connections of the bench's own, which prepares and reads.
_POOL = 8


class VerificationFailed(Exception):
    """The ledger is not right after the loads; how fast it was does not matter."""


class NoStorm(Exception):
    """The storm of logins was none, so what was measured beside it says nothing."""


async def run(plan: Plan, folder: Path, progress: Progress) -> Measured:
    """Measure everything on a stack in `folder`.

    Raises: Lost, ProgramFailed, NotSealed, VerificationFailed, WrongBalance.
    """
    progress.step("Starting the stack for the first time", 0)
    async with stack.up(folder) as running:
        first = Start(running.started_s, await running.idle_memory(after_s=plan.idle_after_s))
        yardstick = Pgbench(running.folder, host=running.postgres_host, port=running.postgres_port)
        described = machine.describe(folder, postgresql=await yardstick.version())
        async with _bench(plan, running, yardstick, progress) as bench:
            clients, rounds = await bench.rounds(folder)
            stored = await bench.site.stored()
            # Before the long pasts are written: the worker reads the whole ledger again every few minutes. And before
            # the storm of logins: some of their passwords are hashed when it is over.
            per_s = STEADY * median([turn.spread.per_s for turn in rounds])
            events = await bench.events(folder, per_s=per_s)
            authenticated = await bench.authentication(folder)
            reads = await bench.reads(folder)
            verified = await bench.verify()
            progress.step("Recording and sealing the audit", 0)
            sealed = await sealing.measure(running, records=plan.audit_records)
    async with roles.servers(folder, running.record) as servers:
        variants = await costs.measure(plan, servers, folder, progress)
        delayed = await later.measure(plan, servers, folder, progress)
        away = await outage.measure(plan, servers, folder, progress, per_s=per_s)
    return Measured(
        plan=plan,
        machine=described,
        first_start=first,
        clients=clients,
        rounds=rounds,
        stored=stored,
        authenticated=authenticated,
        reads=reads,
        kept=await kept.measure(plan, folder, progress),
        events=events,
        verified=verified,
        sealed=sealed,
        variants=variants,
        later=delayed,
        outage=away,
        elsewhere=await brokers.measure(plan, folder, progress, per_s=per_s) if plan.brokers else {},
        later_starts=[await _restart(plan, folder, progress) for _ in range(plan.restarts)],
    )


async def _restart(plan: Plan, folder: Path, progress: Progress) -> Start:
    progress.step("Starting the stack again, on all that data", 0)
    async with stack.up(folder) as running:
        return Start(running.started_s, await running.idle_memory(after_s=plan.idle_after_s))


@asynccontextmanager
async def _bench(plan: Plan, running: Running, yardstick: Pgbench, progress: Progress) -> AsyncIterator[_Bench]:
    database = await Database.connect(running.dsn(running.record.postgres_dsn), size=_POOL, name="billfold bench")
    owner = await asyncpg.connect(running.dsn(running.record.postgres_owner_dsn))
    ledger = await Ledger.start(database=database)
    try:
        yield _Bench(
            plan=plan,
            running=running,
            yardstick=yardstick,
            progress=progress,
            database=database,
            ledger=ledger,
            owner=owner,
            site=Site(running, owner),
        )
    finally:
        await ledger.close()
        await owner.close()
        await database.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The steps of a run on one running stack."""

    plan: Plan
    running: Running
    yardstick: Pgbench
    progress: Progress
    database: Database
    ledger: Ledger
    owner: asyncpg.Connection[asyncpg.Record]
    site: Site

    async def rounds(self, folder: Path) -> tuple[int, list[Round]]:
        """The peak of pgbench, and the rounds of it and all loads."""
        files = await self._populate(folder)
        self.progress.step("Filling pgbench's tables", 0)
        await self.yardstick.prepare(branches=self.plan.pgbench_branches)
        clients = await self._peak()
        self.progress.step("Warming up", 0)
        await self.site.post(files.bulk, label="warm-bulk", connections=2, seconds=WARM_UP_S, items=BULK_ITEMS)
        await self.site.post(files.spread, label="warm", connections=CONNECTIONS, seconds=WARM_UP_S)
        async with direct.serving(self.running, self.site, self.owner, folder) as posting:
            await posting.turn("warm", seconds=1, blocks=1, grpc_first=True)
            step = "Rounds of pgbench, and of spread, hot and bulk transfers and those without HTTP"
            self.progress.step(step, 5 * self.plan.rounds)
            rounds = [await self._round(files, clients, number, posting) for number in range(self.plan.rounds)]
        await self.yardstick.drop()
        return clients, rounds

    async def authentication(self, folder: Path) -> list[Authenticated]:
        """What it costs to know people by their logins, and what a storm of logins costs everybody.

        Raises: NoStorm.
        """
        self.progress.step("Creating a person's wallets", people.WALLETS)
        facade = people.identity(self.database, self.running)
        try:
            person = await people.create(
                self.database, self.ledger, facade, self.owner, folder=folder, progress=self.progress.advance
            )
            await journal.analyze(self.owner)
            await self._persons(person, "warm-person", person.key, seconds=WARM_UP_S)
            step = "Rounds of transfers by key, by access token, and in a storm of logins"
            self.progress.step(step, 3 * self.plan.rounds)
            return [await self._authenticated(facade, person, number) for number in range(self.plan.rounds)]
        finally:
            facade.close()

    async def _authenticated(self, facade: Identity, person: people.Person, number: int) -> Authenticated:
        """One turn; whoever comes first has the colder caches, so they take turns in that too."""
        token = await people.access_token(self.database, facade, person)
        order = [("key", person.key), ("token", token)]
        results = {}
        for name, credentials in order if number % 2 == 0 else reversed(order):
            await self.yardstick.checkpoint()
            results[name] = await self._persons(person, f"{name}-{number}", credentials)
            self.progress.advance(1)
        await self.yardstick.checkpoint()
        storm, in_storm = await asyncio.gather(
            self.site.storm(
                person.logins,
                connections=STORM_CONNECTIONS,
                seconds=self.plan.turn_seconds,
                per_s=self.plan.logins_per_s,
            ),
            self._persons(person, f"storm-{number}", person.key),
        )
        self.progress.advance(1)
        if storm.other:
            raise NoStorm(f"of {storm.answered:,} logins {storm.other:,} were neither checked nor told to come back")
        return Authenticated(results["key"], results["token"], in_storm, storm)

    async def _persons(
        self, person: people.Person, label: str, credentials: str, *, seconds: int | None = None
    ) -> Result:
        """Transfers of somebody's."""
        seconds = seconds or self.plan.turn_seconds
        return await self.site.post(
            person.transfers, label=label, connections=CONNECTIONS, seconds=seconds, token=credentials
        )

    async def reads(self, folder: Path) -> Reads:
        """Balances over HTTP, and in the database of accounts with long pasts."""
        files = population.Files.within(folder)
        seconds = self.plan.seconds
        self.progress.step("Balances over HTTP", 0)
        together = await self.site.get(files.balances, connections=CONNECTIONS, seconds=seconds)
        alone = await self.site.get(files.balances, connections=1, seconds=seconds)
        pasts = await self._pasts(self.plan.pasts, backdated=False)
        late = await self._pasts(self.plan.backdated, backdated=True)
        await journal.analyze(self.owner)
        await self.yardstick.checkpoint()
        self.progress.step("Balances of accounts with long pasts", 0)
        count = self.plan.reads
        return Reads(
            together,
            alone,
            await balances.now(self.ledger, pasts, count=count),
            await balances.at_instants(self.database, self.ledger, pasts, effective=False, count=count),
            await balances.at_instants(self.database, self.ledger, late, effective=True, count=count),
        )

    async def events(self, folder: Path, *, per_s: float) -> Events:
        """Events at a consumer, while so many transfers a second are made."""
        self.progress.step("Events at a consumer", 0)
        files = population.Files.within(folder)
        await journal.analyze(self.owner)
        await self.yardstick.checkpoint()
        return await brokers.delayed(
            self.site,
            self.owner,
            latency.consumer(self.running.record),
            files.spread,
            label="steady",
            seconds=self.plan.latency_seconds,
            per_s=per_s,
        )

    async def verify(self) -> int:
        """Read the whole ledger again.

        Raises: VerificationFailed.
        """
        self.progress.step("Verifying the ledger", 0)
        found = await self.ledger.verify()
        if found.faults:
            raise VerificationFailed("; ".join(f"{fault.invariant} {fault.detail}" for fault in found.faults[:5]))
        return found.transfers

    async def _populate(self, folder: Path) -> Files:
        self.progress.step("Creating wallets", self.plan.wallets)
        record = self.running.record
        owner = await asyncio.to_thread(population.owner_of, api_url=record.api_url, api_key=record.api_key)
        identity = people.identity(self.database, self.running)
        wallets = await population.create(
            self.database, self.ledger, identity, owner=owner, count=self.plan.wallets, progress=self.progress.advance
        )
        files = population.write_files(folder, wallets)
        await journal.analyze(self.owner)
        await self.site.drained()
        await self.site.followed()
        return files

    async def _peak(self) -> int:
        """The number of clients with which pgbench is fastest."""
        self.progress.step("Looking for pgbench's peak", len(pgbench.CLIENTS))
        speeds = {}
        for clients in pgbench.CLIENTS:
            speeds[clients] = await self.yardstick.run(clients=clients, seconds=self.plan.search_seconds)
            self.progress.advance(1)
        return max(speeds, key=lambda clients: speeds[clients].tps)

    async def _round(self, files: Files, clients: int, label: int, posting: Posting) -> Round:
        seconds = self.plan.seconds
        await self.yardstick.checkpoint()
        speed = await self.yardstick.run(clients=clients, seconds=seconds)
        self.progress.advance(1)
        singles = []
        for kind, lines in (("spread", files.spread), ("hot", files.hot)):
            await self.yardstick.checkpoint()
            singles.append(
                await self.site.post(lines, label=f"{kind}-{label}", connections=CONNECTIONS, seconds=seconds)
            )
            self.progress.advance(1)
        await self.yardstick.checkpoint()
        bulk = await self.site.post(
            files.bulk, label=f"bulk-{label}", connections=BULK_CONNECTIONS, seconds=seconds, items=BULK_ITEMS
        )
        self.progress.advance(1)
        await self.yardstick.checkpoint()
        turn = await posting.turn(
            str(label), seconds=self.plan.turn_seconds, blocks=self.plan.blocks, grpc_first=label % 2 == 0
        )
        self.progress.advance(1)
        return Round(speed, singles[0], singles[1], bulk, turn)

    async def _pasts(self, entries: Sequence[int], *, backdated: bool) -> list[Past]:
        kind = "back-dated transfers" if backdated else "transfers"
        self.progress.step(f"Writing accounts with up to {max(entries):,} {kind}", sum(entries))
        return [
            await journal.write(
                self.owner, self.ledger, entries=count, backdated=backdated, progress=self.progress.advance
            )
            for count in entries
        ]
