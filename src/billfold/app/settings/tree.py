"""Every setting there is, as one typed tree of sections. Reading them is `sources`' job.

A new setting is a field of a section; its name in files and in the environment follows from that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from billfold.app.settings import section
from billfold.app.settings.access import Keys, Limits, Oidc, Passwords, People, Security, Tokens, Webauthn
from billfold.app.settings.audit import Audit
from billfold.app.settings.chains import Bitcoin, Ethereum, Solana, Stellar
from billfold.app.settings.roles import Api, Client, Ledger, Live, Log, Metrics, Requests, Traces, Worker
from billfold.app.settings.section import Section
from billfold.app.settings.servers import Balances, Broker, History, Kafka, Mail, MailSink, Nats, Postgres, Rabbitmq
from billfold.app.settings.signer import Signer


def default_data_dir() -> Path:
    """Where the XDG base directory rules put the data of a program."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "billfold"


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
    signer: Signer = Signer()
    live: Live = Live()
    bitcoin: Bitcoin = Bitcoin()
    ethereum: Ethereum = Ethereum()
    solana: Solana = Solana()
    stellar: Stellar = Stellar()
    worker: Worker = Worker()
    audit: Audit = Audit()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    client: Client = Client()
    log: Log = Log()


def fields() -> dict[str, Any]:
    """The type of every setting by its dotted name."""
    return dict(section.fields(Settings))


def build(values: Mapping[str, object]) -> Settings:
    """The tree with these values, by dotted name and of the right types already; the rest are defaults."""
    return section.build(Settings, values)
