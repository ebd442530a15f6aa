"""The copy of the history in a Cassandra that a stack has added: made anew where it has not followed all the time.

A worker keeps it up by events, and the broker keeps those for a while only. So a copy that was not kept up in one run,
such as one without the server, is made anew in the next, beside the roles; until then lists come from the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from billfold.app import container, history, settings
from billfold.app.supervisor.additions import FOLLOWED
from billfold.kernel import errors
from billfold.platform import host
from billfold.wallets.contracts import HistoryRebuilt
from billfold.wallets.errors import RebuildOvertaken

CASSANDRA = "cassandra"

#: Before it begins again, when a server was away for too long.
PAUSE_S = 5.0


async def run(tree: settings.Settings, added: Collection[str], say: Callable[[str], None]) -> None:
    """Make the copy anew if that is due, however often it takes. `added` are the servers that this stack runs."""
    mark = tree.data_dir / CASSANDRA / FOLLOWED
    if CASSANDRA not in added or mark.exists():
        return
    say("the history is copied to Cassandra; until that has ended lists of transactions come from PostgreSQL")
    try:
        done = await _copied(tree, say)
    except RebuildOvertaken as error:
        say(error.detail)
        return
    host.write_private(mark, "This copy has been kept up in each run since it was made.\n")
    say(f"the history is in Cassandra: {done.entries:,} transactions of {done.accounts:,} accounts")


async def _copied(tree: settings.Settings, say: Callable[[str], None]) -> HistoryRebuilt:
    while True:
        try:
            return await _rebuilt(tree)
        except errors.Unavailable as error:
            say(f"the history could not be copied, which is tried again in {PAUSE_S:.0f} s: {error.detail}")
            await asyncio.sleep(PAUSE_S)


async def _rebuilt(tree: settings.Settings) -> HistoryRebuilt:
    # Nobody waits for it here, and the start of the stack has waited for a moment only.
    await history.make_tables(tree.history)
    async with container.opened(tree, name="billfold catching up", with_history=True) as parts:
        copy = parts.wallets.history
        assert copy is not None, "the settings have a Cassandra"
        return await copy.rebuild(progress=lambda *_: None)
