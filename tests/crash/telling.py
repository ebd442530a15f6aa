"""What must be true of the events after any crash: all that happened is told, in order, and nothing else is."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

from billfold.platform.messaging import topics
from billfold.platform.messaging.port import Bookmark, BrokerUnavailable, Messaging
from tests.crash.books import Books
from tests.crash.story import Story, cents, instant

Event = dict[str, Any]
#: So often at most, each after as long as a read waits.
_BEGINNINGS = 5
_ENDS = ("released", "expired")
_KNOWN = ("transfer.", "hold.", "wallet.")


class Told(msgspec.Struct):
    """The events of a stream in their order, each at its first appearance, and how often one came again."""

    events: list[Event]
    repeats: int

    #: What each of them said, by source and id.
    said: dict[tuple[str, str], int]
    #: How many there are of each type.
    kinds: Counter[str] = msgspec.field(default_factory=Counter)

    @classmethod
    async def read(cls, broker: dict[str, Any], stream: str) -> Told:
        """From the first to the last that the stream has now."""
        told = cls([], 0, {})
        connection = await nats.connect(**broker)
        try:
            jetstream = connection.jetstream()
            waiting = (await jetstream.stream_info(stream)).state.messages
            config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, mem_storage=True)
            consumer = await jetstream.pull_subscribe(">", stream=stream, config=config)
            while waiting:
                for message in await consumer.fetch(min(500, waiting), timeout=10.0):
                    waiting -= 1
                    told.hear(message.data)
                    await message.ack()
        finally:
            await connection.close()
        return told

    @classmethod
    async def tailed(cls, messaging: Messaging, whole: Callable[[Told], bool]) -> Told:
        """From the first until nothing is missing, from whichever broker.

        A broker that has just begun forgets who reads: they begin again.
        """
        for _ in range(_BEGINNINGS):
            with contextlib.suppress(BrokerUnavailable):
                return await cls._tailed(messaging, whole)
        return await cls._tailed(messaging, whole)

    @classmethod
    async def _tailed(cls, messaging: Messaging, whole: Callable[[Told], bool]) -> Told:
        told = cls([], 0, {})
        async with messaging.connected(name="test") as broker:
            await broker.ensure(topics.EVENTS)
            async with broker.tailing(topics.EVENTS, bookmark=Bookmark(start="beginning")) as deliveries:
                async for delivery in deliveries:
                    told.hear(delivery.body)
                    if whole(told):
                        break
        return told

    def hear(self, body: bytes) -> None:
        """An event that comes again says the same again."""
        event: Event = msgspec.json.decode(body)
        name, content = (event["source"], event["id"]), hash(body)
        if name in self.said:
            assert self.said[name] == content, f"told again and otherwise: {event}"
            self.repeats += 1
        else:
            self.said[name] = content
            self.events.append(event)
            self.kinds[event["type"]] += 1

    def of(self, prefix: str) -> list[Event]:
        """Those whose type begins so."""
        return [event for event in self.events if event["type"].startswith(prefix)]


def everything(told: Told, story: Story, books: Books) -> None:
    """Transfers, holds and wallets; besides them there is only the sandbox's key."""
    _transfers(told.of("transfer."), books)
    _holds(told.of("hold."), books)
    _wallets(told.of("wallet."), story, books)
    others = [event["type"] for event in told.events if not event["type"].startswith(_KNOWN)]
    assert others[:1] == ["api_key.created.v1"], f"events that nobody knows: {others}"
    # That it is used is told once a day.
    assert set(others[1:]) <= {"api_key.used.v1"}, f"events that nobody knows: {others}"


def dead_letters(told: Told, books: Books) -> None:
    """Each is told of, once."""
    ids = Counter(event["data"]["dead_letter_id"] for event in told.events)
    assert ids == Counter(books.dead_ids), "dead letters that were not told of, or twice, or are not there"


def by_key(told: Told, books: Books) -> None:
    """Each transfer is told of, once; and of two with one key the earlier comes first, whatever comes between keys."""
    events = told.of("transfer.posted.")
    _once(events, books.posted.keys(), "transfers")
    versions: Counter[str] = Counter()
    for event in events:
        key, version = event["partitionkey"], event["data"]["debit_version"]
        assert version > versions[key], f"after version {versions[key]} comes {event}"
        versions[key] = version


