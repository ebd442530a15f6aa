"""Every setting there is, as one typed tree of sections. Reading them is `sources`' job.

A new setting is a field of a section; its name in files and in the environment follows from that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec

_SECRET = msgspec.Meta(extra={"secret": True})
#: A server that listens on all addresses is reached on the loopback one.
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared with, never listened on.
#: A text that is shown masked.
Secret = Annotated[str, _SECRET]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
PerMinute = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


def default_data_dir() -> Path:
    """Where the XDG base directory rules put the data of a program."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "billfold"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the tree. Its text form shows no secret, so that none gets into a log by accident."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_masked(self, name)!r}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({shown})"


AnySection = TypeVar("AnySection", bound=Section)


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


class Api(Section, frozen=True, kw_only=True):
    """The HTTP role."""

    #: The address to listen on.
    host: str = "127.0.0.1"
    #: `billfold up` takes a free port instead of the default when that is taken.
    port: Port = 8080
    #: Where `/metrics` is.
    metrics_port: Port = 9080
    #: How the outside world reaches the API, when that is not the local address.
    public_url: str | None = None
    #: The certificate to show, with those between it and a root below it: a PEM file. With it and `tls_key` the API
    #: speaks TLS, 1.2 or newer, and nothing else on its port. A renewed one is taken at the next start.
    tls_certificate: Path | None = None
    #: The private key of the certificate: a PEM file without a password.
    tls_key: Path | None = None
    #: Networks of the proxies in front of the API, such as 10.0.0.0/8, separated by commas. What they say of where a
    #: request comes from is believed, and nobody else.
    trusted_proxies: str | None = None
    #: The header in which they say it. The other one is not looked at: a proxy passes it on as the client wrote it.
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    #: Origins whose pages may call the API from a browser, such as https://app.example.com, separated by commas.
    cors_origins: str | None = None

    @property
    def url(self) -> str:
        """The address of the API for the world."""
        return (self.public_url or self.local_url).rstrip("/")

    @property
    def local_url(self) -> str:
        """The address of the API for programs on this machine."""
        return _local_url(self.host, self.port, scheme="http" if self.tls_certificate is None else "https")


class Passwords(Section, frozen=True, kw_only=True):
    """How passwords are hashed, by Argon2id. When this rises, each is hashed anew at its next use."""

    #: Passes over the memory.
    passes: Annotated[int, msgspec.Meta(ge=2, le=100)] = 3
    #: What one hash takes. The least that OWASP lets pass is 19 in 2 passes.
    memory_mib: Annotated[int, msgspec.Meta(ge=19, le=4_096)] = 64
    #: Lanes of one hash, which are not computed at the same time here.
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    #: How many are hashed at a time by each process, behind everything else that it does; one for each two processors
    #: when not set.
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    #: How many further ones may wait. Who comes then is told to try again in a moment.
    queue_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64


class People(Section, frozen=True, kw_only=True):
    """Those who register."""

    #: The country of phone numbers that are written without one, such as TH. Without it each number needs its own.
    phone_region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None


class Limits(Section, frozen=True, kw_only=True):
    """How often who may call the API; 0 is no limit. Each process counts for itself, unless there is a Redis."""

    #: Requests of an owner with valid keys, all keys together. No limit by default: what is too much for one owner is
    #: some thousands a second on one machine, and yours to say.
    owner_per_minute: PerMinute = 0
    #: Requests of an address without valid credentials: documentation, mistakes, whoever knocks at every door.
    anonymous_per_minute: PerMinute = 1_200
    #: Wrong credentials from an address. Ten times as many are allowed in an hour and fifty times as many in a day, so
    #: whoever goes on waits longer. Valid keys from the same address are served meanwhile.
    wrong_credentials_per_minute: PerMinute = 60
    #: Attempts of an address to log in, to register or to get a new password. Ten times as many are allowed in an hour
    #: and fifty times as many in a day. Who comes from where they have logged in before is not counted.
    logins_per_minute: PerMinute = 60
    #: Questions of an owner for whom an alias stands, and payments to aliases that are not there. Ten times as many are
    #: allowed in an hour and fifty times as many in a day, so that nobody goes through a list of addresses.
    resolve_per_minute: PerMinute = 60
    #: A Redis in which all processes count together: redis://, rediss:// or unix://. While it does not answer, each
    #: process counts for itself.
    redis_url: Secret | None = None


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


class Keys(Section, frozen=True, kw_only=True):
    """What seals the secrets that the database keeps."""

    #: The file of master keys that `billfold keys create-master` makes. `billfold up` has one in its data folder. Keep
    #: a copy apart from those of the database: without it what is sealed there is lost.
    file: Path | None = None


