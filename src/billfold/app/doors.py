"""Where our own services are, who may call them, and how both sides know each other: what the settings say of it.

`grpcio` is an extra, so it is imported when a setting asks for it and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from billfold.app import settings
from billfold.platform import extras, tls

if TYPE_CHECKING:
    from billfold.platform.rpc.addresses import Address
    from billfold.platform.rpc.serving import Door


class Section(Protocol):
    """What a section of the settings says of a service."""

    @property
    def listen(self) -> str: ...
    @property
    def tls_certificate(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...
    @property
    def tls_authority(self) -> Path | None: ...
    @property
    def allowed_clients(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


def called(name: str, tree: Section, text: str) -> tuple[Sequence[Address], tls.Mutual | None]:
    """The addresses to call, and the certificate to show there. `name` is the section's.

    Raises:
        SettingInvalid: a setting of the section can't be used.
    """
    from billfold.platform.rpc import addresses  # noqa: PLC0415 - see above.

    try:
        found = addresses.parse_all(text)
    except ValueError as error:
        raise settings.SettingInvalid(f"{name}.address is wrong: {error}.") from error
    secured = _mutual(name, tree)
    for address in found:
        if secured is None and not address.is_local:
            raise settings.SettingInvalid(
                f"{name}.address is wrong: {address.host} is another machine, which is spoken to by TLS alone; "
                f"set {name}.tls_certificate, {name}.tls_key and {name}.tls_authority."
            )
    return found, secured


def door(name: str, tree: Section) -> Door:
    """Where the role listens, and whom it lets in.

    Raises:
        SettingInvalid: a setting of the section can't be used.
        ExtraNotInstalled: it is `grpc`.
    """
    with extras.imported("grpc"):
        from billfold.platform.rpc import addresses, serving  # noqa: PLC0415

    try:
        address = addresses.parse(tree.listen)
    except ValueError as error:
        raise settings.SettingInvalid(f"{name}.listen is wrong: {error}.") from error
    # A socket is this user's alone, and is called without TLS.
    secured = None if address.path is not None else _mutual(name, tree)
    return serving.Door(address=address, tls=secured, clients=_clients(name, tree, secured), token=tree.token)


def _clients(name: str, tree: Section, secured: tls.Mutual | None) -> frozenset[str] | None:
    """The names that are let in; None lets in whoever the authority has signed a certificate for.

    That has to be said: an authority says who somebody is, and often signs for programs that are not to touch money.
    """
    given = tree.allowed_clients
    if secured is None:
        if given is not None:
            raise settings.SettingInvalid(f"{name}.allowed_clients is wrong: without TLS nobody shows a certificate.")
        return None
    if given is None:
        raise settings.SettingInvalid(
            f"{name}.allowed_clients is missing: TLS takes the names of those who may move money, as their "
            'certificates have them, such as "api.internal, worker.internal"; "*" is whoever has a certificate of the '
            "authority."
        )
    if given.strip() == "*":
        return None
    names = frozenset(one.strip() for one in given.split(","))
    if any(not one or "*" in one for one in names):
        raise settings.SettingInvalid(
            f"{name}.allowed_clients is wrong: it is names separated by commas, which are compared as a whole."
        )
    return names


def _mutual(name: str, tree: Section) -> tls.Mutual | None:
    files = {
        f"{name}.tls_certificate": tree.tls_certificate,
        f"{name}.tls_key": tree.tls_key,
        f"{name}.tls_authority": tree.tls_authority,
    }
    given = [file for file in files.values() if file is not None]
    if not given:
        return None
    if len(given) < len(files):
        missing = next(key for key, file in files.items() if file is None)
        raise settings.SettingInvalid(f"{missing} is missing: TLS on both sides takes all of {', '.join(files)}.")
    try:
        return tls.mutual(*given)
    except tls.CertificateUnusable as error:
        raise settings.SettingInvalid(f"{name}.tls_certificate, _key or _authority is wrong: {error}.") from error