def requests(told: Told, ended: Mapping[str, str]) -> None:
    """Each request is told of when it was accepted and when it ended, with what has become of it, once each."""
    _once(told.of("request.accepted."), ended.keys(), "requests")
    ends = [event for kind in ("transfer.completed.", "transfer.failed.") for event in told.of(kind)]
    _once(ends, ended.keys(), "ends of requests")
    assert {event["subject"]: event["data"]["status"] for event in ends} == ended


def _once(events: list[Event], subjects: Collection[str], what: str) -> None:
    """There is one event about each of these, and none about anything else."""
    told, there = Counter(event["subject"] for event in events), Counter(subjects)
    assert told == there, f"of {len(subjects)} {what} never told of: {there - told}; too often: {told - there}"


def _transfers(events: list[Event], books: Books) -> None:
    """Along each account its versions count 1, 2, 3 … to the last one."""
    versions: Counter[str] = Counter()
    ids = {event["subject"] for event in events}
    assert len(ids) == len(events), "a transfer is told of under several ids"
    assert ids <= set(books.posted), f"events tell of transfers that are not there: {ids - set(books.posted)}"
    assert ids == set(books.posted), f"never told of: {set(books.posted) - ids}"
    for event in events:
        data, posted = event["data"], books.posted[event["subject"]]
        for side in ("debit", "credit"):
            account, version = data[f"{side}_account"], data[f"{side}_version"]
            assert (account, version) == (getattr(posted, f"{side}_account"), getattr(posted, f"{side}_version")), event
            assert cents(data[f"{side}_balance"]) == getattr(posted, f"{side}_balance"), event
            assert version == versions[account] + 1, f"after version {versions[account]} comes {event}"
            versions[account] = version
        assert (data["kind"], cents(data["money"]["amount"]), data["reference"]) == (
            posted.kind,
            posted.cents,
            posted.reference,
        ), event
        assert instant(data["effective_at"]) == posted.effective_at, event
    assert versions == Counter(books.versions), "an account's last entries are not told of"


def _holds(events: list[Event], books: Books) -> None:
    """Each hold is placed, then settled in growing sums, then ended at most once, as it is in the database."""
    steps: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        steps[event["subject"]].append(event)
    assert set(steps) == set(books.holds), "holds that were never told of, or that are not there"
    for hold_id, told in steps.items():
        held = books.holds[hold_id]
        names = [event["type"].split(".")[1] for event in told]
        settlements = books.following.get(hold_id, [])
        ended = [held.status] if held.status in _ENDS else []
        assert names == ["placed", *["settled"] * len(settlements), *ended], f"{held} was told of as {names}"
        total = 0
        for event, settlement in zip(told[1:], settlements, strict=False):
            total += settlement.cents
            assert cents(event["data"]["settled"]) == total, event
        last = told[-1]["data"]
        assert (last["status"], cents(last["settled"])) == (held.status, held.settled), f"{held} but {last}"
        assert all(books.wallet_of[event["data"]["account"]] == held.wallet for event in told), told


def _wallets(events: list[Event], story: Story, books: Books) -> None:
    """Each wallet is created once, before all else, and is called in the end as its last event says."""
    told: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        told[event["subject"]].append(event)
    assert set(told) == set(books.wallets), "wallets that were never told of, or that are not there"
    names: defaultdict[str, list[str]] = defaultdict(list)
    for wallet, changes in told.items():
        kinds = [event["type"] for event in changes]
        assert kinds == ["wallet.created.v1", *["wallet.updated.v1"] * (len(changes) - 1)], f"{wallet}: {kinds}"
        names[wallet] = [event["data"]["name"] for event in changes]
        assert names[wallet][-1] == books.wallets[wallet], f"{wallet} is not called {names[wallet][-1]}"
    renamed: set[tuple[str, str]] = set()
    for intent, answer in story.answered("rename"):
        wallet = intent.path.split("/")[2]
        assert answer.body["name"] == intent.key, answer
        assert intent.key in names[wallet], f"a change that was never told of: {intent}"
        renamed.add((wallet, intent.key))
    told_names = {(wallet, name) for wallet, given in names.items() for name in given[1:]}
    assert told_names == renamed, f"changes that nobody asked for: {told_names - renamed}"
    created = Counter(answer.body["id"] for _, answer in story.answered("wallet"))
    assert set(created.values()) <= {1}, "one wallet for several requests"
    assert set(created) <= set(books.wallets), "a wallet was acknowledged and is lost"
