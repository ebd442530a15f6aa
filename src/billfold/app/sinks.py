"""The sinks of the audit, as the settings want them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from billfold import audit
from billfold.app import settings
from billfold.audit import Sink


def of(tree: settings.AuditSinks) -> Sequence[Sink]:
    """Those that are set; nothing is connected.

    Raises:
        SettingInvalid, ExtraNotInstalled
    """
    found: list[Sink] = []
    if (mongodb := tree.mongodb).url is not None:
        _check_authority("audit.sinks.mongodb.tls_ca", mongodb.tls_ca)
        try:
            found.append(
                audit.mongodb(
                    url=mongodb.url,
                    user=mongodb.user,
                    password=mongodb.password,
                    tls_ca=mongodb.tls_ca,
                    database=mongodb.database,
                    collection=mongodb.collection,
                )
            )
        except ValueError as error:
            raise settings.SettingInvalid(f"audit.sinks.mongodb.url can't be used: {error}.") from error
    return found


def _check_authority(name: str, file: Path | None) -> None:
    if file is not None and not file.is_file():
        raise settings.SettingInvalid(f"{name} is wrong: there is no file {file}.")