class Tokens(Section, frozen=True, kw_only=True):
    """The access tokens of people who have logged in."""

    #: How long one is good for; then it is refreshed.
    access_seconds: Annotated[int, msgspec.Meta(ge=300, le=600)] = 600
    #: How old the newest key that signs them becomes. `billfold keys rotate-signing` replaces it at any time.
    rotate_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 90


class Security(Section, frozen=True, kw_only=True):
    """What takes more than credentials."""

    #: What a person withdraws within 24 hours without another one's approval, by asset, such as USD=10000,BTC=0.5; of
    #: other assets it may be any. Programs are not asked.
    approval_above: str | None = None
    #: What a person withdraws within 24 hours without approving it by a second factor of theirs, by asset, such as
    #: USD=1000,BTC=0.05; of other assets it may be any. It is asked of whoever uses a person's API keys, too. Programs
    #: are not asked.
    step_up_above: str | None = None


class Requests(Section, frozen=True, kw_only=True):
    """Transfers, deposits and withdrawals that are accepted to be carried out later."""

    #: How many may wait at a time. Who sends more is told to try again later.
    open_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10_000
    #: How many of one owner.
    open_per_owner_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    #: What is not carried out within this time never is.
    expire_seconds: Annotated[int, msgspec.Meta(ge=1, le=43_200)] = 3_600


class Webauthn(Section, frozen=True, kw_only=True):
    """Passkeys. A passkey is good for one host name and those below it, for ever."""

    #: That host name; by default the host of api.public_url. Change it before the first passkey is made, or never.
    rp_id: str | None = None
    #: Where the pages are that may use passkeys, such as https://app.example.com, separated by commas; by default
    #: api.public_url.
    origins: str | None = None


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
        return _local_url("127.0.0.1", self.port)


class Oidc(Section, frozen=True, kw_only=True):
    """OpenID Connect providers that people log in with, and whose access tokens are taken."""

    #: The TOML file that describes them; see the how-to about Keycloak. Without it there are none.
    file: Path | None = None
    #: Whether providers may have addresses of private networks, as a company's own Keycloak often has.
    allow_private: bool = False
    #: Whether they may be on this machine, and spoken to without TLS: for a sandbox, never for production.
    allow_loopback: bool = False


class Ledger(Section, frozen=True, kw_only=True):
    """The role that posts and reads money for the others. Without it each posts in its own process."""

    #: Where the API and the worker find it: unix:/run/billfold/ledger.sock or ledger.internal:8090; several servers are
    #: separated by commas and take turns. Not set: no such role is asked.
    address: str | None = None
    #: Where the role itself listens, by one address of the same form. Other machines are let in by TLS alone.
    listen: str = "127.0.0.1:8090"
    #: The certificate that this process shows to the other side, with those between it and a root: a PEM file. With
    #: it both sides speak TLS, and each must know the other's.
    tls_certificate: Path | None = None
    #: The private key of the certificate: a PEM file without a password.
    tls_key: Path | None = None
    #: Who signs the certificates of the other side: a PEM file.
    tls_authority: Path | None = None
    #: Of the role: who may move money, by names in their certificates such as api.internal, separated by commas; * is
    #: whoever has a certificate of the authority. With TLS the role does not start without it.
    allowed_clients: str | None = None
    #: What callers have to know besides, at least 16 characters: for a port that any program of the machine reaches.
    token: Annotated[str, _SECRET, msgspec.Meta(min_length=16)] | None = None
    #: How long the API and the worker wait for an answer, with what is tried again meanwhile.
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    #: Where `/metrics` of the role is.
    metrics_port: Port = 9082


class Live(Section, frozen=True, kw_only=True):
    """What owners are told as it happens."""

    #: Streams (SSE and WebSocket) that each process of the API has open. Further ones are told to come again.
    streams: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5_000
    #: How many of them one owner may have.
    streams_of_owner: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 20
    #: How long events are listed and can be gone back to.
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 30


class Worker(Section, frozen=True, kw_only=True):
    """The role that relays, consumes and verifies."""

    #: Where `/metrics` is.
    metrics_port: Port = 9081


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
    access_key: Annotated[str, _SECRET, msgspec.Meta(pattern=r"^[A-Za-z0-9_.+=@-]{1,128}$")] | None = None
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


