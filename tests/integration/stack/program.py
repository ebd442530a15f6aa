"""`billfold` with the smallest roles there can be: what is tested here is the stack, not what runs in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import asyncpg

from billfold.app import settings
from billfold.app.cli import main, up
from billfold.app.supervisor import roles, stack

_ROLE = str(Path(__file__).with_name("role.py"))
#: Set by a test that wants a role which never comes up.
BROKEN_ROLE = "BROKEN_ROLE"


async def migrate(tree: settings.Settings) -> None:
    assert tree.postgres.owner_dsn is not None
    connection = await asyncpg.connect(tree.postgres.owner_dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS seen (at timestamptz DEFAULT now())")
        await connection.execute("INSERT INTO seen DEFAULT VALUES")
    finally:
        await connection.close()


async def sandbox(tree: settings.Settings) -> stack.Sandbox:
    assert tree.nats.url is not None
    return stack.Sandbox(api_key="bf_test_key", example="curl …")


async def nothing(*_: object) -> None:
    pass


def parts(tree: settings.Settings) -> stack.Parts:
    worker = (sys.executable, "-c", "raise SystemExit('no such worker')")
    if BROKEN_ROLE not in os.environ:
        worker = (sys.executable, _ROLE, "BILLFOLD_WORKER__METRICS_PORT")
    return stack.Parts(
        roles=(
            roles.Role(
                name="api",
                command=(sys.executable, _ROLE, "BILLFOLD_API__PORT"),
                ready_url=roles.API.ready_url,
                ports=roles.API.ports,
            ),
            roles.Role(name="worker", command=worker, ready_url=roles.WORKER.ready_url, ports=roles.WORKER.ports),
        ),
        migrate=migrate,
        prepare=nothing,
        sandbox=sandbox,
        catch_up=nothing,
    )


if __name__ == "__main__":
    up._parts = parts
    main()
