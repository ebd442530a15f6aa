"""The WebSocket: who gets in, what is said, and what ends it."""

from __future__ import annotations

import socket

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from billfold.identity.contracts import Grant
from tests.integration.notifications.support import Town, tell

POSTED = "transfer.posted.v1"
#: What a client of the protocol sends to begin.
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_what_is_subscribed_to_arrives_until_it_is_unsubscribed(town: Town) -> None:
    ada, bob = await town.world.login("user"), await town.world.login("user")
    async with town.socket(ada.token) as mine, town.socket(bob.token) as theirs:
        answer = await mine.ask(type="subscribe", topics=["transactions"], id="a")
        assert answer == {"type": "subscribed", "id": "a", "topics": ["transactions"]}
        await theirs.ask(type="subscribe", topics=["balances", "transactions", "requests", "wallets", "security"])
        wallet = await town.world.wallet(ada.user_id)
        event = await mine.event()
        assert (event["type"], event["data"]["entries"][0]["wallet"]) == (POSTED, wallet)
        answer = await mine.ask(type="unsubscribe", topics=["transactions"])
        assert answer["topics"] == []
        await mine.ask(type="subscribe", topics=["wallets"])
        await town.world._deposit(wallet)
        another = await town.world.wallet(ada.user_id)
        created = await mine.event()
        assert (created["type"], created["subject"]) == ("wallet.created.v1", another)
        # Bob hears of his own things alone.
        own = await town.world.wallet(bob.user_id)
        while (heard := await theirs.event())["type"] != POSTED:
            assert wallet not in str(heard)
        assert heard["data"]["entries"][0]["wallet"] == own


async def test_whoever_comes_again_goes_on_where_they_were(town: Town) -> None:
    ada = await town.world.login("user")
    wallet = await town.world.wallet(ada.user_id)
    async with town.listener(ada.token, after="0") as listener:
        await listener.until(lambda: POSTED in [event["type"] for event in listener.events])
    async with town.socket(ada.token) as talker:
        await talker.ask(type="subscribe", topics=["transactions", "wallets"], after=0)
        assert [(await talker.event())["subject"] for _ in range(2)] == [wallet, listener.events[-1]["subject"]]
        later = await town.world._deposit(wallet)
        assert (await talker.event())["subject"] == later
        answer = await talker.ask(type="subscribe", topics=["balances"], after=0)
        assert answer["code"] == "after_too_late"
    async with town.socket(ada.token) as talker:
        assert (await talker.ask(type="subscribe", topics=["wallets"], after=10**6))["code"] == "position_unknown"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", "message_unreadable"),
        ("[]", "message_unreadable"),
        ("[" * 5_000, "message_unreadable"),
        ('{"type": "shout"}', "message_type_unknown"),
        ('{"type": 7}', "message_type_unknown"),
        ("{}", "message_type_unknown"),
        ('{"type": "subscribe"}', "message_unreadable"),
        ('{"type": "subscribe", "topics": []}', "message_unreadable"),
        ('{"type": "subscribe", "topics": ["balances"], "owner": "somebody"}', "message_unreadable"),
        ('{"type": "subscribe", "topics": ["balances"], "after": -1}', "message_unreadable"),
        ('{"type": "subscribe", "topics": ["balances/another-owner"]}', "topic_unknown"),
        (b"\x00", "message_unreadable"),
    ],
)
async def test_what_can_not_be_understood_is_answered_and_the_connection_goes_on(
    town: Town, said: str | bytes, code: str
) -> None:
    ada = await town.world.login("user")
    async with town.socket(ada.token) as talker:
        await talker.connection.send(said)
        answer = await talker.hear()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert await talker.ask(type="ping", id="still here") == {"type": "pong", "id": "still here"}


async def test_whoever_does_not_say_who_they_are_is_closed(town: Town) -> None:
    for first, code, reason in (
        ({"type": "authenticate", "token": "bf_live_nonsense"}, 4401, "unauthorized"),
        ({"type": "authenticate"}, 4401, "unauthorized"),
        ({"type": "subscribe", "topics": ["balances"]}, 4401, "not_authenticated"),
        ({"type": "shout"}, 4400, "message_type_unknown"),
    ):
        async with town.socket(None) as talker:
            assert (await talker.ask(**first))["code"] == reason
            assert await talker.closed() == (code, reason)
    async with town.socket(None) as silent:
        assert (await silent.hear())["code"] == "not_authenticated"
        assert await silent.closed() == (4401, "not_authenticated")


async def test_credentials_choose_the_topics_that_can_be_heard(town: Town) -> None:
    owner = await town.world.person("user")
    grant = Grant(owner_id=owner, name="A key", scopes=frozenset({"wallets:read"}))
    made, _ = await town.world.identity.keys.create_key(by=None, grant=grant)
    async with town.socket(made.key) as talker:
        assert (await talker.ask(type="subscribe", topics=["security"]))["code"] == "missing_scope"
        assert (await talker.ask(type="subscribe", topics=["balances"]))["type"] == "subscribed"


