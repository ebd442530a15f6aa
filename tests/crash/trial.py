"""What the crash tests have in common: the load goes on, and in the end everything is held against everything."""

from __future__ import annotations

from tests.crash import audit, load
from tests.crash.clients import Clients, at
from tests.crash.stack import Stack
from tests.crash.story import Story
from tests.crash.tally import SEED, tally

#: Between two kills at least so many requests are answered: the system really works in between.
ANSWERS_BETWEEN = 20


def answered(running: Stack, clients: Clients, more: int = ANSWERS_BETWEEN) -> None:
    """Wait until so many more requests have been answered."""
    target = clients.answers + more
    running.wait(lambda: clients.answers >= target, f"{more} more requests have been answered")


async def audited(running: Stack, clients: Clients, *, outages: int | None) -> None:
    """End the load and hold what it was told against what is there."""
    await hold_against(running, clients, clients.stop(), outages=outages)


async def hold_against(running: Stack, clients: Clients, story: Story, *, outages: int | None) -> None:
    """Audit. Who gives up waits for the outage to end, so each outage leaves one request of each client at most."""
    record = running.record
    plan = at(clients.plan, record)
    report = await audit.audit(story, plan, record["postgres_owner_dsn"], record["postgres_dsn"])
    print(f"seed {SEED}: {dict(report)}")  # noqa: T201 - with -s, or when it fails, this is what was done.
    tally.found.update(report)
    assert report["acknowledged"] > 0
    assert outages is None or report["unanswered"] <= load.CLIENTS * outages, report
