"""Where commands came from: it stands in the outbox beside the pointer to a batch, and its facts go with the events."""

import struct
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import facts, ids, origin
from billfold.kernel.events import Event
from billfold.kernel.facts import Facts
from billfold.kernel.origin import Origin
from billfold.ledger import events
from billfold.ledger.contracts import Posting, Transfer
from billfold.ledger.service import journal
from billfold.ledger.store import batch as store
from billfold.ledger.store.batch import Span
from billfold.platform.messaging import cloudevents
from billfold.platform.postgres.database import Connection
from tests.integration.ledger.support import Bank, key, new

ADA = Origin(channel="api", address="2001:db8::1", request_id="r-1", credential_id=ids.new(), owner_id=ids.new())
WORKER = Origin(channel="worker", user_id=ids.new(), on_behalf_of=ids.new())


@pytest.fixture(autouse=True)
async def nobody_afterwards() -> AsyncIterator[None]:
    yield
    origin.begin(None)


async def expanded(bank: Bank) -> list[tuple[str, list[Event]]]:
    """The rows of the outbox by their kinds, with what each stands for."""
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT kind, payload FROM messaging.outbox ORDER BY seq")
        return [
            (row["kind"], (await bank.ledger.expanders[row["kind"]](connection, [row["payload"]]))[0]) for row in rows
        ]


