"""The API in this process, with providers to log in at, reached as a browser reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from billfold.identity import Identity, OtherProviders, contracts
from billfold.identity import rest as identity_rest
from billfold.identity.contracts import Provider
from billfold.platform import host, web
from billfold.platform.fetching import Fetcher
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.web import server
from billfold.platform.web.measuring import Requests
from tests import facades, master_keys

CALL_TIMEOUT_S = 60.0


@dataclass
class Serving:
    """A running API."""

    url: str
    identity: Identity
    database: Database
    mails: list[dict[str, Any]]

    def browser(self) -> httpx2.AsyncClient:
        """Something that keeps cookies as a browser does, and follows nothing by itself."""
        return httpx2.AsyncClient(base_url=self.url, timeout=CALL_TIMEOUT_S, headers={"accept": "application/json"})

    async def row(self, sql: str, *values: Any) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchrow(sql, *values)


class Kept:
    """Mails that nobody sends."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []

    async def append(
        self, _connection: Connection, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        self.mails.append({"template": template, "to": to, "locale": locale, **values})


@asynccontextmanager
async def running(database: Database, folder: Path, providers: Sequence[Provider]) -> AsyncIterator[Serving]:
    """An API on a free port until the block ends."""
    port = host.free_port()
    url = f"http://127.0.0.1:{port}"
    kept = Kept()
    identity = facades.identity(
        database,
        envelope=Envelope(local.load(master_keys.file_in(folder))),
        mail=kept,
        providers=OtherProviders(configured=providers, fetcher=Fetcher(loopback=True), public_url=url),
    )
    app = web.build(
        [identity_rest.part(identity)],
        authenticator=identity_rest.Bearer(identity),
        checks={},
        requests=Requests(),
        public_url=url,
        version="0",
        scopes=web.Scopes(every=contracts.ALL_SCOPES, personal=contracts.PERSONAL),
    )
    running = uvicorn.Server(server.config(app, host="127.0.0.1", port=port))
    # It would take the signals of the whole test run.
    task = asyncio.create_task(running._serve())
    try:
        while not running.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        yield Serving(url, identity, database, kept.mails)
    finally:
        running.should_exit = True
        await task
        identity.close()
