"""What must be true of money after any crash: the clients' journal and the ledger tell the same story."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any

from tests.crash.books import Books, Held
from tests.crash.journal import Answer, Intent
from tests.crash.story import Story, cents, instant

#: What this load may be refused for. Anything else is a fault of the product, or of the load.
REFUSALS = {
    "insufficient_funds",
    "hold_ended",
    "settlement_exceeds_hold",
    "reversal_exceeds_transfer",
    "expiry_in_past",
}


def acknowledged(story: Story, books: Books) -> None:
    """Each movement and each hold that a client was told of is there, and is what was asked for."""
    for effect in story.effects():
        effect.check()
        posted = books.posted.get(effect.transfer["id"])
        assert posted is not None, f"acknowledged and lost: {effect}"
        posted.check(effect.transfer)
    for intent, answer in story.answered("hold"):
        if answer.done:
            _check_placed(intent, answer, books)
    for _, answer in story.answered():
        for code in _refusals(answer):
            assert code in REFUSALS, f"refused for no reason of its own: {answer}"


def _refusals(answer: Answer) -> list[str]:
    if not answer.done:
        return [answer.body["code"]]
    return [item["refusal"]["code"] for item in answer.body.get("results", ()) if "refusal" in item]


def _check_placed(intent: Intent, answer: Answer, books: Books) -> None:
    asked, told = intent.body, answer.body
    assert (told["wallet"], cents(told["money"]["amount"]), told["reference"], told["status"]) == (
        asked["wallet"],
        cents(asked["money"]["amount"]),
        intent.key,
        "active",
    ), answer
    held = books.holds.get(told["id"])
    assert held is not None, f"acknowledged and lost: {answer}"
    expires_at = asked.get("expires_at")
    assert (held.wallet, held.cents, held.reference, held.expires_at) == (
        asked["wallet"],
        cents(asked["money"]["amount"]),
        intent.key,
        None if expires_at is None else instant(expires_at),
    ), f"{answer} but {held}"


def exactly_once(story: Story, books: Books, opening: list[str]) -> Counter[str]:
    """When everything has its answer: each transfer and hold is the effect of one request, and each request's is there.

    What was confirmed on the queue and kept by it is applied once or a dead letter; the counts of that.
    """
    assert not story.unanswered()
    origins = Counter(effect.transfer["id"] for effect in story.effects())
    origins.update(opening)
    applied = Counter(
        posted.reference
        for posted in books.posted.values()
        if posted.reference in story.confirmed and posted.kind in ("deposit", "withdrawal")
    )
    origins.update(posted.id for posted in books.posted.values() if applied[posted.reference])
    doubled = [id_ for id_, times in origins.items() if times > 1]
    assert not doubled, f"one transfer for several requests: {doubled}"
    assert set(origins) == set(books.posted), f"nobody asked for {set(books.posted) - set(origins)}"
    placed = Counter(answer.body["id"] for _, answer in story.answered("hold") if answer.done)
    assert placed == Counter(list(books.holds)), "holds that nobody asked for, or one for several requests"
    return _confirmed(story, books, applied)


def _confirmed(story: Story, books: Books, applied: Counter[str]) -> Counter[str]:
    doubled = [key for key, times in applied.items() if times > 1]
    assert not doubled, f"confirmed once and applied more often: {doubled}"
    dead = set(books.dead)
    assert set(books.dead.values()) <= {"insufficient_funds"}, f"refused for no reason of theirs: {books.dead}"
    assert dead <= set(story.confirmed), "dead letters that nobody has sent"
    assert not dead & set(applied), f"both applied and refused: {dead & set(applied)}"
    missing = story.kept - dead - set(applied)
    assert not missing, f"the queue said that it keeps {missing}, and they are neither applied nor dead letters"
    by_reference = {posted.reference: posted for posted in books.posted.values()}
    for key in applied:
        body = story.confirmed[key].body
        asked, posted = body.get("data", body), by_reference[key]
        wallet = posted.target if asked["direction"] == "credit" else posted.source
        assert (wallet, posted.cents) == (asked["wallet"], cents(asked["money"]["amount"])), f"{asked} but {posted}"
        effective_at = asked.get("effective_at")
        assert posted.effective_at == (posted.recorded_at if effective_at is None else instant(effective_at))
    return Counter({"kept": len(story.kept), "applied": len(applied), "dead": len(dead)})


def holds(story: Story, books: Books) -> None:
    """Each hold has ended once or not at all, and what has left it is the sum of its settlements."""
    changes: dict[str, list[tuple[Intent, dict[str, Any], dict[str, Any] | None]]] = {}
    for intent, answer in story.answered("settle", "release"):
        if answer.done:
            hold = answer.body["hold"] if intent.kind == "settle" else answer.body
            changes.setdefault(hold["id"], []).append((intent, hold, answer.body.get("transfer")))
    for held in books.holds.values():
        told = changes.get(held.id, [])
        sums = dict(_running(held.id, books))
        assert held.settled == max(sums.values(), default=0) <= held.cents, held
        for intent, hold, transfer in told:
            if transfer is not None:
                assert cents(hold["settled"]) == sums[transfer["id"]], f"{hold} but {held}"
                whole = "money" not in intent.body
                assert not whole or sums[transfer["id"]] == held.cents, f"not all was settled: {hold}"
        _check_end(held, [hold for _, hold, _ in told if hold["ended_at"] is not None])


def _check_end(held: Held, ends: list[dict[str, Any]]) -> None:
    assert len(ends) <= 1, f"ended more than once: {ends}"
    if ends:
        (end,) = ends
        assert held.ended_at is not None, f"{end} but {held}"
        assert (held.status, held.ended_at) == (end["status"], instant(end["ended_at"])), f"{end} but {held}"
    elif held.status == "expired":
        assert held.expires_at is not None, held
        assert held.ended_at is not None, held
        assert held.expires_at <= held.ended_at, held
    else:
        assert (held.status, held.expires_at) == ("active", None), f"ended by nobody, or overdue: {held}"


def reversals(story: Story, books: Books) -> None:
    """No more was sent back than had come; who asked for all that was left got that."""
    for intent, answer in story.answered("reverse"):
        if answer.done:
            assert intent.of is not None
            sums = dict(_running(intent.of["id"], books))
            whole = books.posted[intent.of["id"]].cents
            assert max(sums.values()) <= whole, f"more was reversed than {intent.of}"
            assert "money" in intent.body or sums[answer.body["id"]] == whole, f"not all was reversed: {answer}"


def _running(target: str, books: Books) -> list[tuple[str, int]]:
    """How much of a hold or transfer had gone after each of its settlements or reversals."""
    following = books.following.get(target, [])
    sums = accumulate(posted.cents for posted in following)
    return [(posted.id, total) for posted, total in zip(following, sums, strict=True)]
