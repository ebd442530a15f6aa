"""Each kind of breach is put into a copy of the tree, and the fence that is there for it is seen to catch it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture import contexts, linter

ROOT = Path(__file__).parents[2]

LAYERS = "Upper layers call lower ones; neighbours do not know each other"
CYCLES = "No import cycles"
INWARDS = "Inside a context, imports point from the edge to the core"
LEDGER = "The ledger's insides stay inside"
IDENTITY = "Identity's insides stay inside"
WALLETS = "The wallets' insides stay inside"
AUDIT = "The audit's insides stay inside"
CUSTODY = "Custody's insides stay inside"
SIGNER = "The signer's insides stay inside"
SIGNATURES = "Keys and signatures of chains are the signer's"
CHAINS = "The chains' libraries are spoken in chains and devnet"
DEVNET = "Chains of this machine's own are started by their command and the sandbox alone"
KERNEL = "The kernel is standard library and msgspec"
CORE = "Rules and contracts know no I/O, no clock and no chance"
STORE = "A store knows PostgreSQL and its context's rules"
SERVICE = "A service knows no HTTP"
ROUTES = "Routes and workers call the facade"
RPC = "A service over gRPC calls the facade"
CHAIN_KEYS = "Keys and signatures of chains are the signer's"
CHAIN_LIBRARIES = "The chains' libraries are spoken in chains and devnet"
WRAPPING = "Those who wrap keys are asked in platform.keys"
GRPC = "gRPC is spoken in platform.rpc and in what a context serves by it"
ASYNCPG = "asyncpg is spoken in platform.postgres and in stores"
NATS = "NATS is spoken in platform.messaging"
KAFKA = "Kafka is spoken in platform.messaging"
CQL = "CQL is spoken in platform.cql"
MONGODB = "MongoDB is spoken in the audit's adapters"
AMQP = "AMQP is spoken in platform.messaging"
DEVSERVERS = "Servers for development are started by their command and the profile full alone"
REDIS = "Redis is spoken in platform and adapters"
LIMITS = "Limits are counted in platform.limiting"
CIPHERS = "Ciphers are spoken in platform.keys, signatures in the services of identity and of the audit"
WRAPPING = "Those who wrap keys are asked in platform.keys"
PASSWORDS = "Passwords are hashed in one place"
ADDRESSES = "Addresses are read in one place"
FOREIGN = "Tokens of other issuers are read in one place"
FACTORS = "WebAuthn and one-time passwords are spoken in identity's adapters"
MAIL = "SMTP and templates are spoken in platform.mail"
KEYRING = "The keyring is opened where logins are kept"
LITESTAR = "Litestar is spoken at the edge"
SERVER = "The HTTP server is run by platform.web and the app"
TOLD = "The notifications' insides stay inside"
APP = "The terminal is the app's"
HTTP = "The HTTP client is spoken in platform.fetching, and to servers that only the settings name"


@dataclass(frozen=True)
class Breach:
    """A line added to the end of a module, which is made if it is not there."""

    name: str
    module: str
    code: str
    caught_by: str

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


IMPORTS = [
    Breach("kernel calls the ledger", "kernel.money", "from billfold.ledger import Ledger", LAYERS),
    Breach("platform calls the app", "platform.host", "from billfold.app import settings", LAYERS),
    Breach("ledger calls wallets", "ledger.service", "from billfold.wallets import contracts", LAYERS),
    Breach("ledger calls its neighbour", "ledger.service", "from billfold.identity import contracts", LAYERS),
    Breach("identity calls its neighbour", "identity.service", "from billfold.ledger import events", LAYERS),
    Breach("an upward call within a function", "ledger.domain", "def f():\n    import billfold.app", LAYERS),
    Breach("an upward call for types alone", "kernel.ids", "if TYPE_CHECKING:\n    import billfold.platform", LAYERS),
    Breach("an unknown package", "common", "", LAYERS),
    Breach(
        "a cycle within platform", "platform.postgres.database", "from billfold.platform.messaging import x", CYCLES
    ),
    Breach("a cycle within a context", "ledger.errors", "from billfold.ledger.domain import x", CYCLES),
    Breach("an unknown file in a context", "ledger.utils", "", INWARDS),
    Breach("the core calls its store", "ledger.domain", "from billfold.ledger.store import x", INWARDS),
    Breach("the core calls its own facade", "ledger.domain", "from billfold.ledger import Ledger", INWARDS),
    Breach("a store calls its service", "wallets.store", "from billfold.wallets.service import x", INWARDS),
    Breach("wallets reads the ledger's store", "wallets.service", "from billfold.ledger.store import x", LEDGER),
    Breach(
        "the app reads the notifications' store", "app.roles.api", "from billfold.notifications.store import x", TOLD
    ),
    Breach("wallets calls the notifications", "wallets.service", "from billfold.notifications import x", LAYERS),
    Breach("wallets uses the ledger's rules", "wallets.domain", "from billfold.ledger.domain import x", LEDGER),
    Breach("the app goes around the facade", "app", "from billfold.ledger.service import x", LEDGER),
    Breach("wallets reads identity's store", "wallets.service", "from billfold.identity.store import x", IDENTITY),
    Breach("the app reads a store", "app", "from billfold.wallets.store import x", WALLETS),
    Breach("the audit's store in the app", "app.container", "from billfold.audit.store import heads", AUDIT),
    Breach("the audit in the wallets", "wallets.service", "import billfold.audit", LAYERS),
    Breach("wallets reads custody's store", "wallets.service", "from billfold.custody.store import x", CUSTODY),
    Breach("custody reads the signer's store", "custody.service", "from billfold.signer.store import x", SIGNER),
    Breach("the signer asks the ledger", "signer.service", "from billfold.ledger import contracts", LAYERS),
    Breach("custody makes a signature", "custody.service", "from billfold.chains.bitcoin import signing", SIGNATURES),
    Breach("the app derives a key", "app.container", "from billfold.chains.bitcoin import keys", SIGNATURES),
    Breach("custody builds a transaction", "custody.service", "import embit.psbt", CHAINS),
    Breach("a chain to play with in production", "custody.service", "from billfold import devnet", DEVNET),
    Breach("a route reads another's store", "wallets.rest", "from billfold.ledger.store import x", LEDGER),
    Breach("a third party in the kernel", "kernel.clock", "import structlog", KERNEL),
    Breach("a driver in the core", "ledger.domain", "import asyncpg", CORE),
    Breach("a mechanism in the core", "ledger.domain", "from billfold.platform.postgres import database", CORE),
    Breach("a clock in the core", "ledger.domain", "import time", CORE),
    Breach("chance in the core", "wallets.domain", "import random", CORE),
    Breach("files in the core", "wallets.contracts", "from pathlib import Path", CORE),
    Breach("a broker in a store", "ledger.store", "from billfold.platform.messaging import outbox", STORE),
    Breach("HTTP in a service", "wallets.service", "import litestar", SERVICE),
    Breach("problem details in a service", "wallets.service", "from billfold.platform import web", SERVICE),
    Breach("a route reads the store", "wallets.rest", "from billfold.wallets.store import x", ROUTES),
    Breach("a worker uses the rules", "wallets.workers", "from billfold.wallets.domain import x", ROUTES),
    Breach("SQL driver in a service", "wallets.service", "import asyncpg", ASYNCPG),
    Breach("SQL driver in the app", "app", "import asyncpg", ASYNCPG),
    Breach("NATS in a service", "ledger.service", "from nats.aio.client import Client", NATS),
    Breach("NATS in the app", "app", "import nats", NATS),
    Breach("Kafka in a service", "ledger.service", "import aiokafka", KAFKA),
    Breach("MongoDB in a service", "audit.service", "import pymongo", MONGODB),
    Breach("AMQP in a service", "wallets.service", "import aio_pika", AMQP),
    Breach("WebAuthn in a service", "identity.service.factors", "import webauthn", FACTORS),
    Breach("JOSE in a service", "identity.service.foreign", "import joserfc", FOREIGN),
    Breach("one-time passwords in the app", "app.container", "import pyotp", FACTORS),
    Breach("the driver in an adapter", "wallets.adapters", "import cassandra.cluster", CQL),
    Breach("Redis at the edge", "platform.web.gate", "import redis.asyncio", REDIS),
    Breach("Redis in a service", "wallets.service.balances", "import redis.asyncio", REDIS),
    Breach("the library of limits in the app", "app.limits", "from limits import RateLimitItem", LIMITS),
    Breach("a server for development in production", "app.roles", "from billfold import devservers", DEVSERVERS),
    Breach("a cipher in the app", "app", "from cryptography.hazmat.primitives.ciphers import aead", CIPHERS),
    Breach("the signer asks a Vault by itself", "signer.service", "import hvac", WRAPPING),
    Breach("a second way to hash passwords", "app", "from argon2 import PasswordHasher", PASSWORDS),
    Breach("a second reader of phone numbers", "identity.service.users", "import phonenumbers", ADDRESSES),
    Breach("custody signs by itself", "custody.service", "from billfold.chains.bitcoin import signing", CHAIN_KEYS),
    Breach("a chain's node has keys", "chains.stellar.horizon", "from billfold.chains.stellar import keys", CHAIN_KEYS),
    Breach("custody makes a seed", "custody.service", "from billfold.chains import mnemonics", CHAIN_KEYS),
    Breach("a chain's library in the signer", "signer.service", "import coincurve", CHAIN_LIBRARIES),
    Breach("a chain's library in custody", "custody.service", "import solders.pubkey", CHAIN_LIBRARIES),
    Breach("an HSM in the signer", "signer.service", "import pkcs11", WRAPPING),
    Breach("AWS in the app", "app.signing", "import boto3", WRAPPING),
    Breach(
        "the signer's service over gRPC reads its store", "signer.rpc.values", "from billfold.signer import store", RPC
    ),
    Breach("gRPC in the signer's service", "signer.service", "import grpc", GRPC),
    Breach("a service over gRPC reads its store", "ledger.rpc.moving", "from billfold.ledger.store import x", RPC),
    Breach("gRPC in a service", "ledger.service", "import grpc", GRPC),
    Breach("SMTP in a context", "identity.service", "import aiosmtplib", MAIL),
    Breach("templates in the app", "app", "import jinja2", MAIL),
    Breach("the keyring at the terminal", "app.cli.login", "import keyring", KEYRING),
    Breach("Litestar in messaging", "platform.messaging", "from litestar import get", LITESTAR),
    Breach("a server in a context", "wallets.rest", "import uvicorn", SERVER),
    Breach("a terminal in a context", "ledger.workers", "import rich.table", APP),
    Breach("an HTTP client in a context", "identity.rest", "import httpx2", HTTP),
]

TEXTS = [
    Breach("a table of another context", "wallets.store", 'x = "SELECT 1 FROM ledger.accounts"', "ledger.accounts"),
    Breach("a table in a service", "ledger.service", 'x = f"{y} JOIN ledger.transfers"', "ledger.transfers"),
    Breach("a table of a mechanism", "ledger.store", 'x = "DELETE FROM messaging.outbox"', "messaging.outbox"),
    Breach("SQL in a service", "wallets.service", 'x = "SELECT 1"', "speaks SQL"),
    Breach("SQL in an adapter", "wallets.adapters", 'x = "SELECT 1"', "speaks SQL"),
    Breach("SQL in a route", "wallets.rest", 'x = "UPDATE things SET x = 1"', "speaks SQL"),
    Breach("a table in the app", "app", 'x = "SELECT * FROM identity.api_keys"', "identity.api_keys"),
    Breach("a file with a name of its own", "identity.helpers", "", "none of a context's files"),
]

CALLS = [
    Breach("the time of day", "ledger.domain", "from datetime import datetime\nx = datetime.now()", "datetime.now"),
    Breach("a random id", "wallets.domain", "from uuid import uuid4\nx = uuid4()", "uuid.uuid4"),
    Breach("the clock", "ledger.domain", "from billfold.kernel import clock\nx = clock.SystemClock()", "SystemClock"),
    Breach("ids", "wallets.contracts", "from billfold.kernel import ids\nx = ids.IdSource()", "IdSource"),
]


class Copy:
    """A copy of what the fences look at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "src" / "billfold"
        unneeded = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src", root / "src", ignore=unneeded)
        shutil.copytree(ROOT / "tests" / "architecture", root / "tests" / "architecture", ignore=unneeded)
        shutil.copy(ROOT / "tests" / "__init__.py", root / "tests")
        shutil.copy(ROOT / "pyproject.toml", root)

    @contextmanager
    def with_breach(self, breach: Breach) -> Iterator[Path]:
        """The file with the breach in it, until the block ends."""
        file = self._file(breach.module)
        before = file.read_bytes() if file.exists() else None
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((before or b"") + f"\n{breach.code}\n".encode())
        try:
            yield file
        finally:
            if before is None:
                file.unlink()
            else:
                file.write_bytes(before)
            if not any(file.parent.iterdir()):
                file.parent.rmdir()

    def _file(self, module: str) -> Path:
        place = self.package.joinpath(*module.split("."))
        # A new package of the first level is a folder, as every other is.
        return place / "__init__.py" if place.is_dir() or "." not in module else place.with_suffix(".py")

    def broken_texts(self) -> list[str]:
        """What the rules that are not about imports say."""
        rules: list[Callable[[Path], list[str]]] = [
            contexts.misnamed,
            contexts.tables_named_elsewhere,
            contexts.statements_outside_of_stores,
        ]
        return [fault for rule in rules for fault in rule(self.package)]

    def forbidden_calls(self) -> str:
        """What the linter says of banned names."""
        command = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--select=TID251",
            "--output-format=concise",
            "src",
        ]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("fences"))


