"""The facade of the audit: records are added, sealed, published, fed to sinks, shown and proven. One file for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from billfold.audit.adapters.places import File, Webhook
from billfold.audit.adapters.sigv4 import Credentials
from billfold.audit.service.feeding import Feeding, Sink
from billfold.audit.service.publishing import Place, Publishing, Store
from billfold.audit.service.reading import Reading
from billfold.audit.service.recording import Recording
from billfold.audit.service.sealing import Sealing
from billfold.kernel.clock import Clock, SystemClock
from billfold.platform import extras
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Database


class Audit:
    """The record of what was done, over its own database."""

    def __init__(
        self, *, database: Database, envelope: Envelope, places: Sequence[Place] = (), clock: Clock | None = None
    ) -> None:
        self.recording = Recording(database=database)
        self.sealing = Sealing(database=database, envelope=envelope, clock=clock or SystemClock())
        self.reading = Reading(database=database)
        self.publishing = Publishing(database=database, places=places)
        self.feeding = Feeding(database=database)


def places(*, file: Path | None, url: str | None) -> list[Place]:
    """Where signed heads go. Whoever runs us names the address: it may be on a private network or this machine."""
    found: list[Place] = []
    if file is not None:
        found.append(File(file))
    if url is not None:
        from billfold.platform.fetching import Fetcher  # noqa: PLC0415 - few publish so, and its client takes its time

        found.append(Webhook(url, Fetcher(private=True, loopback=True)))
    return found


def object_store(
    *, endpoint: str, bucket: str, prefix: str, region: str, access_key: str, secret_key: str, tls_ca: Path | None
) -> Store:
    """A place that speaks the S3 protocol; nothing is connected.

    Raises:
        ValueError: the address is none, or the file has no certificates.
    """
    from billfold.audit.adapters.object_store import ObjectStore  # noqa: PLC0415 - as above

    credentials = Credentials(access_key=access_key, secret_key=secret_key, region=region)
    return ObjectStore(endpoint=endpoint, bucket=bucket, prefix=prefix, credentials=credentials, tls_ca=tls_ca)


def mongodb(
    *, url: str, user: str | None, password: str | None, tls_ca: Path | None, database: str, collection: str
) -> Sink:
    """A sink that speaks MongoDB's protocol; nothing is connected.

    Raises:
        ExtraNotInstalled: its client is not installed.
        ValueError: the address is none of a MongoDB.
    """
    with extras.imported("mongodb"):
        from billfold.audit.adapters.sinks_mongodb import Mongodb  # noqa: PLC0415

    return Mongodb(url=url, user=user, password=password, tls_ca=tls_ca, database=database, collection=collection)


def opensearch(*, url: str, user: str | None, password: str | None, tls_ca: Path | None, index: str) -> Sink:
    """A sink that speaks the HTTP of OpenSearch and Elasticsearch; nothing is connected.

    Raises:
        ValueError: the address is none, or the file has no certificates.
    """
    from billfold.audit.adapters.sinks_opensearch import Opensearch  # noqa: PLC0415 - as above

    return Opensearch(url=url, user=user, password=password, tls_ca=tls_ca, index=index)