class Metrics(Section, frozen=True, kw_only=True):
    """What `/metrics` of every role has in common."""

    #: The address to listen on. There is no password, so let only Prometheus reach it.
    host: str = "127.0.0.1"

    def local_url(self, port: int) -> str:
        """The address of a role's metrics for programs on this machine."""
        return f"{_local_url(self.host, port)}/metrics"


class Client(Section, frozen=True, kw_only=True):
    """What the resource commands of the CLI talk to; the running stack of the data folder when not set."""

    #: The address of an API.
    url: str | None = None
    #: The key to use there.
    api_key: Secret | None = None


class Log(Section, frozen=True, kw_only=True):
    """What is logged, and how."""

    #: The least that is logged.
    level: Literal["debug", "info", "warning", "error"] = "info"
    #: Lines for people, or a JSON object on each line.
    format: Literal["console", "json"] = "console"


class Traces(Section, frozen=True, kw_only=True):
    """Where traces go; none are made without an endpoint. It takes the extra `tracing`."""

    #: A collector that takes OTLP over gRPC, such as Jaeger at http://127.0.0.1:4317; https:// for TLS.
    endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/]+/?$")] | None = None
    #: Of the requests that come without a trace of their caller's, so many are traced: 0.01 is one in a hundred.
    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01


class Settings(Section, frozen=True, kw_only=True):
    """The whole tree."""

    #: Everything the embedded stack keeps.
    data_dir: Path = msgspec.field(default_factory=default_data_dir)
    postgres: Postgres = Postgres()
    broker: Broker = Broker()
    nats: Nats = Nats()
    kafka: Kafka = Kafka()
    rabbitmq: Rabbitmq = Rabbitmq()
    api: Api = Api()
    keys: Keys = Keys()
    limits: Limits = Limits()
    balances: Balances = Balances()
    history: History = History()
    oidc: Oidc = Oidc()
    passwords: Passwords = Passwords()
    people: People = People()
    tokens: Tokens = Tokens()
    security: Security = Security()
    requests: Requests = Requests()
    mail: Mail = Mail()
    mail_sink: MailSink = MailSink()
    webauthn: Webauthn = Webauthn()
    ledger: Ledger = Ledger()
    live: Live = Live()
    worker: Worker = Worker()
    audit: Audit = Audit()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    client: Client = Client()
    log: Log = Log()


def mask(value: str) -> str:
    """What may be shown of a secret: of a URL all but the password, of anything else nothing."""
    if "://" not in value:
        return "********"
    without_login = re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:********@", value)
    return re.sub(r"(?<=[?&]password=)[^&]*", "********", without_login)


def leaves(section: Section, prefix: str = "", *, masked: bool = True) -> Iterator[tuple[str, object]]:
    """Every dotted name with its value."""
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, f"{prefix}{name}.", masked=masked)
        else:
            yield prefix + name, _masked(section, name) if masked else value


def fields() -> dict[str, Any]:
    """The type of every setting by its dotted name."""
    return dict(_fields(Settings))


def build(values: Mapping[str, object]) -> Settings:
    """The tree with these values, by dotted name and of the right types already; the rest are defaults."""
    built = _build(Settings, values, "")
    assert isinstance(built, Settings)
    return built


def replaced(section: AnySection, values: Mapping[str, object]) -> AnySection:
    """The section with these values, by dotted name and of the right types already, in the place of its own."""
    given: dict[str, Any] = {}
    for key, value in values.items():
        name, _, below = key.partition(".")
        given[name] = replaced(given.get(name, getattr(section, name)), {below: value}) if below else value
    return msgspec.structs.replace(section, **given)


def _masked(section: Section, name: str) -> object:
    value = getattr(section, name)
    return mask(value) if isinstance(value, str) and _is_secret(_hints(type(section))[name]) else value


def _fields(section: type[Section], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in _hints(section).items():
        if _is_section(hint):
            yield from _fields(hint, f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def _build(section: type[Section], values: Mapping[str, object], prefix: str) -> Section:
    given: dict[str, Any] = {}
    for name, hint in _hints(section).items():
        if _is_section(hint):
            given[name] = _build(hint, values, f"{prefix}{name}.")
        elif prefix + name in values:
            given[name] = values[prefix + name]
    return section(**given)


def _local_url(host: str, port: int, *, scheme: str = "http") -> str:
    address = "127.0.0.1" if host in _ALL_ADDRESSES else host
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


@cache
def _hints(section: type[Section]) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)


def _is_secret(hint: Any) -> bool:
    """Whether `Secret` occurs in the type, as in `Secret | None`."""
    return any(part is _SECRET or _is_secret(part) for part in get_args(hint))
