"""The ledger as a role of its own: what the settings say of it, for who serves it and who calls it.

`grpcio` is an extra, so it is imported when a setting asks for it and not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

from billfold.app import settings
from billfold.ledger import Ledger
from billfold.platform import extras, tls
from billfold.platform.postgres.database import Database

if TYPE_CHECKING:
    from billfold.platform.rpc.addresses import Address
    from billfold.platform.rpc.serving import Door


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

    found, secured = _called(tree, tree.address)
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

    found, secured = _called(tree, address)
    replicas = Replicas(found, lambda _: None, tls=secured, token=tree.token, timeout_s=tree.timeout_s)
    try:
        return await replicas.ailing()
    finally:
        await replicas.close()


def _called(tree: settings.Ledger, text: str) -> tuple[Sequence[Address], tls.Mutual | None]:
    from billfold.platform.rpc import addresses  # noqa: PLC0415 - see above.

    try:
        found = addresses.parse_all(text)
    except ValueError as error:
        raise settings.SettingInvalid(f"ledger.address is wrong: {error}.") from error
    secured = _mutual(tree)
    for address in found:
        if secured is None and not address.is_local:
            raise settings.SettingInvalid(
                f"ledger.address is wrong: {address.host} is another machine, which is spoken to by TLS alone; "
                "set ledger.tls_certificate, ledger.tls_key and ledger.tls_authority."
            )
    return found, secured


def door(tree: settings.Ledger) -> Door:
    """Where the role listens, and whom it lets in.

    Raises:
        SettingInvalid: a setting of `ledger` can't be used.
        ExtraNotInstalled: it is `grpc`.
    """
    with extras.imported("grpc"):
        from billfold.platform.rpc import addresses, serving  # noqa: PLC0415

    try:
        address = addresses.parse(tree.listen)
    except ValueError as error:
        raise settings.SettingInvalid(f"ledger.listen is wrong: {error}.") from error
    # A socket is this user's alone, and is called without TLS.
    secured = None if address.path is not None else _mutual(tree)
    return serving.Door(address=address, tls=secured, clients=_clients(tree, secured), token=tree.token)


def _clients(tree: settings.Ledger, secured: tls.Mutual | None) -> frozenset[str] | None:
    """The names that are let in; None lets in whoever the authority has signed a certificate for.

    That has to be said: an authority says who somebody is, and often signs for programs that are not to touch money.
    """
    given = tree.allowed_clients
    if secured is None:
        if given is not None:
            raise settings.SettingInvalid("ledger.allowed_clients is wrong: without TLS nobody shows a certificate.")
        return None
    if given is None:
        raise settings.SettingInvalid(
            "ledger.allowed_clients is missing: TLS takes the names of those who may move money, as their certificates "
            'have them, such as "api.internal, worker.internal"; "*" is whoever has a certificate of the authority.'
        )
    if given.strip() == "*":
        return None
    names = frozenset(name.strip() for name in given.split(","))
    if any(not name or "*" in name for name in names):
        raise settings.SettingInvalid(
            "ledger.allowed_clients is wrong: it is names separated by commas, which are compared as a whole."
        )
    return names


def _mutual(tree: settings.Ledger) -> tls.Mutual | None:
    files = {
        "ledger.tls_certificate": tree.tls_certificate,
        "ledger.tls_key": tree.tls_key,
        "ledger.tls_authority": tree.tls_authority,
    }
    given = [file for file in files.values() if file is not None]
    if not given:
        return None
    if len(given) < len(files):
        missing = next(name for name, file in files.items() if file is None)
        raise settings.SettingInvalid(f"{missing} is missing: TLS on both sides takes all of {', '.join(files)}.")
    try:
        return tls.mutual(*given)
    except tls.CertificateUnusable as error:
        raise settings.SettingInvalid(f"ledger.tls_certificate, _key or _authority is wrong: {error}.") from error
