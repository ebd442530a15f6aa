"""The audit: where it is kept, and where its records and its heads are copied to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from billfold.app.settings.section import Secret, Section


class MongodbSink(Section, frozen=True, kw_only=True):
    """A database that speaks MongoDB's protocol, where the audit's records are copied. It takes the extra `mongodb`."""

    #: Where it is: mongodb:// or mongodb+srv://. Without it nothing is copied there.
    url: Secret | None = None
    #: Who we are there, when the URL doesn't say so.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None
    #: Who signs its certificate: a PEM file; the authorities of this machine when not set. With it TLS is spoken.
    tls_ca: Path | None = None
    #: The database there.
    database: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,60}$")] = "billfold"
    #: The collection, which has its indexes made where they are missing.
    collection: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,60}$")] = "audit"


class OpensearchSink(Section, frozen=True, kw_only=True):
    """An OpenSearch or an Elasticsearch, where the audit's records are copied."""

    #: Where it is: https://, or http:// where nobody listens in between. Without it nothing is copied there.
    url: Secret | None = None
    #: Who we are there.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None
    #: Who signs its certificate: a PEM file; the authorities of this machine when not set.
    tls_ca: Path | None = None
    #: What the names of its indexes begin with, one for each month, such as billfold-audit-2026.11.
    index: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,60}$")] = "billfold-audit"


class AuditSinks(Section, frozen=True, kw_only=True):
    """Where the audit's records are copied to, to be searched."""

    mongodb: MongodbSink = MongodbSink()
    opensearch: OpensearchSink = OpensearchSink()


class AuditObjectStore(Section, frozen=True, kw_only=True):
    """A bucket of an object store that speaks the S3 protocol, where each signed head is put as an object."""

    #: Where the store is, without the bucket: https://, or http:// on this machine. Without it nothing is put there.
    endpoint: str | None = None
    #: The bucket, which must be there. Let it keep versions, and lock them.
    bucket: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    #: What the names of the objects begin with. Each deployment needs its own.
    prefix: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,60}/){0,8}$")] = "audit/heads/"
    #: The region that is signed for; most stores outside of Amazon's take any.
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    #: Who we are there. It needs to put objects, to get them and to list the bucket, and nothing else.
    access_key: Annotated[Secret, msgspec.Meta(pattern=r"^[A-Za-z0-9_.+=@-]{1,128}$")] | None = None
    #: The secret that belongs to it. It is never sent.
    secret_key: Secret | None = None
    #: Who signs the store's certificate: a PEM file; the authorities of this machine when not set.
    tls_ca: Path | None = None


class Audit(Section, frozen=True, kw_only=True):
    """The record of what was done, in a database of its own. `billfold up` has one beside its other one."""

    #: Its database, as the application's role: adds rows and reads them. Without it no audit is kept.
    dsn: Secret | None = None
    #: The role that owns the schema there and applies migrations.
    owner_dsn: Secret | None = None
    #: How often what was recorded is sealed and a head is signed.
    seal_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 10
    #: A file that each signed head is added to, best on a disk that this machine can only add to.
    publish_file: Path | None = None
    #: A web address that each signed head is sent to: https://, or http:// on this machine.
    publish_url: Secret | None = None
    publish_s3: AuditObjectStore = AuditObjectStore()
    sinks: AuditSinks = AuditSinks()
