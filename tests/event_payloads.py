"""Sees that every event that a test makes Billfold tell has what its schema says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from billfold.kernel import facts
from billfold.kernel.events import Event
from billfold.ledger import events as of_the_ledger
from billfold.platform.messaging import cloudevents, outbox
from billfold.platform.messaging.relay import Relay
from billfold.wallets import events as of_wallets
from tests.docs.event_schemas import PAYLOADS

_FACTS = {**of_the_ledger.FACTS, **of_wallets.FACTS}
_SOURCES = {source for source, _ in PAYLOADS.values()}


def check(event: Event) -> None:
    """Fail unless the payload is as declared.

    Events that tests have made up are their own business.
    """
    if event.type == facts.RECORDED:
        check_facts(event)
        return
    if event.source not in _SOURCES:
        return
    assert event.type in PAYLOADS, f"declare what is in {event.type}, in PAYLOADS of its context's events"
    source, payload = PAYLOADS[event.type]
    assert event.source == source, event
    data = msgspec.json.decode(cloudevents.decode(cloudevents.encode(event)).data)
    msgspec.convert(data, payload)
    undeclared = set(data) - {field.encode_name for field in msgspec.structs.fields(payload)}
    assert not undeclared, f"{event.type} has what is not declared: {undeclared}"


def check_facts(event: Event) -> None:
    """Fail unless each fact has what its actor may know, as declared.

    The types that are no events' are an operator's or about the actor's own request.
    """
    for fact in msgspec.json.decode(cloudevents.decode(cloudevents.encode(event)).data)["facts"]:
        kind, data = fact["type"], fact.get("data")
        if fact["source"] not in _SOURCES or kind not in PAYLOADS or data is None:
            continue
        declared = {field.encode_name for field in msgspec.structs.fields(kept_of(kind))}
        assert not set(data) - declared, f"the fact of {kind} has what is not declared: {set(data) - declared}"


def kept_of(kind: str) -> type[msgspec.Struct]:
    """What the audit keeps of an event of this type."""
    return _FACTS.get(kind) or PAYLOADS[kind][1]


@contextmanager
def checked() -> Iterator[None]:
    """Check what is appended to outboxes, and what rows of the ledger stand for."""
    row, message = outbox._row, Relay._message

    def checked_row(kind: str, event: Event) -> tuple[str, bytes]:
        check(event)
        return row(kind, event)

    def checked_message(self: Relay, topic: Any, event: Event) -> Any:
        check(event)
        return message(self, topic, event)

    with mock.patch.object(outbox, "_row", checked_row), mock.patch.object(Relay, "_message", checked_message):
        yield
