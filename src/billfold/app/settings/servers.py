"""Servers that are told of by where they are: those that keep what we know, that carry it, and that take our mails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from billfold.app.settings.section import Port, Secret, Section, url_here


class Postgres(Section, frozen=True, kw_only=True):
    """The database: given by DSNs, or embedded when there are none."""

    #: The application's role: reads and writes rows.
    dsn: Secret | None = None
    #: The role that owns the schemas and applies migrations.
    owner_dsn: Secret | None = None
    #: Where the embedded server listens; free when not set.
    port: Port | None = None
    #: Connections of each process, beside the one that it writes transfers with.
    pool_size: Annotated[int, msgspec.Meta(ge=2, le=100)] = 8


class Broker(Section, frozen=True, kw_only=True):
    """The message broker that carries events away, and brings confirmed transactions in."""

    #: Which one; its own section says where it is.
    kind: Literal["nats", "kafka", "rabbitmq"] = "nats"


class Nats(Section, frozen=True, kw_only=True):
    """NATS as the message broker: given by its URL, or embedded when there is none."""

    #: Where it listens; several servers of one cluster are separated by commas.
    url: Secret | None = None
    #: Who we are there, when the URL doesn't say so.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None
    #: Where the embedded server listens; free when not set.
    port: Port | None = None


class Kafka(Section, frozen=True, kw_only=True):
    """Kafka as the message broker, with `broker.kind = "kafka"`. It takes the extra `kafka`."""

    #: Some of the cluster's servers as host:port, separated by commas.
    servers: str | None = None
    #: Who we are there. Without it nobody is asked.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None
    #: How the password is shown.
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    #: Whether the servers speak TLS.
    tls: bool = False
    #: The certificates to trust, a PEM file, when the system's are not to be.
    tls_ca: Path | None = None
    #: Partitions of topics that are missing, and so how many workers share the confirmed transactions. Topics that
    #: exist stay as they are.
    partitions: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 6
    #: On how many servers each message of such a topic is; with three or more, all but one must have it before it
    #: counts as stored.
    replicas: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Rabbitmq(Section, frozen=True, kw_only=True):
    """RabbitMQ as the message broker, with `broker.kind = "rabbitmq"`. It takes the extra `rabbitmq`."""

    #: Where it listens and its virtual host, amqp:// or amqps:// for TLS; several nodes of one cluster are separated by
    #: commas.
    url: Secret | None = None
    #: Who we are there, when the URL doesn't say so.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None


class Balances(Section, frozen=True, kw_only=True):
    """Balances of a moment ago, for those who say that these will do."""

    #: A Redis that keeps them: redis://, rediss:// or unix://. Without it, and while it does not answer, the ledger
    #: answers. It may be that of the limits.
    redis_url: Secret | None = None
    #: How long one is kept there when nothing changes and nobody asks.
    keep_seconds: Annotated[int, msgspec.Meta(ge=10, le=2_592_000)] = 86_400


class History(Section, frozen=True, kw_only=True):
    """Where lists of transactions are read: in the ledger alone, or in a copy of them in Cassandra or ScyllaDB too."""

    #: `cql` reads the copy where that is whole, and the ledger otherwise. It takes the extra `cassandra`.
    kind: Literal["postgresql", "cql"] = "postgresql"
    #: Some nodes of the cluster, such as cassandra-1,cassandra-2:9042, separated by commas.
    contact_points: str | None = None
    #: The datacenter that we are in, whose nodes alone are asked; that of the node that answers first when not set.
    datacenter: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None
    #: Where our tables are. `billfold migrate` makes it where it is missing.
    keyspace: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = "billfold"
    #: How many nodes of the datacenter keep each row of a keyspace that `billfold migrate` makes.
    copies: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    #: Who we are there.
    user: str | None = None
    #: That user's password.
    password: Secret | None = None
    #: Whether to speak TLS. The nodes' certificates must be good for the names or addresses they are called by.
    tls: bool = False
    #: Who signs these certificates: a PEM file; the authorities of this machine when not set.
    tls_ca: Path | None = None
    #: How many nodes have to have said yes to each read and each write. A copy that lags is never taken for whole.
    consistency: Literal["LOCAL_ONE", "LOCAL_QUORUM", "QUORUM", "ALL"] = "LOCAL_QUORUM"
    #: How long the copy keeps a transaction; for ever when not set. What is older is read in the ledger. When this
    #: changes, make the copy anew.
    ttl_days: Annotated[int, msgspec.Meta(ge=7, le=7_000)] | None = None


class Mail(Section, frozen=True, kw_only=True):
    """The mail server that takes our mails. Where none is set, `billfold up` has its own, which shows them to you."""

    #: Where it is. Without it no mail is sent: they wait until there is one.
    host: str | None = None
    #: 587 for `starttls`, 465 for `implicit` and 25 for `none` when not set.
    port: Port | None = None
    #: How the connection is kept secret: TLS from the second command on, from the first byte on, or not at all. The
    #: server's certificate must be good for its name.
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    #: Who we are there.
    user: str | None = None
    #: That user's password. It is never sent without TLS, but to this machine.
    password: Secret | None = None
    #: From whom the mails come; the name is also what they call the service.
    sender: str = "Billfold <no-reply@billfold.invalid>"
    #: The domain of a gateway that turns a mail to +66812345678@domain into a short message. Without it nobody can
    #: register with a phone number.
    sms_domain: str | None = None


class MailSink(Section, frozen=True, kw_only=True):
    """The mail server of `billfold up`, on this machine alone: takes every mail, delivers none, and shows them."""

    #: Where its page is. `billfold up` takes a free port instead of the default when that is taken; the same below.
    port: Port = 8025
    #: Where it takes mails.
    smtp_port: Port = 1025

    @property
    def url(self) -> str:
        """The address of its page."""
        return url_here("127.0.0.1", self.port)
