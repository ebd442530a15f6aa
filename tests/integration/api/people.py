"""People over HTTP: they register by the code of the mail that waits to be sent to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any

import asyncpg

from billfold.kernel import ids
from billfold.platform.keys import Envelope, local
from billfold.platform.mail.queue import Mail
from billfold.platform.mail.rendering import Renderer
from tests import master_keys, servers
from tests.integration.api.support import ApiServer, Caller

PASSWORD = "correct horse battery staple"
RENDERER = Renderer(packages=["billfold.identity"], sender=Address("Billfold", "no-reply", "billfold.example"))


@dataclass
class Post:
    """Reads the mail that waits to be sent, as it will be sent."""

    dsn: str
    envelope: Envelope

    async def values(self, to: str) -> list[dict[str, str]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(
                "SELECT id, recipient, template, locale, sealed, created_at, attempts FROM mail.queue "
                "WHERE recipient = $1 ORDER BY id",
                to,
            )
        finally:
            await connection.close()
        found = []
        for row in rows:
            values = json.loads(await self.envelope.open(row["sealed"], context=f"mail/{row['id']}"))
            for locale in ("en", "th"):
                RENDERER.render(Mail(**{**row, "locale": locale, "age_s": 0.0}), values)
            found.append({**values, "template": row["template"]})
        return found

    async def last(self, to: str, name: str) -> str:
        return [values[name] for values in await self.values(to) if name in values][-1]


def post_of(database: servers.TestDatabase) -> Post:
    """The mail of an API on this database."""
    return Post(database.app_dsn, Envelope(local.load(master_keys.shared())))


async def registered(api_server: ApiServer, post: Post, **more: Any) -> tuple[str, Caller]:
    """Somebody new, who is logged in."""
    email, nobody = f"{ids.new().hex}@example.com", api_server.caller(None)
    asked = nobody.post("/auth/register", {"email": email, "password": PASSWORD, "display_name": "Ada Lovelace"})
    assert asked.status_code == 202, asked.text
    body = {"id": asked.json()["id"], "code": await post.last(email, "code")}
    answer = nobody.post("/auth/verify", body | more)
    assert answer.status_code == 200, answer.text
    return email, api_server.caller(answer.json().get("access_token"))
