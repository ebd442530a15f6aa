"""What the clients have written down, by key, and what each answer says has moved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tests.crash import journal
from tests.crash.journal import Answer, Intent


class Story(msgspec.Struct):
    """The clients' journal."""

    #: What was asked of the API.
    asked: dict[str, Intent]
    answers: dict[str, Answer]
    #: What was put on the queue, and which of it the queue has said that it keeps.
    confirmed: dict[str, Intent]
    kept: set[str]

    @classmethod
    def read(cls, path: Path) -> Story:
        """Read it back."""
        story = cls({}, {}, {}, set())
        for line in journal.read(path):
            match line:
                case Intent(kind="confirmed"):
                    story.confirmed[line.key] = line
                case Intent():
                    story.asked[line.key] = line
                case Answer():
                    story.answers[line.key] = line
                case journal.Kept():
                    story.kept.add(line.key)
        return story

    def unanswered(self) -> list[Intent]:
        """What has no answer yet."""
        return [intent for key, intent in self.asked.items() if key not in self.answers]

    def answered(self, *kinds: journal.Kind) -> Iterator[tuple[Intent, Answer]]:
        """What has one, of these kinds or of all."""
        for key, answer in self.answers.items():
            if not kinds or self.asked[key].kind in kinds:
                yield self.asked[key], answer

    def effects(self) -> Iterator[Effect]:
        """All movements that were acknowledged."""
        for intent, answer in self.answered():
            if answer.done:
                yield from _effects(intent, answer)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that a client asked for, and the transfer that it was told of."""

    key: str
    kind: str
    source: str
    target: str
    #: None: all that was left.
    cents: int | None
    reference: str
    #: None: the moment at which it was recorded.
    effective_at: datetime | None
    transfer: dict[str, Any]

    def check(self) -> None:
        """The client was told of what it had asked for."""
        told = self.transfer
        assert (told["kind"], told["from"], told["to"], told["reference"]) == (
            self.kind,
            self.source,
            self.target,
            self.reference,
        ), self
        assert self.cents is None or cents(told["money"]["amount"]) == self.cents, self
        effective_at = told["recorded_at"] if self.effective_at is None else self.effective_at.isoformat()
        assert instant(told["effective_at"]) == instant(effective_at), self


def _effects(intent: Intent, answer: Answer) -> Iterator[Effect]:
    match intent.kind:
        case "transfer":
            yield _ordered(intent.key, intent.body | {"kind": "transfer"}, answer.body)
        case "deposit" | "withdrawal":
            side = "to" if intent.kind == "deposit" else "from"
            order = intent.body | {"kind": intent.kind, side: intent.path.split("/")[2]}
            yield _ordered(intent.key, order, answer.body)
        case "bulk":
            for order, result in zip(intent.body["items"], answer.body["results"], strict=True):
                if "transfer" in result:
                    yield _ordered(intent.key, order, result["transfer"])
        case "settle" | "reverse":
            yield _following(intent, answer)


def _ordered(key: str, order: dict[str, Any], told: dict[str, Any]) -> Effect:
    effective_at = order.get("effective_at")
    return Effect(
        key=key,
        kind=order["kind"],
        source=order.get("from", "outside"),
        target=order.get("to", "outside"),
        cents=cents(order["money"]["amount"]),
        reference=order["reference"],
        effective_at=None if effective_at is None else instant(effective_at),
        transfer=told,
    )


def _following(intent: Intent, answer: Answer) -> Effect:
    """A settlement or reversal takes its texts from the hold or transfer that it is of."""
    of = intent.of
    assert of is not None, intent
    settles = intent.kind == "settle"
    wanted = intent.body.get("money")
    return Effect(
        key=intent.key,
        kind="settlement" if settles else "reversal",
        source=of["wallet"] if settles else of["to"],
        target=intent.body["to"] if settles else of["from"],
        cents=None if wanted is None else cents(wanted["amount"]),
        reference=of["reference"],
        effective_at=None,
        transfer=answer.body["transfer"] if settles else answer.body,
    )


def cents(amount: str) -> int:
    """An amount in dollars as cents."""
    return int(Decimal(amount) * 100)


def instant(text: str) -> datetime:
    """An instant, or the first one of a day in UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
