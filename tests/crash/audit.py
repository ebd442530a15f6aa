"""What must be true after any crash: the clients' journal, the ledger and the event stream tell the same story."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
import nats
import nats.errors
from nats.js.api import ConsumerConfig, DeliverPolicy

from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.crash import journal, load

#: What is in flight when the load ends is worked off within this.
DRAIN_S = 120.0
EVENTS_STREAM = "BILLFOLD_EVENTS"


class Story(msgspec.Struct):
    """The clients' journal, by key."""

    intents: dict[str, journal.Intent]
    answers: dict[str, list[journal.Answer]]

    @classmethod
    def read(cls, path: Path) -> Story:
        """Read it back."""
        story = cls({}, {})
        for line in journal.read(path):
            if isinstance(line, journal.Intent):
                story.intents[line.key] = line
            else:
                story.answers.setdefault(line.key, []).append(line)
        return story

    def of(self, kind: journal.Kind) -> dict[str, journal.Intent]:
        """The intents of one kind."""
        return {key: intent for key, intent in self.intents.items() if intent.kind == kind}


class Report(msgspec.Struct, frozen=True):
    """What was found, for the summary."""

    acknowledged: int
    refused: int
    unanswered: int
    unanswered_posted: int
    confirmed_applied: int
    confirmed_dead: int
    transfers: int
    events: int


async def audit(story: Story, plan: load.Plan, owner_dsn: str, app_dsn: str) -> Report:
    """Hold the journal against the ledger and the stream; an assertion says what was lost, doubled or invented."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        posted = await _posted(connection)
        _check_answers(story, posted)
        before = sum(1 for key in story.of("transfer") if key not in story.answers and posted[key])
        unanswered = await _ask_again(story, plan)
        applied, dead = await _drained(connection, story)
        posted = await _posted(connection)
        _check_answers(story, posted)
        _check_once(story, posted)
        events = await _events(plan)
        _check_events(await _ids(connection), events)
    finally:
        await connection.close()
    await _verify(app_dsn)
    answers = [answer for given in story.answers.values() for answer in given]
    return Report(
        acknowledged=sum(answer.transfer is not None for answer in answers),
        refused=sum(answer.refused is not None for answer in answers),
        unanswered=unanswered,
        unanswered_posted=before,
        confirmed_applied=applied,
        confirmed_dead=dead,
        transfers=sum(posted.values()),
        events=len(events),
    )


async def _posted(connection: asyncpg.Connection[asyncpg.Record]) -> Counter[str]:
    """How many transfers there are for each reference."""
    found = await connection.fetch("SELECT reference, count(*) FROM ledger.transfers GROUP BY reference")
    return Counter(dict(map(tuple, found)))


async def _ids(connection: asyncpg.Connection[asyncpg.Record]) -> set[str]:
    return {str(row["id"]) for row in await connection.fetch("SELECT id FROM ledger.transfers")}


def _check_answers(story: Story, posted: Counter[str]) -> None:
    """What was acknowledged is there once; what was refused is not there; an answer never changes."""
    for key, answers in story.answers.items():
        assert len({(answer.transfer, answer.refused) for answer in answers}) == 1, f"two answers to one key: {answers}"
        expected = 1 if answers[0].transfer is not None else 0
        assert posted[key] == expected, f"{answers[0]} but posted {posted[key]} times"


async def _ask_again(story: Story, plan: load.Plan) -> int:
    """Every request without an answer is asked for by its key, and gets one; how many there were."""
    waiting = [intent for key, intent in story.of("transfer").items() if key not in story.answers]
    headers = {"authorization": f"Bearer {plan.api_key}"}
    async with httpx2.AsyncClient(base_url=plan.url, headers=headers, timeout=load.TIMEOUT_S) as http:
        for intent in waiting:
            for _ in range(load.PATIENCE):
                answer = await load.send(http, intent.key, intent.body)
                if answer is not None:
                    break
                await asyncio.sleep(load.PAUSE_S)
            else:
                raise AssertionError(f"no answer for {intent}")
            story.answers[intent.key] = [answer]
    return len(waiting)


async def _drained(connection: asyncpg.Connection[asyncpg.Record], story: Story) -> tuple[int, int]:
    """Wait until the outbox is empty and all confirmed transactions are applied or dead letters: how many of each."""
    confirmed = set(story.of("confirmed"))
    deadline = asyncio.get_running_loop().time() + DRAIN_S
    while True:
        applied = {
            row[0]
            for row in await connection.fetch(
                "SELECT reference FROM ledger.transfers WHERE reference = ANY($1)", list(confirmed)
            )
        }
        reasons = dict(
            map(tuple, await connection.fetch("SELECT reason, count(*) FROM wallets.dead_letters GROUP BY reason"))
        )
        dead = sum(reasons.values())
        waiting = await connection.fetchval("SELECT count(*) FROM messaging.outbox")
        # The last message may have been broken off before the stream had it.
        if waiting == 0 and len(applied) + dead >= len(confirmed) - 1:
            assert set(reasons) <= {"insufficient_funds"}, f"refused for no reason of theirs: {reasons}"
            assert applied, "not one confirmed transaction was applied"
            return len(applied), dead
        assert asyncio.get_running_loop().time() < deadline, (
            f"after {DRAIN_S} s: {waiting} in the outbox; of {len(confirmed)} confirmed "
            f"{len(applied)} are applied and {dead} are dead"
        )
        await asyncio.sleep(0.2)


def _check_once(story: Story, posted: Counter[str]) -> None:
    """Nothing was applied twice, whatever was repeated or redelivered."""
    doubled = {key: count for key, count in posted.items() if count > 1 and key in story.intents}
    assert not doubled, f"applied more than once: {doubled}"


async def _events(plan: load.Plan) -> Counter[str]:
    """The ids of all posted transfers that the stream tells of, with how often."""
    broker = await nats.connect(plan.nats_url, user=plan.nats_user, password=plan.nats_password)
    told: Counter[str] = Counter()
    try:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, mem_storage=True)
        consumer = await broker.jetstream().pull_subscribe("billfold.events.>", stream=EVENTS_STREAM, config=config)
        while True:
            try:
                messages = await consumer.fetch(500, timeout=2.0)
            except (nats.errors.TimeoutError, TimeoutError):
                return told
            for message in messages:
                event: dict[str, Any] = msgspec.json.decode(message.data)
                if event["type"] == "transfer.posted.v1":
                    told[event["subject"]] += 1
                await message.ack()
    finally:
        await broker.close()


def _check_events(posted: set[str], told: Counter[str]) -> None:
    """Every committed transfer has been told of, and nothing else has."""
    assert posted - set(told) == set(), f"{len(posted - set(told))} transfers were never told of"
    assert set(told) - posted == set(), "events tell of transfers that are not there"


async def _verify(app_dsn: str) -> None:
    database = await Database.connect(app_dsn)
    ledger = await Ledger.start(database=database)
    try:
        assert (await ledger.verify()).faults == []
    finally:
        await ledger.close()
        await database.close()
