"""Settings: one typed tree, read from defaults, a TOML file, the environment, secret files and the command line."""

from billfold.app.settings.access import Keys, Limits, Oidc, Tokens
from billfold.app.settings.audit import Audit, AuditObjectStore, AuditSinks
from billfold.app.settings.chains import Bitcoin, Chain, Solana, Stellar
from billfold.app.settings.roles import Api, Client, Ledger, Log, Requests, Worker
from billfold.app.settings.section import leaves, mask, replaced
from billfold.app.settings.servers import Balances, History, Kafka, Mail, MailSink, Nats, Postgres, Rabbitmq
from billfold.app.settings.signer import AwsKms, Pkcs11, Signer, Vault
from billfold.app.settings.sources import (
    PREFIX,
    Loaded,
    SettingInvalid,
    SettingUnknown,
    as_environment,
    converted,
    load,
    variable,
)
from billfold.app.settings.tree import Settings

__all__ = [
    "PREFIX",
    "Api",
    "Audit",
    "AuditObjectStore",
    "AuditSinks",
    "AwsKms",
    "Balances",
    "Bitcoin",
    "Chain",
    "Client",
    "History",
    "Kafka",
    "Keys",
    "Ledger",
    "Limits",
    "Loaded",
    "Log",
    "Mail",
    "MailSink",
    "Nats",
    "Oidc",
    "Pkcs11",
    "Postgres",
    "Rabbitmq",
    "Requests",
    "SettingInvalid",
    "SettingUnknown",
    "Settings",
    "Signer",
    "Solana",
    "Stellar",
    "Tokens",
    "Vault",
    "Worker",
    "as_environment",
    "converted",
    "leaves",
    "load",
    "mask",
    "replaced",
    "variable",
]
