"""After any crash: every request gets its answer, and the clients' journal, the ledger and the events agree.

The order matters. First what was acknowledged is looked for, before anything is asked again: a repeat could do anew
what was lost. Then what has no answer is asked for by its key, and then everything is asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import asyncpg
import httpx2
import nats
from msgspec.structs import replace

from billfold.ledger import Ledger
from billfold.platform.messaging.brokers.nats import closed_for_good
from billfold.platform.postgres.database import Database
from tests.crash import asking, balances, load, reckoning, telling
from tests.crash.books import Books, Connection
from tests.crash.journal import Answer, Intent
from tests.crash.story import Story

T = TypeVar("T")

#: What is in flight when the load ends is worked off within this.
DRAIN_S = 120.0
EVENTS_STREAM = "BILLFOLD_EVENTS"
CONFIRMED_STREAM = "BILLFOLD_CONFIRMED"
DEAD_LETTERS_STREAM = "BILLFOLD_DEAD_LETTERS"
#: How many ask again at once.
ASKING = 8

#: What was found, counted, for the summary.
Report = Counter[str]


async def audit(story: Story, plan: load.Plan, owner_dsn: str, app_dsn: str) -> Report:
    """Hold the journal against the ledger and the events; an assertion says what was lost, doubled or invented."""
    report = Report(
        acknowledged=sum(answer.done for _, answer in story.answered()),
        refused=sum(not answer.done for _, answer in story.answered()),
    )
    connection = await asyncpg.connect(owner_dsn)
    try:
        reckoning.acknowledged(story, await Books.read(connection))
        async with asking.client(plan.url, plan.api_key) as http:
            report += await _ask_for_the_unanswered(http, story)
            report["replays"] = await _ask_again(http, story)
            await _drained(connection, plan)
            books = await Books.read(connection)
            reckoning.acknowledged(story, books)
            report += reckoning.exactly_once(story, books, plan.opening)
            reckoning.holds(story, books)
            reckoning.reversals(story, books)
            await balances.check(http, books, plan.wallets)
        told = await telling.Told.read(plan.broker, EVENTS_STREAM)
        telling.everything(told, story, books)
        telling.dead_letters(await telling.Told.read(plan.broker, DEAD_LETTERS_STREAM), books)
    finally:
        await connection.close()
    await verify(app_dsn)
    report.update(transfers=len(books.posted), holds=len(books.holds), events=len(told.events), repeats=told.repeats)
    return report


async def _each(work: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Some at a time."""
    waiting = iter(work)

    async def some() -> None:
        for one in waiting:
            await do(one)

    await asyncio.gather(*(some() for _ in range(ASKING)))


async def _ask_for_the_unanswered(http: httpx2.AsyncClient, story: Story) -> Report:
    """Every request without an answer is asked for by its key, and gets one; how many had been done before."""
    found = Report()

    async def ask(intent: Intent) -> None:
        answer = story.answers[intent.key] = await _answer(http, intent)
        found["unanswered"] += 1
        found["unanswered_done"] += answer.done and answer.replayed

    await _each(story.unanswered(), ask)
    return found


async def _ask_again(http: httpx2.AsyncClient, story: Story) -> int:
    """The same request gets the same answer, marked as a repeat; how many there were.

    A wallet's name is whatever it was called last, so that is not asked for again.
    """
    asked = [(intent, answer) for intent, answer in story.answered() if intent.kind != "rename"]

    async def ask(pair: tuple[Intent, Answer]) -> None:
        intent, before = pair
        again = await _answer(http, _shuffled(intent))
        if intent.kind == "wallet":
            assert again.body["id"] == before.body["id"], f"{before} and then {again}"
            return
        if _has_own_keys(intent):
            again = replace(again, body=again.body | {"results": again.body["results"][::-1]})
            assert all(item.get("replayed") for item in again.body["results"]), again
        else:
            assert again.replayed, f"not known to be a repeat: {again}"
        assert _essence(again) == _essence(before), f"{before} and then {again}"

    await _each(asked, ask)
    return len(asked)


def _has_own_keys(intent: Intent) -> bool:
    return intent.kind == "bulk" and "idempotency_key" in intent.body["items"][0]


def _shuffled(intent: Intent) -> Intent:
    """Items with keys of their own are requests of their own: in another order under another key they are the same."""
    if not _has_own_keys(intent):
        return intent
    return replace(intent, key=f"{intent.key}-again", body=intent.body | {"items": intent.body["items"][::-1]})


def _essence(answer: Answer) -> Any:
    """What must be the same each time: not the id of the request, and not that it was repeated."""
    if not answer.done:
        return answer.status, answer.body["code"], answer.body["detail"], answer.body["errors"]
    if "results" not in answer.body:
        return answer.status, answer.body
    results = [
        {name: _unplaced(value) for name, value in item.items() if name != "replayed"}
        for item in answer.body["results"]
    ]
    return answer.status, answer.body | {"results": results}


def _unplaced(value: dict[str, Any]) -> dict[str, Any]:
    """An item's result without its place in the request."""
    return {name: part for name, part in value.items() if name != "pointer"}


async def _answer(http: httpx2.AsyncClient, intent: Intent) -> Answer:
    for _ in range(asking.PATIENCE):
        answer = await asking.ask(http, intent)
        if answer is not None:
            return answer
        await asyncio.sleep(asking.PAUSE_S)
    raise AssertionError(f"no answer for {intent}")


async def _drained(connection: Connection, plan: load.Plan) -> None:
    """Wait until the queue and the outbox are empty, and what is overdue has expired."""
    broker = await nats.connect(**plan.broker)
    deadline = asyncio.get_running_loop().time() + DRAIN_S
    try:
        while True:
            queued = (await broker.jetstream().stream_info(CONFIRMED_STREAM)).state.messages
            counts = dict(
                await connection.fetchrow(
                    "SELECT (SELECT count(*) FROM messaging.outbox) AS outbox, "
                    "(SELECT count(*) FROM messaging.parked) AS parked, "
                    "(SELECT count(*) FROM ledger.holds WHERE status = 'active' AND expires_at IS NOT NULL) AS expiring"
                )
                or {}
            )
            if queued == 0 and not any(counts.values()):
                return
            assert asyncio.get_running_loop().time() < deadline, f"after {DRAIN_S} s: {queued} on the queue, {counts}"
            await asyncio.sleep(0.2)
    finally:
        await closed_for_good(broker)


async def verify(app_dsn: str) -> None:
    """The ledger finds no fault in itself."""
    database = await Database.connect(app_dsn)
    ledger = await Ledger.start(database=database)
    try:
        assert (await ledger.verify()).faults == []
    finally:
        await ledger.close()
        await database.close()
