"""A process that approves a request and is killed on the way: `dying DSN APPROVAL CHECKER before|after`."""

import asyncio
import os
import signal
import sys
from uuid import UUID

from billfold.identity.contracts import Approved, scopes_of
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from tests import facades


async def approve(dsn: str, approval_id: UUID, checker: UUID, *, when: str) -> None:
    database = await Database.connect(dsn, name="dying")
    ledger = await Ledger.start(database=database)
    identity = facades.identity(database)
    wallets = Wallets(database=database, ledger=ledger, identity=identity, approvals=identity.approvals)

    async def move_and_die(approved: Approved) -> object:
        if when == "after":
            await wallets.executors["movement"](approved)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody survives that")

    identity.approvals.carried_out_by({"movement": move_and_die})
    scopes = scopes_of(frozenset({"treasurer"}))
    by = Principal(credential_id=ids.new(), owner_id=checker, scopes=scopes, user_id=checker, is_session=True)
    await identity.approvals.approve(by=by, approval_id=approval_id)


if __name__ == "__main__":
    _, dsn, approval, checker, when = sys.argv
    asyncio.run(approve(dsn, UUID(approval), UUID(checker), when=when))
