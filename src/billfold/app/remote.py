"""The ledger as a role of its own: what the settings say of it, for who calls it.

`grpcio` is an extra, so it is imported when a setting asks for it and not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from billfold.app import doors, settings
from billfold.ledger import Ledger
from billfold.platform import extras
from billfold.platform.postgres.database import Database


@contextlib.asynccontextmanager
async def ledger(tree: settings.Ledger, database: Database) -> AsyncIterator[Ledger]:
    """The ledger that this process uses: that of the role where an address is set, else one of its own.

    Raises:
        SettingInvalid: a setting of `ledger` can't be used.
        ExtraNotInstalled: it is `grpc`.
    """
    if tree.address is None:
        own = await Ledger.start(database=database)
        try:
            yield own
        finally:
            await own.close()
        return
    with extras.imported("grpc"):
        from billfold.ledger import rpc  # noqa: PLC0415 - see above.

    found, secured = doors.called("ledger", tree, tree.address)
    async with rpc.connected(
        database, addresses=found, tls=secured, token=tree.token, timeout_s=tree.timeout_s
    ) as remote:
        yield remote


async def examine(tree: settings.Ledger, address: str) -> Mapping[str, str | None]:
    """Why each server at `address` does not serve now, by its own address; None for one that does.

    Raises:
        SettingInvalid, ExtraNotInstalled
    """
    with extras.imported("grpc"):
        from billfold.platform.rpc.replicas import Replicas  # noqa: PLC0415 - see above.

    found, secured = doors.called("ledger", tree, address)
    replicas = Replicas(found, lambda _: None, tls=secured, token=tree.token, timeout_s=tree.timeout_s)
    try:
        return await replicas.ailing()
    finally:
        await replicas.close()