async def waiting(bank: Bank) -> list[bytes]:
    """The payloads in the outbox."""
    async with bank.database.connection() as connection:
        return [row["payload"] for row in await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")]


async def forget(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await connection.execute("DELETE FROM messaging.outbox")


def origins(told: list[Event]) -> dict[str, Origin]:
    """Where the command came from that each fact tells of."""
    carried = [event for event in told if event.type == facts.RECORDED]
    found = [msgspec.json.decode(msgspec.json.encode(event.data), type=Facts) for event in carried]
    return {fact.id: fact.origin for each in found for fact in each.facts}


def posted(posting: Posting) -> list[str]:
    return [str(result.id) for result in posting.results if isinstance(result, Transfer)]


async def test_a_batch_is_told_as_events_and_as_facts_and_read_once(
    own_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    origin.begin(ADA)
    of_ada = posted(await own_bank.post(new(a, b, 1), new(a, b, 2)))
    origin.begin(WORKER)
    of_worker = posted(await own_bank.post(new(b, a, 3)))
    read = list[Span]()
    transfers_of = store.transfers_of

    async def counted(connection: Connection, spans: list[Span]) -> list[list[Transfer]]:
        read.extend(spans)
        return await transfers_of(connection, spans)

    monkeypatch.setattr(store, "transfers_of", counted)
    rows = await expanded(own_bank)
    assert {kind for kind, _ in rows} == {journal.AUDITED_KIND}
    told = [event for _, found in rows for event in found]
    assert [event.id for event in told if event.type == events.POSTED] == [*of_ada, *of_worker]
    assert origins(told) == {**dict.fromkeys(of_ada, ADA), **dict.fromkeys(of_worker, WORKER)}
    assert len(read) == len(rows)


async def test_a_fact_says_what_the_event_says_and_nobodys_balance(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    origin.begin(ADA)
    await own_bank.post(new(a, b, 1, reference='"quoted"', metadata={"m": "é"}))
    ((_, (event, carrying)),) = await expanded(own_bank)
    (fact,) = msgspec.json.decode(msgspec.json.encode(carrying.data), type=Facts).facts
    assert (fact.type, fact.source, fact.subject) == (event.type, event.source, event.subject)
    said = msgspec.json.decode(msgspec.json.encode(event.data))
    assert {name: said.pop(name) for name in fact.data} == fact.data
    assert said.keys() == {f"{side}_{what}" for side in ("debit", "credit") for what in ("balance", "version")}


async def test_facts_with_much_text_go_into_more_events(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    origin.begin(ADA)
    wanted = [new(a, b, 1, metadata={str(each): '"' * 500 for each in range(8)}) for _ in range(100)]
    of_ada = posted(await own_bank.post(*wanted))
    ((_, told),) = await expanded(own_bank)
    carrying = [event for event in told if event.type == facts.RECORDED]
    sizes = [len(msgspec.json.encode(event.data)) for event in carrying]
    assert max(sizes) < facts.TOGETHER_MAX_BYTES * 1.2
    assert len(carrying) > len(wanted) / facts.TOGETHER_MAX
    assert list(origins(told)) == of_ada


async def test_batches_that_are_told_together_are_each_told_of_and_carry_their_facts_together(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    came: dict[str, Origin] = {}
    for number, who in enumerate((ADA, WORKER, ADA)):
        origin.begin(who)
        came |= dict.fromkeys(posted(await own_bank.post(new(a, b, number + 1), new(b, a, 1))), who)
    payloads = await waiting(own_bank)
    async with own_bank.database.connection() as connection:
        rows = await own_bank.ledger.expanders[journal.AUDITED_KIND](connection, payloads)
        (alone,) = await own_bank.ledger.expanders[journal.AUDITED_KIND](connection, payloads[:1])
    told = [event for row in rows for event in row]
    assert [[event.type for event in row] for row in rows] == [[events.POSTED] * 2] * 2 + [
        [events.POSTED] * 2 + [facts.RECORDED]
    ]
    assert [event.id for event in told if event.type == events.POSTED] == [*came]
    assert origins(told) == came
    # A broker that has had those of the first alone must not take these for a repeat.
    assert alone[-1].id != told[-1].id


async def test_what_is_told_again_with_other_batches_read_beside_it_is_the_same_byte_for_byte(
    own_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "TOGETHER_MAX", 2)
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    origin.begin(ADA)
    for _ in range(3):
        await own_bank.post(new(a, b, 1), new(b, a, 1))
    payloads = await waiting(own_bank)
    told: list[set[bytes]] = []
    async with own_bank.database.connection() as connection:
        for first in range(3):
            rows = await own_bank.ledger.expanders[journal.AUDITED_KIND](connection, payloads[first:])
            told.append({cloudevents.encode(event) for row in rows for event in row})
    assert [len(one) for one in told] == [9, 6, 3]
    assert told[2] < told[1] < told[0]


async def test_where_no_audit_is_kept_a_batch_is_told_as_events_alone(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    await own_bank.pay(a, b, 1)
    ((kind, told),) = await expanded(own_bank)
    assert (kind, [event.type for event in told]) == (journal.OUTBOX_KIND, [events.POSTED])


async def test_what_an_earlier_version_has_left_for_the_audit_is_told(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 100)
    await forget(own_bank)
    first = await own_bank.pay(a, b, 1)
    second = await own_bank.pay(a, b, 2)
    known = ("api", ADA.address, ADA.request_id, ADA.credential_id, ADA.owner_id, None, None)
    packed = msgspec.msgpack.Encoder(uuid_format="bytes").encode([(known, second.id.bytes)])
    async with own_bank.database.connection() as connection:
        number: int = await connection.fetchval(
            "SELECT batch::text::bigint FROM ledger.transfers WHERE id = $1", second.id
        )
        pointer = struct.pack(">16s16sI", second.id.bytes, second.id.bytes, number)
        await connection.execute("SELECT messaging.append('ledger.audit', $1)", pointer + packed)
    rows = await expanded(own_bank)
    assert [kind for kind, _ in rows] == ["ledger.batch", "ledger.batch", "ledger.audit"]
    assert [UUID(event.id) for event in rows[0][1]] == [first.id]
    assert [event.type for event in rows[2][1]] == [facts.RECORDED]
    assert origins(rows[2][1]) == {str(second.id): ADA}


async def test_an_origin_is_kept_once_for_all_that_came_of_one_request(own_bank: Bank) -> None:
    a, b = await own_bank.accounts(2, 1_000)
    await forget(own_bank)
    origin.begin(ADA)
    requests = [(key(), new(a, b, 1)) for _ in range(200)]
    outcomes = await own_bank.ledger.post_many(requests=requests)
    of_ada = [each for outcome in outcomes if isinstance(outcome, Posting) for each in posted(outcome)]
    async with own_bank.database.connection() as connection:
        size = await connection.fetchval("SELECT sum(length(payload)) FROM messaging.outbox")
    assert size < len(of_ada) * 16 + 1_000
    assert origins([event for _, told in await expanded(own_bank) for event in told]) == dict.fromkeys(of_ada, ADA)
