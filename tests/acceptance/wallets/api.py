"""The API of wallets behind a real HTTP server, and callers of it."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx2
import uvicorn

from billfold.identity.contracts import ALL_SCOPES
from billfold.identity.rest import part as identity_part
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform import web
from billfold.platform.postgres.database import Database
from billfold.platform.web.errors import Unauthorized
from billfold.platform.web.measuring import Requests
from billfold.wallets import Wallets, contracts
from billfold.wallets.adapters.balances import BalancePictures
from billfold.wallets.rest import part
from tests import facades

SCOPES = frozenset(
    [
        contracts.READ,
        contracts.WRITE,
        contracts.TRANSFERS_READ,
        contracts.HOLDS_READ,
        contracts.HOLDS_WRITE,
        contracts.LIMITS_WRITE,
        contracts.ASSETS_READ,
        contracts.ASSETS_WRITE,
        *contracts.ORDER_SCOPES.values(),
        "aliases:read",
        "aliases:write",
    ]
)


def handle() -> str:
    """One that no other test has, nor one that looks like it."""
    return "@t" + ids.new().hex[-12:].translate(str.maketrans("0123456789", "ghjknpqrst"))


class Known:
    """Knows whoever is called ada, bob or operator in any test, with the scopes that they write behind their names."""

    def __init__(self) -> None:
        self.owners: defaultdict[str, UUID] = defaultdict(ids.new)

    def remembered(self, token: bytes) -> Principal | None:
        name, _, scopes = token.decode().partition("+")
        if name.partition("-")[0] not in {"ada", "bob", "operator"}:
            return None
        granted = frozenset(scopes.split(",")) if scopes else SCOPES
        if name.startswith("operator"):
            granted |= {contracts.OPERATOR}
        return Principal(credential_id=ids.new(), owner_id=self.owners[name], scopes=granted)

    async def authenticate(self, token: bytes) -> Principal:
        raise Unauthorized(f"{token[:3]!r}… is nobody.")


class Caller:
    """One caller's way to the API. Every request that can carry an idempotency key gets a new one unless it has one."""

    def __init__(self, client: httpx2.AsyncClient, token: str) -> None:
        self._client = client
        self._token = token
        self.name = token.partition("+")[0]

    async def get(self, path: str, **parameters: str | int) -> httpx2.Response:
        # An empty mapping would take away the query that is in a link.
        return await self.request("GET", path, params=parameters or None)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        return await self.request("POST", path, json=body, headers={"idempotency-key": key or str(ids.new())})

    async def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        given = more.pop("headers", {})
        headers = [("authorization", f"Bearer {self._token}"), *(given.items() if isinstance(given, dict) else given)]
        return await self._client.request(method, _full(path), headers=headers, **more)

    @asynccontextmanager
    async def stream(self, path: str, **parameters: str | int) -> AsyncIterator[httpx2.Response]:
        headers = {"authorization": f"Bearer {self._token}"}
        async with self._client.stream("GET", _full(path), headers=headers, params=parameters) as answer:
            yield answer

    def with_scopes(self, *scopes: str) -> "Caller":
        """The same caller with a key that carries no more than these."""
        return Caller(self._client, f"{self._token}+{','.join(scopes)}")

    # What the tests do again and again.

    async def wallet(self, *, holding: str | None = None, asset: str = "USD") -> str:
        """A new wallet with so much in it."""
        made = await self.post("/wallets", {"name": "A wallet"})
        assert made.status_code == 201, made.text
        wallet: str = made.json()["id"]
        if holding is not None:
            await self.deposit(wallet, holding, asset=asset)
        return wallet

    async def deposit(self, wallet: str, amount: str, *, asset: str = "USD") -> dict[str, Any]:
        made = await self.post(f"/wallets/{wallet}/deposits", {"money": {"amount": amount, "asset": asset}})
        assert made.status_code == 201, made.text
        answer: dict[str, Any] = made.json()
        return answer

    async def pay(self, source: str, target: str, amount: str = "1.00", **more: Any) -> httpx2.Response:
        body = {"from": source, "to": target, "money": {"amount": amount, "asset": "USD"}}
        key = more.pop("key", None)
        return await self.post("/transfers", body | more, key=key)

    async def posted(self, wallet: str, asset: str = "USD") -> str:
        found = await self.get(f"/wallets/{wallet}/balance", asset=asset)
        assert found.status_code == 200, found.text
        (balance,) = found.json()["balances"]
        posted: str = balance["posted"]
        return posted


class Api:
    """A running API and its callers, who are others in every test."""

    def __init__(
        self, client: httpx2.AsyncClient, *, known: Known, database: Database, ledger: Ledger, wallets: Wallets
    ) -> None:
        self._known = known
        self.database = database
        #: What a worker would use.
        self.wallets = wallets
        self.ledger = ledger
        self.client = client
        test = ids.new()
        self.ada = Caller(client, f"ada-{test}")
        self.bob = Caller(client, f"bob-{test}")
        self.operator = Caller(client, f"operator-{test}")

    async def introduce(self, caller: Caller, display_name: str) -> None:
        """Let a caller be a person of this name."""
        owner_id = self._known.owners[caller.name]
        async with self.database.connection() as connection:
            await connection.execute(
                "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, now())", owner_id, str(owner_id)
            )
            await connection.execute(
                "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at) "
                "VALUES ($1, $2, 'en', 'UTC', now())",
                owner_id,
                display_name,
            )

    async def alias(self, caller: Caller, display_name: str = "Ada Lovelace", **more: str) -> str:
        """A new handle of a caller's, whom it introduces if nobody has yet."""
        async with self.database.connection() as connection:
            owner_id = self._known.owners[caller.name]
            known = await connection.fetchval("SELECT 1 FROM identity.users WHERE id = $1", owner_id)
        if known is None:
            await self.introduce(caller, display_name)
        made = await caller.post("/aliases", {"alias": handle()} | more)
        assert made.status_code == 201, made.text
        taken: str = made.json()["alias"]
        return taken

    async def rename(self, caller: Caller, display_name: str) -> None:
        """Let them be called otherwise."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE identity.users SET display_name = $2 WHERE id = $1",
                self._known.owners[caller.name],
                display_name,
            )

    def for_another_test(self) -> "Api":
        """The same API with new callers."""
        return Api(self.client, known=self._known, database=self.database, ledger=self.ledger, wallets=self.wallets)


@asynccontextmanager
async def running(
    database: Database, ledger: Ledger, *, balances_kept: BalancePictures | None = None
) -> AsyncIterator[Api]:
    """The API over `database` on a port of its own, until the block ends."""
    requests = Requests()
    known, identity = Known(), facades.identity(database)
    wallets = Wallets(database=database, ledger=ledger, identity=identity, balances_kept=balances_kept)
    app = web.build(
        [identity_part(identity), part(wallets)],
        authenticator=known,
        checks={},
        requests=requests,
        public_url="http://127.0.0.1",
        version="0",
        scopes=web.Scopes(every=ALL_SCOPES),
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
                yield Api(client, known=known, database=database, ledger=ledger, wallets=wallets)
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """Leaves the signals to the test runner."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _full(path: str) -> str:
    return path if path.startswith("/api/") else web.PREFIX + path
