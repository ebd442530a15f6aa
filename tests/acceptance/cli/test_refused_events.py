"""Events that a part of a running stack has refused, as an operator works them off on the command line."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billfold.app.cli import refused_events
from billfold.kernel import ids
from billfold.kernel.errors import Invalid
from billfold.platform.messaging import cloudevents, topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Delivery, Message
from billfold.platform.messaging.refused import set_aside
from billfold.platform.postgres.database import Database
from tests.acceptance.cli.test_queue import _until
from tests.commands import Billfold
from tests.integration.messaging.brokers.test_consuming import fact_of

NO_REQUEST = "request.accepted.v1"


@pytest.fixture
def operator(owner: Callable[..., Billfold]) -> Billfold:
    return owner("dead_letters:write")


@pytest.fixture
def stack(billfold_stack: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(billfold_stack["BILLFOLD_DATA"]) / "stack.json").read_text())
    return found


def published(stack: dict[str, Any]) -> str:
    """An event that tells of a request and names none; gives its id."""
    server = nats.Server(url=stack["nats_url"], user=stack["nats_user"], password=stack["nats_password"])
    event = fact_of(1, type=NO_REQUEST)
    message = Message(topic=topics.EVENTS, type=event.type, id=event.id, key=event.key, body=cloudevents.encode(event))

    async def publish() -> None:
        async with nats.connected(server, name="stranger") as broker:
            await broker.publish([message])

    asyncio.run(publish())
    return event.id


def kept(stack: dict[str, Any], consumer: str) -> str:
    """An event that a consumer has refused and would take now; gives its id."""
    body = cloudevents.encode(event := fact_of(1))
    delivery = Delivery(type="", headers={}, body=body, subject="somewhere", sequence=1, deliveries=1)

    async def keep() -> None:
        database = await Database.connect(stack["postgres_dsn"], name="test")
        try:
            assert await set_aside(database, consumer, delivery, Invalid("It was a defect."))
        finally:
            await database.close()

    asyncio.run(keep())
    return event.id


def _refused(operator: Billfold, event_id: str) -> dict[str, Any] | None:
    listed = operator.json("refused-events", "list", "--limit", "1000")
    return next((one for one in listed if one["event_id"] == event_id), None)


def test_an_event_that_makes_no_sense_is_shown_refused_again_and_discarded(
    operator: Billfold, stack: dict[str, Any]
) -> None:
    event_id = published(stack)
    found = _until(lambda: _refused(operator, event_id))
    assert (found["consumer"], found["reason"], found["status"]) == ("requests", "event_unknown", "open")
    shown = operator("refused-events", "show", found["id"]).out
    assert "event_unknown" in shown
    assert f'"id":"{event_id}"' in shown
    assert json.loads(operator("refused-events", "show", found["id"], "--raw").out)["id"] == event_id

    again = operator("refused-events", "retry", found["id"], code=1)
    assert "stays open: The event names no request" in again.out
    assert operator.json("refused-events", "show", found["id"])["retries"] == 1
    assert operator("refused-events", "discard", found["id"]).out == f"{found['id']} is discarded.\n"
    assert "has been applied or discarded" in operator("refused-events", "retry", found["id"], code=1).err
    assert _refused(operator, event_id) is not None
    assert found["id"] not in operator("refused-events", "list", "--status", "open", "--limit", "1000").out


def test_an_event_whose_defect_is_mended_is_retried_and_applied(operator: Billfold, stack: dict[str, Any]) -> None:
    event_id = kept(stack, "feed")
    found = _refused(operator, event_id)
    assert found is not None
    assert operator("refused-events", "retry", found["id"]).out == "It is applied.\n"
    assert operator.json("refused-events", "show", found["id"])["status"] == "applied"


def test_an_event_whose_consumer_does_not_run_waits_and_the_operator_is_told(
    operator: Billfold, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "_PATIENCE_S", 0.5)
    found = _refused(operator, kept(stack, "a-former-consumer"))
    assert found is not None
    told = operator("refused-events", "retry", found["id"], code=1).err
    assert "The consumer a-former-consumer has not tried it yet" in told
    assert operator.json("refused-events", "show", found["id"])["status"] == "retrying"
    operator("refused-events", "discard", found["id"])


def test_refused_events_take_the_scope_of_dead_letters(billfold: Billfold) -> None:
    assert "scope dead_letters:write" in billfold("refused-events", "list", code=1).err
    for done in ("show", "retry", "discard"):
        assert "scope dead_letters:write" in billfold("refused-events", done, str(ids.new()), code=1).err


def test_an_unknown_refused_event_says_where_the_known_ones_are(operator: Billfold) -> None:
    assert "billfold refused-events list" in operator("refused-events", "show", str(ids.new()), code=1).err
