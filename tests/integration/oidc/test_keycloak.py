"""Access tokens of a real Keycloak at the API as it is run."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from billfold.identity import errors
from billfold.identity.contracts import Provider
from billfold.identity.domain.providers import SKEW_S
from billfold.platform import host
from billfold.platform.postgres.database import Database
from tests import keycloak, servers
from tests.integration.api import support
from tests.integration.identity.people import HandClock
from tests.integration.oidc.conftest import trusting


@pytest.fixture(scope="module")
def keycloak_api_server(
    oidc_database: servers.TestDatabase,
    keycloak_server: keycloak.KeycloakServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[support.ApiServer]:
    folder = tmp_path_factory.mktemp("api")
    file = keycloak_server.provider_file(folder)
    with support.running_api(oidc_database, folder, oidc__file=str(file), oidc__allow_loopback="true") as server:
        yield server


def provider(issuer: str, *, audience: str = "billfold", services: frozenset[str] = frozenset()) -> Provider:
    return Provider(
        name="keycloak",
        title="Keycloak",
        issuer=issuer,
        client_id=keycloak.CLIENT,
        client_secret=keycloak.CLIENT_SECRET,
        audience=audience,
        services=services or frozenset({keycloak.SERVICE}),
        accept_tokens=True,
    )


async def test_a_program_moves_its_own_money_and_nobody_elses(
    keycloak_api_server: support.ApiServer,
    keycloak_server: keycloak.KeycloakServer,
    oidc_database: servers.TestDatabase,
) -> None:
    operator = keycloak_api_server.caller(await support.bootstrapped(oidc_database))
    operator.post("/assets", {"code": "USD", "scale": 2, "kind": "fiat", "name": "US dollar"})
    theirs = operator.post("/wallets", {"name": "Vault"}).json()
    program = keycloak_api_server.caller(keycloak_server.service_token())
    mine = [program.post("/wallets", {"name": name}) for name in ("Till", "Reserve")]
    assert [answer.status_code for answer in mine] == [201, 201], mine[0].text
    till, reserve = (answer.json()["id"] for answer in mine)
    money = {"money": {"amount": "10.00", "asset": "USD"}}
    assert program.post(f"/wallets/{till}/deposits", money).status_code == 201
    moved = program.post("/transfers", {"from": till, "to": reserve, **money})
    assert moved.status_code == 201, moved.text
    for answer in (
        program.get(f"/wallets/{theirs['id']}"),
        program.post("/transfers", {"from": theirs["id"], "to": till, **money}),
        program.post(f"/wallets/{theirs['id']}/deposits", money),
    ):
        assert answer.status_code in {403, 404}, answer.text
    assert program.get("/api-keys").json()["code"] == "missing_scope"
    assert program.get("/users/me").status_code == 403
    # Another token of the same program has the same wallets.
    again = keycloak_api_server.caller(keycloak_server.service_token())
    assert {wallet["id"] for wallet in again.get("/wallets").json()["items"]} == {till, reserve}


def test_a_token_that_was_tampered_with_is_refused(
    keycloak_api_server: support.ApiServer, keycloak_server: keycloak.KeycloakServer
) -> None:
    head, claims, signature = keycloak_server.service_token().split(".")
    for token in (f"{head}.{claims}.{signature[:-4]}AAAA", f"{head}.{claims[:-2]}AA.{signature}", f"{head}.{claims}."):
        answer = keycloak_api_server.caller(token).get("/wallets")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_token_for_another_audience_is_refused(
    keycloak_server: keycloak.KeycloakServer, database: Database
) -> None:
    identity = trusting(database, provider(keycloak_server.issuer, audience="shop"))
    with pytest.raises(errors.ProviderTokenInvalid, match="not for shop"):
        await identity.authenticate(keycloak_server.service_token().encode())


async def test_the_same_keycloak_by_another_name_is_another_issuer(
    keycloak_server: keycloak.KeycloakServer, database: Database
) -> None:
    identity = trusting(database, provider(keycloak_server.issuer))
    token = keycloak_server.service_token(issuer=keycloak_server.issuer.replace("127.0.0.1", "localhost"))
    with pytest.raises(errors.CredentialsInvalid):
        await identity.authenticate(token.encode())


async def test_a_token_that_has_expired_is_refused(
    keycloak_server: keycloak.KeycloakServer, database: Database
) -> None:
    token, clock = keycloak_server.service_token().encode(), HandClock()
    identity = trusting(database, provider(keycloak_server.issuer), clock=clock)
    await identity.authenticate(token)
    # The realm's tokens are good for five minutes.
    clock.go_on(seconds=300 + SKEW_S + 60)
    deadline = time.monotonic() + 60
    with pytest.raises(errors.ProviderTokenInvalid, match="expired"):
        while time.monotonic() < deadline:
            await identity.authenticate(token)
            await asyncio.sleep(0.1)


async def test_tokens_of_a_new_key_are_taken_as_soon_as_keycloak_signs_with_it(
    keycloak_server: keycloak.KeycloakServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billfold.identity.adapters.published.RENEWED_EVERY_S", 0.0)
    identity = trusting(database, provider(keycloak_server.issuer))
    old = keycloak_server.service_token()
    before = await identity.authenticate(old.encode())
    realm = keycloak_server.admin("GET", "").json()["id"]
    added = keycloak_server.admin(
        "POST",
        "/components",
        {
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm,
            "config": {"priority": ["500"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
        },
    )
    try:
        new = keycloak_server.service_token()
        assert new.partition(".")[0] != old.partition(".")[0]
        assert await identity.authenticate(new.encode()) == before
        # The old key is still published, so its tokens are good until they end.
        assert await trusting(database, provider(keycloak_server.issuer)).authenticate(old.encode()) == before
    finally:
        keycloak_server.admin("DELETE", f"/components/{added.headers['location'].rpartition('/')[2]}")


async def test_keycloak_is_asked_about_a_token_that_can_not_be_read(
    keycloak_server: keycloak.KeycloakServer, database: Database
) -> None:
    asking = Provider(
        name="keycloak",
        title="Keycloak",
        issuer=keycloak_server.issuer,
        client_id=keycloak.CLIENT,
        client_secret=keycloak.CLIENT_SECRET,
        audience="billfold",
        accept_tokens=True,
        introspect=True,
    )
    with pytest.raises(errors.ProviderTokenInvalid, match="does not know"):
        await trusting(database, asking).authenticate(b"opaque")


@contextlib.asynccontextmanager
async def reached_by(port: int, target: int) -> AsyncIterator[None]:
    """Whatever comes to the one port goes to the other: a network between us and Keycloak that can fail."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def test_while_keycloak_is_down_known_keys_serve_and_unknown_tokens_are_not_called_wrong(
    keycloak_server: keycloak.KeycloakServer, database: Database
) -> None:
    port = host.free_port()
    issuer = f"http://127.0.0.1:{port}/realms/{keycloak.REALM}"
    identity = trusting(database, provider(issuer))
    async with reached_by(port, keycloak_server.port):
        tokens = [await asyncio.to_thread(keycloak_server.service_token, issuer=issuer) for _ in range(2)]
        known = await identity.authenticate(tokens[0].encode())
    assert (await identity.authenticate(tokens[1].encode())).owner_id == known.owner_id
    with pytest.raises(errors.ProviderUnavailable):
        await trusting(database, provider(issuer)).authenticate(tokens[0].encode())
