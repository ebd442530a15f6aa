"""The signer of a stack: its master keys, its place, and the settings by which it is found."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from billfold.app import settings
from billfold.app.supervisor import master_keys
from billfold.platform import host
from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres
from billfold.platform.rpc import addresses

SOCKET = "signer.sock"
_TOKEN_BYTES = 32


def found_by(tree: settings.Settings, postgres: EmbeddedPostgres) -> Mapping[str, Any]:
    """The settings of a signer of this stack, where it is not told of a master key of somebody else's."""
    folder = host.private_folder(tree.data_dir / master_keys.SIGNER_FOLDER)
    found: dict[str, Any] = {
        "signer.dsn": postgres.dsn(cluster.SIGNER, database=cluster.SIGNER_DATABASE),
        "signer.owner_dsn": postgres.dsn(cluster.OWNER, database=cluster.SIGNER_DATABASE),
        **_address(f"unix:{folder / SOCKET}"),
    }
    if tree.signer.keys_file is None and tree.signer.provider == "local":
        found["signer.keys_file"] = folder / master_keys.NAME
    return found


def _address(socket: str) -> Mapping[str, str]:
    """A socket, or a port where the path is no good for one: then callers have to know something besides."""
    try:
        addresses.parse(socket)
    except ValueError:
        address = f"127.0.0.1:{host.free_port()}"
        return {
            "signer.address": address,
            "signer.listen": address,
            "signer.token": secrets.token_urlsafe(_TOKEN_BYTES),
        }
    return {"signer.address": socket, "signer.listen": socket}


async def make_keys(tree: settings.Settings) -> None:
    """The file of the signer's master keys, unless it is there. Its database must be up to date.

    Raises: KeyFileInvalid.
    """
    if tree.signer.provider == "local" and tree.signer.keys_file is not None and tree.signer.owner_dsn is not None:
        await master_keys.make_missing(tree.signer.keys_file, tree.signer.owner_dsn)


def metrics_port(loaded: settings.Loaded, *, claim: Callable[[int], bool]) -> int:
    """The port that is set, or the default, or a free one.

    Raises: PortTaken, NoFreePort.
    """
    port = loaded.settings.signer.metrics_port
    if "signer.metrics_port" in loaded.sources:
        return host.checked_port(port)
    return port if host.port_is_free(port) and claim(port) else host.free_port()
