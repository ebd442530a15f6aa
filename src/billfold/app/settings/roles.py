"""What our processes do: where each listens, how much it takes, and what it tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from billfold.app.settings.section import Port, Secret, Section, url_here


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
        return url_here(self.host, self.port, scheme="http" if self.tls_certificate is None else "https")


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
    token: Annotated[Secret, msgspec.Meta(min_length=16)] | None = None
    #: How long the API and the worker wait for an answer, with what is tried again meanwhile.
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    #: Where `/metrics` of the role is.
    metrics_port: Port = 9082


class Worker(Section, frozen=True, kw_only=True):
    """The role that relays, consumes and verifies."""

    #: Where `/metrics` is.
    metrics_port: Port = 9081


class Requests(Section, frozen=True, kw_only=True):
    """Transfers, deposits and withdrawals that are accepted to be carried out later."""

    #: How many may wait at a time. Who sends more is told to try again later.
    open_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10_000
    #: How many of one owner.
    open_per_owner_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    #: What is not carried out within this time never is.
    expire_seconds: Annotated[int, msgspec.Meta(ge=1, le=43_200)] = 3_600


class Live(Section, frozen=True, kw_only=True):
    """What owners are told as it happens."""

    #: Streams (SSE and WebSocket) that each process of the API has open. Further ones are told to come again.
    streams: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5_000
    #: How many of them one owner may have.
    streams_of_owner: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 20
    #: How long events are listed and can be gone back to.
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 30


class Metrics(Section, frozen=True, kw_only=True):
    """What `/metrics` of every role has in common."""

    #: The address to listen on. There is no password, so let only Prometheus reach it.
    host: str = "127.0.0.1"

    def local_url(self, port: int) -> str:
        """The address of a role's metrics for programs on this machine."""
        return f"{url_here(self.host, port)}/metrics"


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


class Client(Section, frozen=True, kw_only=True):
    """What the resource commands of the CLI talk to; the running stack of the data folder when not set."""

    #: The address of an API.
    url: str | None = None
    #: The key to use there.
    api_key: Secret | None = None
