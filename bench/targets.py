"""The rows of the table: each figure of a run against its target. The targets are those of docs/why/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench import service_rows
from bench.balances import Timing
from bench.figures import median, significant
from bench.loads import Read, Result
from bench.plan import KeptReads, Measured, Round
from bench.rows import Row, Target
from bench.service_rows import BULK

_MIB = 1024 * 1024
#: The longest past may cost so much more than the shortest.
_GROWTH = Target("≤", 1.5, "×")
_IN_DATABASE = Target("≤", 1, "ms")


def rows(measured: Measured) -> list[Row]:
    """All of them, in the order of the table."""
    return [
        *_transfers(measured),
        *service_rows.direct(measured.rounds),
        *_authentication(measured),
        *_balances(measured),
        *_kept(measured),
        *_past(measured),
        *_events(measured),
        *service_rows.sealing(measured.sealed),
        *service_rows.variants(measured.variants),
        *_stack(measured),
    ]


def _transfers(measured: Measured) -> Iterator[Row]:
    rounds = measured.rounds
    yield Row(
        work="pgbench, TPC-B-like, at its peak",
        value=median([turn.pgbench.tps for turn in rounds]),
        unit="tps",
        note=f"The yardstick: prepared statements, {measured.clients} clients, the same server; median of "
        f"{len(rounds)} rounds. A ratio is the median of the rounds' own ratios.",
    )
    yield _throughput(
        "Single transfers over HTTP, spread", rounds, lambda turn: turn.spread, Target("≥", 1.5, "×", moonshot=2.5)
    )
    yield _latency("… time to the answer, p99", rounds, lambda turn: turn.spread, Target("≤", 50, "ms"))
    yield _cost("… processor time each, API and PostgreSQL", rounds, lambda turn: turn.spread)
    yield Row(
        work="The same, all on one hot wallet",
        value=median([turn.hot.per_s for turn in rounds]),
        unit="/s",
        ratio=median([turn.hot.per_s / turn.spread.per_s for turn in rounds]),
        target=Target("≥", 0.8, "×"),
        note=f"Against spread. p50 {_p50(rounds, lambda turn: turn.hot)} ms, "
        f"p99 {_p99(rounds, lambda turn: turn.hot)} ms.",
    )
    yield _throughput("Bulk over HTTP, 1,000 a call", rounds, lambda turn: turn.bulk, BULK)


def _authentication(measured: Measured) -> Iterator[Row]:
    rounds = measured.authenticated
    by_key = median([turn.by_key.per_s for turn in rounds])
    loads = ([turn.by_key for turn in rounds], [turn.by_token for turn in rounds])
    costs = [median([load.answering.api for load in kind]) for kind in loads]
    yield Row(
        work="Single transfers over HTTP, by access token",
        value=median([turn.by_token.per_s for turn in rounds]),
        unit="/s",
        ratio=median([turn.by_token.per_s / turn.by_key.per_s for turn in rounds]),
        target=Target("≥", 0.9, "×"),
        note=f"Against the same person's transfers by API key, {significant(by_key)} /s, in turns. Processor time of "
        f"the API for each: {significant(costs[1])} ms by token, {significant(costs[0])} ms by key.",
    )
    checked, busy, limited = (
        median([getattr(turn.storm, name) / turn.storm.seconds for turn in rounds])
        for name in ("checked", "busy", "limited")
    )
    yield Row(
        work="Single transfers in a storm of logins",
        value=median([turn.in_storm.per_s for turn in rounds]),
        unit="/s",
        ratio=median([turn.in_storm.per_s / turn.by_key.per_s for turn in rounds]),
        note=f"Against the same without a storm. {measured.plan.logins_per_s} logins a second were begun, each from "
        f"another address: {significant(checked)} /s had their password checked, {significant(busy)} /s were told to "
        f"come back (503), {significant(limited)} /s had come too often (429).",
    )
    yield Row(
        work="… time to the answer, p99",
        value=median([turn.in_storm.answers.p99_ms for turn in rounds]),
        unit="ms",
        note=f"Without a storm {significant(median([turn.by_key.answers.p99_ms for turn in rounds]))} ms.",
    )


_Pick = Callable[[Round], Result]


def _throughput(work: str, rounds: list[Round], pick: _Pick, target: Target) -> Row:
    loads = [pick(turn) for turn in rounds]
    cost = sorted(loads, key=lambda load: load.answering.serving)[len(loads) // 2].publishing
    drains, follows = (median([getattr(load, name) for load in loads]) for name in ("drain_s", "follow_s"))
    return Row(
        work=work,
        value=median([load.per_s for load in loads]),
        unit="/s",
        ratio=median([pick(turn).per_s / turn.pgbench.tps for turn in rounds]),
        target=target,
        note=f"p50 {_p50(rounds, pick)} ms, p99 {_p99(rounds, pick)} ms. Processor time of each: {cost}. "
        f"{sum(load.found for load in loads):,} found in the database, {sum(load.acknowledged for load in loads):,} "
        f"of them acknowledged in time. The last event was published {significant(drains, 2)} s after the last "
        f"answer, and in the feed and the audit after {significant(follows, 2)} s.",
    )


def _latency(work: str, rounds: list[Round], pick: _Pick, target: Target) -> Row:
    return Row(
        work=work,
        value=median([pick(turn).answers.p99_ms for turn in rounds]),
        unit="ms",
        target=target,
        note="At 128 connections, each of which sends its next request when the last is answered.",
    )


def _cost(work: str, rounds: list[Round], pick: _Pick) -> Row:
    return Row(
        work=work,
        value=median([pick(turn).answering.serving for turn in rounds]),
        unit="ms",
        target=Target("≤", 0.15, "ms"),
        note="While wrk ran. The target is for a machine whose pgbench peak is about 6,000 tps.",
    )


def _p50(rounds: list[Round], pick: _Pick) -> str:
    return significant(median([pick(turn).answers.p50_ms for turn in rounds]))


def _p99(rounds: list[Round], pick: _Pick) -> str:
    return significant(median([pick(turn).answers.p99_ms for turn in rounds]))


def _balances(measured: Measured) -> Iterator[Row]:
    together, alone = measured.reads.together, measured.reads.alone
    yield Row(
        work="Balance now, over HTTP",
        value=together.accepted / together.seconds,
        unit="/s",
        note=f"128 connections, p50 {significant(together.p50_ms)} ms, p99 {significant(together.p99_ms)} ms.",
    )
    yield Row(
        work="… to one caller, p50",
        value=alone.p50_ms,
        unit="ms",
        note=f"p99 {significant(alone.p99_ms)} ms; each request waits for the answer to the last.",
    )


def _kept(measured: Measured) -> Iterator[Row]:
    reads = measured.kept
    if reads is None:
        return
    ledger, redis = (median([read.answers.accepted / read.answers.seconds for read in kind]) for kind in _both(reads))
    costs = [sorted(kind, key=lambda read: read.answering.serving)[len(kind) // 2].answering for kind in _both(reads)]
    yield Row(
        work="Balance of up to a minute ago, over HTTP, from Redis",
        value=redis,
        unit="/s",
        ratio=median(
            [
                there.answers.accepted / there.answers.seconds * here.answers.seconds / here.answers.accepted
                for here, there in zip(reads.ledger, reads.redis, strict=True)
            ]
        ),
        note=f"Against balances of now on the same stack in turns, {significant(ledger)} /s. Processor time of each: "
        f"API {significant(costs[1].api)} + PostgreSQL {significant(costs[1].postgres)} ms, and of now API "
        f"{significant(costs[0].api)} + PostgreSQL {significant(costs[0].postgres)} ms; Redis is not counted. "
        f"{reads.share:.1%} came from Redis.",
    )


def _both(reads: KeptReads) -> tuple[list[Read], list[Read]]:
    return reads.ledger, reads.redis


def _past(measured: Measured) -> Iterator[Row]:
    plan, reads = measured.plan, measured.reads
    statement = "One statement, from sending it to having its row"
    now = reads.now
    yield _p50_row(f"Balance now in the database, {plan.pasts[-1]:,} transfers, p50", now[-1], f"{statement}.")
    yield _growth_row(plan.pasts, now)
    for name, lengths, timings in (
        ("Balance as recorded at an instant", plan.pasts, reads.recorded),
        ("Balance as effective at an instant, all back-dated", plan.backdated, reads.effective),
    ):
        last, facade = timings[-1]
        note = f"{statement}; the whole call of the facade {significant(facade.p50)} ms."
        yield _p50_row(f"{name}, {lengths[-1]:,} transfers, p50", last, note)
        yield _growth_row(lengths, [timing for timing, _ in timings])


def _p50_row(work: str, timing: Timing, note: str) -> Row:
    return Row(
        work=work, value=timing.p50, unit="ms", target=_IN_DATABASE, note=f"{note} p99 {significant(timing.p99)} ms."
    )


def _growth_row(lengths: tuple[int, ...], timings: list[Timing]) -> Row:
    shown = ", ".join(
        f"{length:,}: {significant(timing.p50)} ms" for length, timing in zip(lengths, timings, strict=True)
    )
    return Row(
        work=f"… its growth from {lengths[0]:,} transfers on",
        value=timings[-1].p50 / timings[0].p50,
        unit="×",
        target=_GROWTH,
        note=f"p50 by transfers in the account: {shown}.",
    )


def _events(measured: Measured) -> Iterator[Row]:
    yield from service_rows.events(measured.events, service_rows.OWN_BROKER)
    for broker, events in measured.elsewhere.items():
        yield from service_rows.events(events, broker)
    yield from service_rows.outage(measured.outage)
    yield from service_rows.later(measured.later)


def _stack(measured: Measured) -> Iterator[Row]:
    stored = measured.stored
    yield Row(
        work="Storage of a single transfer",
        value=stored.single_bytes,
        unit="bytes",
        target=Target("≤", 400, "bytes"),
        note=f"The journal of {stored.transfers:,} transfers, mostly with a reference of 12 characters, takes "
        f"{significant(stored.journal_bytes / stored.transfers)} bytes of each, and {stored.keys:,} idempotency "
        f"records {significant(stored.keys_bytes / stored.keys)} bytes of each; all indexes included.",
    )
    yield Row(
        work="`billfold up`, first ever",
        value=measured.first_start.seconds,
        unit="s",
        target=Target("≤", 10, "s"),
        note="In an empty folder, until everything answers: initdb, migrations, servers, roles, sandbox.",
    )
    yield Row(
        work="`billfold up`, later",
        value=median([start.seconds for start in measured.later_starts]),
        unit="s",
        target=Target("≤", 4, "s"),
        note=f"Median of {len(measured.later_starts)}, on all the data of this run.",
    )
    later = median([start.idle_bytes for start in measured.later_starts])
    yield Row(
        work="Memory of all processes, idle",
        value=measured.first_start.idle_bytes / _MIB,
        unit="MiB",
        target=Target("≤", 400, "MiB"),
        note=f"Proportional set size after the first start; after a later one {significant(later / _MIB)} MiB.",
    )
