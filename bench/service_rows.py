"""The rows of what stands beside the money path: gRPC, events, requests, the audit, traces. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.figures import median, significant
from bench.loads import Result
from bench.plan import Direct, Events, Later, Outage, Round, Variants
from bench.posting import STREAMS
from bench.rows import Row, Target
from bench.sealing import Sealed

OWN_BROKER = "JetStream"
#: Whichever way it comes.
BULK = Target("≥", 7, "×", moonshot=17)


def direct(rounds: Sequence[Round]) -> Iterator[Row]:
    """Posting without HTTP, against a ledger within the program and against pgbench."""
    within, grpc, streamed = ([getattr(turn.direct, way) for turn in rounds] for way in ("within", "grpc", "streamed"))
    yield Row(
        work="Single transfers over gRPC",
        value=median([one.per_s for one in grpc]),
        unit="/s",
        ratio=median([there.per_s / here.per_s for there, here in zip(grpc, within, strict=True)]),
        note="By a program in a process of its own, 128 at a time, from `billfold serve ledger` on a unix socket; "
        f"against the same program with the ledger within, {significant(median([one.per_s for one in within]))} /s, in "
        f"turns. {_answered(grpc)} over gRPC, {_answered(within)} within. Processor time of each: {_each(grpc)} ms.",
    )
    yield Row(
        work="Bulk over a stream of gRPC, 1,000 a block",
        value=median([one.per_s for one in streamed]),
        unit="/s",
        ratio=median([turn.direct.streamed.per_s / turn.pgbench.tps for turn in rounds]),
        target=BULK,
        note=f"Blocks over {STREAMS} streams, written beforehand and answered with ids alone, "
        f"until the last answer. Processor time of each: {_each(streamed)} ms. "
        f"{sum(one.found for one in streamed):,} found in the database, "
        f"{sum(one.posted.transfers for one in streamed):,} of them posted by these answers.",
    )


def _answered(posting: Sequence[Direct]) -> str:
    middle = sorted(posting, key=lambda one: one.per_s)[len(posting) // 2].posted
    assert middle.p50_ms is not None, "they are single transfers"
    assert middle.p99_ms is not None, "they are single transfers"
    return f"p50 {significant(middle.p50_ms)} ms, p99 {significant(middle.p99_ms)} ms"


def _each(posting: Sequence[Direct]) -> str:
    return " + ".join(
        f"{title} {significant(median([one.each_ms[name] for one in posting]))}"
        for name, title in (("ledger", "ledger"), ("postgres", "PostgreSQL"))
    )


def events(events: Events, broker: str) -> Iterator[Row]:
    """How long an event takes to a consumer. Those who ask for something wait for the COMMIT alone."""
    load, delays = events.load, events.delays
    where = "" if broker == OWN_BROKER else f" on {broker}"
    yield Row(
        work=f"Event at a consumer{where}, p50",
        value=delays.p50_ms,
        unit="ms",
        target=Target("≤", 10, "ms"),
        note=f"At {significant(load.per_s)} transfers/s, half of the spread figure. From the moment at which "
        f"PostgreSQL begins to write the COMMIT to its log, to a consumer of {broker} in a process of its own.",
    )
    yield Row(
        work=f"Event at a consumer{where}, p99",
        value=delays.p99_ms,
        unit="ms",
        target=Target("≤", 100, "ms"),
        note=f"{delays.different:,} different events came, of {load.found:,} transfers found in the database. "
        f"Their callers had the answer after p50 {significant(load.answers.p50_ms)} ms, "
        f"p99 {significant(load.answers.p99_ms)} ms.",
    )


def outage(outage: Outage | None) -> Iterator[Row]:
    """How events are caught up with after the broker was away, while further ones come."""
    if outage is None:
        return
    load = outage.load
    yield Row(
        work=f"Events caught up with, NATS was away for {outage.seconds} s",
        value=outage.published_per_s,
        unit="/s",
        ratio=outage.published_per_s / outage.arriving_per_s,
        target=Target("≥", 1, "×"),
        note=f"Against {significant(outage.arriving_per_s)} transfers/s that came meanwhile. {outage.waiting:,} waited "
        f"when NATS answered again; {significant(outage.catching_up_s, 2)} s later the oldest that waited was younger "
        f"than a second, or the load had ended. All {load.found:,} transfers of this load have their event in the "
        f"stream. Their callers had the answer after p50 {significant(load.answers.p50_ms)} ms, "
        f"p99 {significant(load.answers.p99_ms)} ms.",
    )


def later(later: Later | None) -> Iterator[Row]:
    """Requests with `Prefer: respond-async`."""
    if later is None:
        return
    yield Row(
        work="Requests accepted to be carried out later",
        value=later.answers.accepted / later.answers.seconds,
        unit="/s",
        note=f"Single transfers with `Prefer: respond-async`, at 128 connections: 202 after "
        f"p50 {significant(later.answers.p50_ms)} ms, p99 {significant(later.answers.p99_ms)} ms.",
    )
    yield Row(
        work="… carried out",
        value=later.completed / later.seconds,
        unit="/s",
        note=f"By one worker, from the first request until the last of {later.completed:,} had ended "
        f"{significant(later.seconds, 2)} s later; for {significant(later.answers.seconds, 2)} s of them more came.",
    )


def sealing(sealed: Sealed | None) -> Iterator[Row]:
    """What sealing the audit takes, beside the money path."""
    if sealed is None:
        return
    yield Row(
        work=f"Sealing {sealed.records:,} records of the audit",
        value=sealed.sealing_s,
        unit="s",
        target=Target("≤", 5, "s"),
        note=f"In one head; to record them took {significant(sealed.recording_s)} s before.",
    )


def variants(turns: Sequence[Variants]) -> Iterator[Row]:
    """What the audit and traces cost, against a stack without either."""
    if not turns:
        return
    yield _variant(
        "Single transfers with the audit, against none",
        turns,
        lambda turn: (turn.usual, turn.unaudited),
        Target("≥", 0.97, "×"),
        "With `audit.dsn` and without it. The worker records and seals on the same two processors meanwhile, and what "
        "it takes of them is in the ratio",
    )
    yield _variant(
        "Single transfers with 1 % of them traced, against none",
        turns,
        lambda turn: (turn.traced, turn.usual),
        Target("≥", 0.95, "×"),
        "With `traces.endpoint` and without it, both with the audit. The collector takes spans by OTLP over gRPC, on "
        "the same processors",
    )


def _variant(
    work: str, turns: Sequence[Variants], pick: Callable[[Variants], tuple[Result, Result]], target: Target, note: str
) -> Row:
    loads, others = zip(*map(pick, turns), strict=True)
    ratios = [load.per_s / other.per_s for load, other in zip(loads, others, strict=True)]
    costs = [median([one.answering.serving for one in kind]) for kind in (loads, others)]
    wholes = [median([one.publishing.whole for one in kind]) for kind in (loads, others)]
    return Row(
        work=work,
        value=median([load.per_s for load in loads]),
        unit="/s",
        ratio=median(ratios),
        target=target,
        note=f"{note}. Against {significant(median([other.per_s for other in others]))} /s; median of {len(turns)} "
        f"pairs in turns, whose ratios are {significant(min(ratios))} to {significant(max(ratios))}. Processor time of "
        f"each until its answer: {significant(costs[0])} ms instead of {significant(costs[1])} ms, and until nothing "
        f"is left to do {significant(wholes[0])} ms instead of {significant(wholes[1])} ms.",
    )
