"""The copy of the history, as the settings want it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

from billfold.app import settings
from billfold.kernel.clock import SystemClock
from billfold.ledger import Ledger
from billfold.platform import cql
from billfold.wallets import CqlHistory, make_history_tables

PORT = 9042
#: How long a command waits for a server that does not answer yet.
PATIENCE_S = 30.0
_CONTACT_POINT = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)


@contextlib.asynccontextmanager
async def opened(tree: settings.History, ledger: Ledger) -> AsyncIterator[CqlHistory | None]:
    """The copy, until the block ends; None where there is none. Its server need not answer for that.

    Raises:
        SettingInvalid, ExtraNotInstalled
    """
    if tree.kind == "postgresql":
        yield None
        return
    async with cql.opened(_server(tree)) as session:
        yield CqlHistory(
            session=session, ledger=ledger, keyspace=tree.keyspace, ttl_days=tree.ttl_days, clock=SystemClock()
        )


async def make_tables(tree: settings.History, *, patience_s: float = PATIENCE_S) -> None:
    """Make the tables of the copy where they are missing.

    Raises:
        SettingInvalid, ExtraNotInstalled, CqlUnavailable
    """
    async with cql.opened(_server(tree)) as session:
        await session.wait_until_up(patience_s)
        await make_history_tables(session, keyspace=tree.keyspace, datacenter=tree.datacenter, copies=tree.copies)


async def check(tree: settings.History, *, patience_s: float) -> None:
    """Pass if the server of the copy answers.

    Raises:
        SettingInvalid, ExtraNotInstalled, CqlUnavailable
    """
    async with cql.opened(_server(tree)) as session:
        await session.wait_until_up(patience_s)


def _server(tree: settings.History) -> cql.Server:
    if tree.contact_points is None:
        raise settings.SettingInvalid(
            f"history.contact_points is not set: set {settings.variable('history.contact_points')}, "
            "or history.kind to postgresql."
        )
    if tree.tls_ca is not None and not tree.tls_ca.is_file():
        raise settings.SettingInvalid(f"history.tls_ca is wrong: there is no file {tree.tls_ca}.")
    return cql.Server(
        contact_points=[_contact_point(one.strip()) for one in tree.contact_points.split(",")],
        datacenter=tree.datacenter,
        user=tree.user,
        password=tree.password,
        tls=tree.tls,
        tls_ca=tree.tls_ca,
        consistency=tree.consistency,
    )


def _contact_point(text: str) -> tuple[str, int]:
    found = _CONTACT_POINT.fullmatch(text)
    if found is None or not 1 <= int(found[2] or PORT) <= 65_535:  # noqa: PLR2004 - the last port there is
        raise settings.SettingInvalid(
            f"history.contact_points is wrong: {text!r} is no node, like cassandra-1 or 10.0.0.7:9042."
        )
    return found[1].strip("[]"), int(found[2] or PORT)
