"""The signer as the settings have it: for who calls it, and, at its own machine, the facade with its keyring.

`grpcio` and the clients of providers are extras, imported when a setting asks for them and not before.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from billfold.app import doors, settings
from billfold.kernel import errors
from billfold.platform import extras
from billfold.platform.keys import Keyring, local
from billfold.platform.keys.envelope import Provider
from billfold.platform.postgres.database import Database
from billfold.signer import Drills, Signer

if TYPE_CHECKING:
    from billfold.signer.rpc import RemoteSigner

#: The signer writes its log in one database transaction after the other; reads and checks have the rest.
_POOL_SIZE = 4


@contextlib.asynccontextmanager
async def connected(tree: settings.Signer) -> AsyncIterator[RemoteSigner | None]:
    """The signer that this process calls; None where no address is set.

    Raises:
        SettingInvalid: a setting of `signer` can't be used.
        ExtraNotInstalled: it is `grpc`.
    """
    if tree.address is None:
        yield None
        return
    with extras.imported("grpc"):
        from billfold.signer import rpc  # noqa: PLC0415 - see above.

    found, secured = doors.called("signer", tree, tree.address)
    async with rpc.connected(addresses=found, tls=secured, token=tree.token, timeout_s=tree.timeout_s) as remote:
        yield remote


async def ailing(tree: settings.Signer) -> str | None:
    """Why the signer at the address that is set does not serve now; None if it does, or none is set."""
    try:
        async with connected(tree) as signer:
            if signer is not None:
                await signer.check()
    except (settings.SettingInvalid, extras.ExtraNotInstalled, errors.Unavailable) as error:
        return error.detail
    return None


@contextlib.asynccontextmanager
async def opened(tree: settings.Signer, *, name: str) -> AsyncIterator[tuple[Signer, Database]]:
    """The signer itself, over its own database. For its role, and for commands at its machine.

    Raises:
        SettingInvalid: there is no DSN or provider, or another setting can't be used.
        ExtraNotInstalled: it is that of a provider.
        DatabaseUnavailable.
    """
    if tree.dsn is None:
        raise settings.SettingInvalid(f"signer.dsn is not set: set {settings.variable('signer.dsn')}.")
    async with contextlib.AsyncExitStack() as stack:
        keys = keyring(tree, stack)
        database = await Database.connect(tree.dsn, size=_POOL_SIZE, name=name)
        stack.push_async_callback(database.close)
        yield Signer.start(database=database, keyring=keys), database


@contextlib.asynccontextmanager
async def drills(dsn: str, *, name: str) -> AsyncIterator[Drills]:
    """What keeps the times of drills, which takes the signer's database and none of its keys.

    Raises:
        DatabaseUnavailable.
    """
    database = await Database.connect(dsn, size=1, name=name)
    try:
        yield Drills(database=database)
    finally:
        await database.close()


def keyring(tree: settings.Signer, stack: contextlib.AsyncExitStack) -> Keyring:
    """Every provider that is set: that of `signer.provider` seals, the others open what they have sealed.

    Raises:
        SettingInvalid, ExtraNotInstalled.
    """
    providers: dict[str, Provider] = {}
    for name, (setting, make) in _PROVIDERS.items():
        if (provider := make(tree, stack)) is not None:
            providers[name] = provider
        elif name == tree.provider:
            raise settings.SettingInvalid(
                f"signer.provider is {name}, and {setting} is not set: set {settings.variable(setting)}."
            )
    return Keyring(providers, sealing=tree.provider)


def _local(tree: settings.Signer, _stack: contextlib.AsyncExitStack) -> Provider | None:
    if tree.keys_file is None:
        return None
    try:
        return local.load(tree.keys_file)
    except local.KeyFileInvalid as error:
        raise settings.SettingInvalid(f"signer.keys_file can't be used: {error.detail}") from error


def _vault(tree: settings.Signer, stack: contextlib.AsyncExitStack) -> Provider | None:
    given = tree.vault
    if given.url is None:
        return None
    if given.token is None:
        raise settings.SettingInvalid("signer.vault.token is not set, and signer.vault.url is.")
    with extras.imported("vault"):
        from billfold.platform.keys import transit  # noqa: PLC0415 - see above.

    provider = transit.TransitProvider(
        url=given.url,
        token=given.token,
        mount=given.mount,
        key=given.key,
        namespace=given.namespace,
        tls_ca=given.tls_ca,
    )
    stack.callback(provider.close)
    return provider


def _aws_kms(tree: settings.Signer, stack: contextlib.AsyncExitStack) -> Provider | None:
    given = tree.aws_kms
    if given.key_id is None:
        return None
    with extras.imported("aws"):
        from billfold.platform.keys import aws  # noqa: PLC0415 - see above.

    provider = aws.AwsKmsProvider(key_id=given.key_id, region=given.region, endpoint=given.endpoint)
    stack.callback(provider.close)
    return provider


def _pkcs11(tree: settings.Signer, stack: contextlib.AsyncExitStack) -> Provider | None:
    given = tree.pkcs11
    if given.module is None:
        return None
    with extras.imported("pkcs11"):
        from billfold.platform.keys import hsm  # noqa: PLC0415 - see above.

    provider = hsm.HsmProvider(module=given.module, token=given.label, pin=given.pin, prefix=given.key)
    stack.callback(provider.close)
    return provider


#: By name: the setting without which it is not there, and what makes it.
_PROVIDERS: dict[str, tuple[str, Callable[[settings.Signer, contextlib.AsyncExitStack], Provider | None]]] = {
    "local": ("signer.keys_file", _local),
    "vault": ("signer.vault.url", _vault),
    "aws-kms": ("signer.aws_kms.key_id", _aws_kms),
    "pkcs11": ("signer.pkcs11.module", _pkcs11),
}