async def test_credentials_are_renewed_and_end_with_what_they_are_for(town: Town) -> None:
    ada, bob = await town.world.login("user"), await town.world.login("user")
    made, _ = await town.world.identity.keys.create_key(
        by=None, grant=Grant(owner_id=ada.user_id, name="A key", scopes=frozenset({"wallets:read"}))
    )
    async with town.socket(ada.token) as talker, town.socket(ada.token) as stranger:
        await talker.ask(type="subscribe", topics=["balances"])
        assert (await talker.ask(type="authenticate", token=made.key))["type"] == "ready"
        assert (await stranger.ask(type="authenticate", token=bob.token))["code"] == "not_authenticated"
        assert (await stranger.closed())[0] == 4401
        assert (await town.request("POST", "/auth/logout", ada.token)).status_code == 204
        wallet = await town.world.wallet(ada.user_id)
        assert (await talker.event())["data"]["entries"][0]["wallet"] == wallet
        async with town.world._database.connection() as connection:
            await connection.execute("UPDATE identity.users SET closed_at = now() WHERE id = $1", ada.user_id)
        assert (await talker.hear())["code"] == "unauthorized"
        assert await talker.closed() == (4401, "unauthorized")


async def test_whoever_is_given_another_role_is_cut_off_from_what_it_does_not_see(town: Town) -> None:
    ada = await town.world.login("treasurer")
    async with town.socket(ada.token) as talker:
        await talker.ask(type="subscribe", topics=["balances"])
        async with town.world._database.connection() as connection:
            await connection.execute("UPDATE identity.users SET roles = '{user}' WHERE id = $1", ada.user_id)
        assert (await talker.hear())["code"] == "missing_scope"
        assert await talker.closed() == (4403, "missing_scope")


async def test_too_large_and_too_many_messages_end_it(town: Town) -> None:
    ada = await town.world.login("user")
    async with town.socket(ada.token) as talker:
        await talker.connection.send("x" * 20_000)
        assert (await talker.closed())[0] == 1009
    async with town.socket(ada.token) as talker:
        for _ in range(70):
            await talker.say(type="ping")
        while (heard := await talker.hear())["type"] == "pong":
            pass
        assert heard["code"] == "too_many_messages"
        assert await talker.closed() == (4429, "too_many_messages")


async def test_pages_of_other_sites_open_nothing(town: Town) -> None:
    url = f"{town.url.replace('http', 'ws', 1)}/api/v1/ws"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, proxy=None, additional_headers={"origin": "https://evil.example"}):
            pass
    response = refused.value.response
    assert response.status_code == 403
    assert msgspec.json.decode(response.body or b"")["code"] == "cross_site"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"]


async def test_a_cookie_opens_it_for_our_own_pages_alone(town: Town) -> None:
    ada = await town.world.login("user")
    cookie = {"cookie": f"billfold={ada.token}"}
    async with town.socket(None, additional_headers={**cookie, "origin": town.url}) as own:
        assert (await own.ask(type="authenticate"))["type"] == "ready"
    async with town.socket(None, additional_headers=cookie) as nobody:
        assert (await nobody.ask(type="authenticate"))["code"] == "cross_site"
        assert await nobody.closed() == (4403, "cross_site")


async def test_what_is_no_websocket_is_told_to_be_one_and_no_other_path_becomes_one(town: Town) -> None:
    for changed in ({}, {**UPGRADE, "sec-websocket-version": "8"}, {**UPGRADE, "sec-websocket-key": "short"}):
        answer = await town.request("GET", "/ws", headers=changed)
        assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["cache-control"] == "no-store"
    for path in ("/wallets", "/nothing"):
        answer = await town.request("GET", path, headers=UPGRADE)
        assert answer.status_code in (401, 404)


async def test_whoever_reads_too_slowly_is_cut_off_with_a_code_and_nobody_else_is(town: Town) -> None:
    ada = await town.world.login("user")
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, _, port = town.url.removeprefix("http://").partition(":")
        small.connect((host, int(port)))
        small.setblocking(False)  # noqa: FBT003 - it takes it so.
        async with town.socket(ada.token, sock=small, max_queue=1) as slow, town.socket(ada.token) as quick:
            for talker in (slow, quick):
                await talker.ask(type="subscribe", topics=["transactions"])
            while "slow_reader" not in await town.metrics():
                told = await tell(town.world, ada.user_id, count=50, padding=32 * 1024)
                assert [(await quick.event())["subject"] for _ in told] == told
            with pytest.raises(ConnectionClosed):
                while True:
                    await slow.hear()
            assert await slow.closed() == (4408, "slow_reader")
