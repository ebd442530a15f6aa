"""The sinks of the audit, as the settings want them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        with _usable("mongodb", mongodb.tls_ca):
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
    if (search := tree.opensearch).url is not None:
        with _usable("opensearch", search.tls_ca):
            found.append(
                audit.opensearch(
                    url=search.url,
                    user=search.user,
                    password=search.password,
                    tls_ca=search.tls_ca,
                    index=search.index,
                )
            )
    return found


@contextmanager
def _usable(name: str, authority: Path | None) -> Iterator[None]:
    """Raises: SettingInvalid, for the ValueError of a sink that can't be made."""
    if authority is not None and not authority.is_file():
        raise settings.SettingInvalid(f"audit.sinks.{name}.tls_ca is wrong: there is no file {authority}.")
    try:
        yield
    except ValueError as error:
        raise settings.SettingInvalid(f"audit.sinks.{name}.url can't be used: {error}.") from error