@pytest.fixture(scope="module")
def contracts(copy: Copy) -> Iterator[linter.Linter]:
    with linter.running(copy.root) as running:
        yield running


def test_the_tree_breaks_nothing(copy: Copy, contracts: linter.Linter) -> None:
    assert contracts.broken() == set()
    assert copy.broken_texts() == []
    assert "TID251" not in copy.forbidden_calls()


@pytest.mark.parametrize("breach", IMPORTS, ids=str)
def test_an_import_is_caught(breach: Breach, copy: Copy, contracts: linter.Linter) -> None:
    with copy.with_breach(breach):
        assert breach.caught_by in contracts.broken()


@pytest.mark.parametrize("breach", TEXTS, ids=str)
def test_a_name_or_a_statement_is_caught(breach: Breach, copy: Copy) -> None:
    with copy.with_breach(breach):
        assert any(breach.caught_by in fault for fault in copy.broken_texts())


@pytest.mark.parametrize("breach", CALLS, ids=str)
def test_a_call_for_time_or_chance_in_the_core_is_caught(breach: Breach, copy: Copy) -> None:
    with copy.with_breach(breach) as file:
        said = copy.forbidden_calls()
    assert breach.caught_by in said
    assert str(file.relative_to(copy.root)) in said


def test_every_contract_is_seen_to_bite(copy: Copy, contracts: linter.Linter) -> None:
    """The fences are worth what this list covers; a contract without a breach is none that was tried."""
    tried = {breach.caught_by for breach in IMPORTS}
    assert {f'name = "{name}"' for name in tried} <= set((copy.root / "pyproject.toml").read_text().splitlines())
    assert (copy.root / "pyproject.toml").read_text().count("[[tool.importlinter.contracts]]") == len(tried)


def test_once_the_breaches_are_gone_nothing_is_broken(copy: Copy, contracts: linter.Linter) -> None:
    assert contracts.broken() == set()
