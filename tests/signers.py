"""A signer for tests: on a database of its own, and with a chain so small that its rules can be seen."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from billfold.app.migrate import SIGNER_SETS
from billfold.chains.errors import AddressInvalid, PayloadRefused
from billfold.chains.port import Network, Payment, Signed
from billfold.chains.signing_port import Place, Purpose, Shown
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.keys import Keyring, KeysUnavailable, local
from billfold.platform.keys.envelope import Provider
from billfold.platform.postgres import cluster
from billfold.platform.postgres.database import Database
from billfold.signer import Signer, errors
from billfold.signer.contracts import Expected, SigningService
from billfold.signer.service.chains import Chains, Tools
from tests import master_keys, servers

NEW_ID = ids.new
HOT = Place(purpose="hot", index=0)
START = datetime(2026, 11, 1, tzinfo=UTC)


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """A transaction of the tiny chain: JSON."""

    network: str
    sources: list[str]
    payments: list[Payment] = []
    fee: int = 10


class TinyKeys:
    """An address is a hash of the seed and the place."""

    def path(self, place: Place, *, network: Network) -> str:
        return f"{network}/{place.purpose}/{place.index}"

    def addresses(self, seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
        return [sha256(seed + f"{network}{purpose}{n}".encode()).hexdigest()[:40] for n in range(first, first + count)]

    def public(self, seed: bytes, *, network: Network) -> str | None:
        return f"tpub-{network}-" + sha256(b"public" + seed).hexdigest()[:20]


class TinySigning:
    """A signature is a keyed hash."""

    def read(self, payload: bytes, *, network: Network) -> Shown:
        try:
            text = msgspec.json.decode(payload, type=Text)
        except msgspec.DecodeError as error:
            raise PayloadRefused from error
        if text.network != network:
            raise PayloadRefused("It is of another network.")
        if text.fee == -1:
            raise RuntimeError("a defect that tells " + payload.hex())
        return Shown(sources=text.sources, payments=text.payments, fee_max=text.fee)

    def sign(self, payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
        if b"unsignable" in payload:
            raise PayloadRefused("No key signs this.")
        parts = [hmac.digest(seed, f"{network}{places[a]}".encode() + payload, "sha256") for a in sorted(places)]
        return Signed(raw=payload + b"|" + b"".join(parts), chain_tx=sha256(payload).hexdigest())

    def destination(self, text: str, *, network: Network) -> str:  # noqa: ARG002 - the port has it
        if " " in text:
            raise AddressInvalid
        return text.lower()

    def claim(self, text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:
        return hmac.digest(seed, f"{network}{place}{address}{text}".encode(), "sha256").hex()


#: `tiny`, and whatever begins so, has accounts; `bitcoin` stands for chains with coins.
TINY = Tools(TinyKeys(), TinySigning())


def tiny(chain: str) -> Tools:
    if not chain.startswith("tiny") and chain != "bitcoin":
        raise errors.ChainNotSigned
    return TINY


class SetClock:
    """A clock that tests set. Each begins long after all that were there before, as if nothing had left for a year."""

    _years = itertools.count()

    def __init__(self) -> None:
        self.time = START + timedelta(days=365 * next(self._years))

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class SignerDatabase(NamedTuple):
    """A database as the signer's migrations make it, and how each role would connect to it."""

    dsn: str
    owner_dsn: str
    app_dsn: str
    readonly_dsn: str
    name: str


def create_database(server: servers.PostgresServer) -> SignerDatabase:
    return _of(server, server.create_database(SIGNER_SETS, entered_by=(cluster.SIGNER,)))


def migrated_database(server: servers.PostgresServer) -> SignerDatabase:
    """One whose doors nothing but the migrations has closed."""
    found = server.create_database()
    server.migrate(found.owner_dsn, SIGNER_SETS)
    return _of(server, found)


def _of(server: servers.PostgresServer, found: servers.TestDatabase) -> SignerDatabase:
    dsn = server.embedded.dsn(cluster.SIGNER, database=found.name)
    return SignerDatabase(dsn, found.owner_dsn, found.app_dsn, found.readonly_dsn, found.name)


def keyring(provider: Provider | None = None) -> Keyring:
    return Keyring({"local": provider or local.load(master_keys.shared())}, sealing="local")


class Away(local.LocalProvider):
    """Master keys that nobody gets at now."""

    def __init__(self) -> None:
        super().__init__({bytes(8): bytes(32)})

    async def wrap(self, _key: bytes, _context: bytes) -> bytes:
        raise KeysUnavailable

    async def unwrap(self, _wrapped: bytes, _context: bytes) -> bytes:
        raise KeysUnavailable


@asynccontextmanager
async def started(
    dsn: str, *, clock: Clock | None = None, ring: Keyring | None = None, chains: Chains = tiny
) -> AsyncIterator[Signer]:
    database = await Database.connect(dsn, name="test")
    try:
        yield Signer.start(database=database, keyring=ring or keyring(), chains=chains, clock=clock or SetClock())
    finally:
        await database.close()


class Wallet:
    """A tree of the tiny chain, and what is done with it again and again."""

    def __init__(self, signer: SigningService, tree_id: UUID, network: Network, chain: str) -> None:
        self.signer = signer
        self.id = tree_id
        self.network = network
        self.chain = chain

    @classmethod
    async def made(cls, signer: Signer, *, network: Network = "sandbox", chain: str = "tiny") -> Wallet:
        tree = await signer.create(tree_id=NEW_ID(), chain=chain, network=network)
        return cls(signer, tree.id, network, chain)

    async def told(self) -> list[dict[str, Any]]:
        """The lines of the log that tell of this tree."""
        return [line for line in await self.lines() if line.get("tree") == str(self.id)]

    async def lines(self) -> list[dict[str, Any]]:
        """All lines of the log."""
        assert isinstance(self.signer, Signer), "the log is read at the signer's own machine"
        lines: list[dict[str, Any]] = []
        while more := await self.signer.log(first=len(lines)):
            lines += [msgspec.json.decode(line.content) for line in more]
        return lines

    async def decisions(self) -> list[str]:
        """What was done with this tree."""
        return [line["decision"] for line in await self.told()]

    async def at(self, purpose: Purpose, index: int = 0) -> str:
        return (await self.signer.addresses(tree_id=self.id, purpose=purpose, first=index, count=1))[0]

    async def pay(
        self,
        *payments: Payment,
        fee: int = 10,
        request_id: UUID | None = None,
        expected: Expected | None = None,
        source: Place = HOT,
        own: tuple[Place, ...] = (),
    ) -> Signed:
        """Have a transaction signed that pays these from `source`; `own` are further places that are told."""
        places = {await self.at(place.purpose, place.index): place for place in (source, *own)}
        address = await self.at(source.purpose, source.index)
        return await self.signer.sign(
            request_id=request_id or NEW_ID(),
            tree_id=self.id,
            payload=self.payload(address, *payments, fee=fee),
            places=places,
            expected=expected or Expected(payments=payments, fee_max=fee),
        )

    def payload(self, source: str, *payments: Payment, fee: int = 10) -> bytes:
        text = Text(network=self.network, sources=[source], payments=list(payments), fee=fee)
        return msgspec.json.encode(text)


async def as_owner(database: SignerDatabase, sql: str) -> None:
    """What somebody might do who has taken over the database."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
