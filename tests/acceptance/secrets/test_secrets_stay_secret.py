"""Whatever people do with secrets in a real stack, none of them is found afterwards where it must not be.

Passwords, codes, factors, keys, tokens, cookies and the service's own secrets are planted by `story`, used rightly and
wrongly, and then looked for in the logs of all processes, their arguments, refusals, metrics, events, the database and
the journals of both servers. What is not tried: passkeys, of which nothing secret leaves the authenticator; and, in the
files of the data folder that are there to keep them, the sandbox key and the servers' passwords.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.secrets import places
from tests.acceptance.secrets.story import EMAIL, Story
from tests.canary import Finding, Planted
from tests.docs import stack
from tests.integration.oidc import issuing
from tests.integration.oidc.issuing import Issuing

#: What the servers of the stack have for one another.
SERVERS = frozenset({"PostgreSQL's password", "NATS's password", "sandbox key"})
#: Files of the data folder that are there to keep a secret, and which.
KEEPERS = {
    "stack.json": SERVERS,
    "sandbox.key": frozenset({"sandbox key"}),
    "master.key": frozenset({"master key"}),
    "nats.password": frozenset({"NATS's password"}),
    "nats/server.conf": frozenset({"NATS's password"}),
    "postgres.passwords.json": frozenset({"PostgreSQL's password"}),
}
#: Mails have arrived where they were sent to: what is in them is their readers'.
INBOX = "mail"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuing]:
    async with issuing.running() as running:
        yield running


@asynccontextmanager
async def a_stack(folder: Path, issuer: Issuing, client_secret: str) -> AsyncIterator[dict[str, str]]:
    """A stack that says all it can say, with a provider to log in at."""
    file = folder / "oidc.toml"
    file.write_text(f"""\
[[provider]]
name = "test"
title = "Test"
issuer = "{issuer.issuer}"
client_id = "web"
client_secret = "{client_secret}"
audience = "billfold"
login = true
accept_tokens = true
""")
    running = stack.running(folder, oidc__file=str(file), oidc__allow_loopback="true", log__level="debug")
    # The issuer answers on this loop.
    environment = await asyncio.to_thread(running.__enter__)
    try:
        yield environment
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_no_secret_is_found_where_it_must_not_be(tmp_path: Path, issuer: Issuing) -> None:
    planted = Planted()
    client_secret = secrets.token_urlsafe(24)
    planted.plant("client secret", client_secret)
    async with a_stack(tmp_path, issuer, client_secret) as environment:
        data = Path(environment["BILLFOLD_DATA"])
        record = json.loads((data / "stack.json").read_text())
        plant_the_servers(planted, record, data)
        arguments = places.Arguments(record["pid"])
        story = Story.of(environment, planted)
        async with contextlib.aclosing(story):
            user = await live(story, issuer, record)
        await places.plant_what_is_sealed(planted, record["postgres_owner_dsn"], data / "master.key")
        kept: list[tuple[str, str | bytes]] = [("the arguments of a process", arguments.stop())]
        kept += places.metrics(record)
        kept += await places.tables(record["postgres_owner_dsn"])
        kept += [(f"the answer {one.status} to {one.request}", one.text) for one in story.caller.errors()]
    kept += of_roles(tmp_path / "up.log")
    assert_the_search_sees(planted, kept, data, user)
    found = [finding for place, text in kept for finding in planted.search(place, text)]
    found += in_files(planted, data)
    assert not found, "\n".join(map(str, found))


async def live(story: Story, issuer: Issuing, record: dict[str, Any]) -> str:
    """All of it, and a lost database in between; the user's id."""
    await story.registers()
    user = str((await story.caller("GET", "/users/me")).json()["id"])
    await story.logs_in()
    await story.uses_a_browser()
    await story.refreshes()
    await story.adds_a_second_factor()
    await story.logs_in_with_both()
    await story.makes_a_key()
    await story.forgets_the_password()
    await story.changes_the_password()
    await story.puts_secrets_in_wrong_places()
    await story.logs_in_elsewhere(issuer)
    await loses_the_database(story, record)
    await story.changes_addresses()
    await story.takes_an_alias()
    await story.leaves()
    return user


async def loses_the_database(story: Story, record: dict[str, Any]) -> None:
    """Logins that fail in the middle are told with more words than others."""
    os.kill(record["processes"]["postgres"], signal.SIGKILL)
    login = {"login": EMAIL, "password": story.password}
    answers = await asyncio.gather(
        *(story.caller.client.post("/api/v1/auth/login", json=login) for _ in range(5)), return_exceptions=True
    )
    for answer in answers:
        assert not isinstance(answer, BaseException), answer
        if answer.status_code == 200:
            story.planted.plant("token of half a login", answer.json()["second_factor"]["token"])
    while (await story.caller.client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - it comes back by itself.
        await asyncio.sleep(0.1)


def plant_the_servers(planted: Planted, record: dict[str, Any], data: Path) -> None:
    for role in ("postgres_dsn", "postgres_owner_dsn", "postgres_readonly_dsn"):
        password = urlsplit(record[role]).password
        assert password is not None
        planted.plant("PostgreSQL's password", password)
    planted.plant("NATS's password", record["nats_password"])
    planted.plant("sandbox key", (data / "sandbox.key").read_text().strip())


def of_roles(log: Path) -> list[tuple[str, str]]:
    """What the processes have written. The supervisor's own table shows the sandbox key, which is there to be shown."""
    lines = [line for line in log.read_text().splitlines() if " │ " in line]
    assert lines
    return [("the log", "\n".join(lines))]


def in_files(planted: Planted, data: Path) -> list[Finding]:
    """Secrets in the files of the stopped servers: the database's pages, its log, the journal of NATS."""
    found = []
    for place, content in places.files(data):
        name = Path(place.removeprefix("the file ")).relative_to(data.name)
        if name.parts[0] != INBOX:
            found += planted.search(place, content, but=KEEPERS.get(str(name), frozenset()))
    return found


def assert_the_search_sees(planted: Planted, kept: list[tuple[str, Any]], data: Path, user: str) -> None:
    """A search that finds nothing because it looks at nothing would prove nothing."""
    assert {name.partition("#")[0] for name in planted.secrets} >= {
        "API key",
        "TOTP secret",
        "access token",
        "authorization code",
        "client secret",
        "cookie billfold",
        "csrf token",
        "master key",
        "password",
        "provider's id_token",
        "recovery code",
        "refresh token",
        "registration code",
        "reset token",
        "secret password_pepper",
        "signing key",
    }
    control = Planted()
    control.plant("user", user)
    texts = dict(kept)
    assert control.search("", texts["the table identity.users"])
    assert "a mail is sent" in texts["the log"]
    assert "billfold.app.roles" in texts["the arguments of a process"]
    assert any("postgres" in line for line in texts["the arguments of a process"].splitlines())
    assert sum(place.startswith("the answer 4") for place, _ in kept) > 30
    seen = {Path(place).parts[1] for place, content in places.files(data) if control.search(place, content)}
    # The account's events in the journal of NATS, its rows in the pages of PostgreSQL.
    assert seen >= {"nats"}
    email = Planted()
    email.plant("email", EMAIL)
    assert any(email.search(place, content) for place, content in places.files(data / "postgres"))
