"""The stream of events: what arrives, whose it is, and when it ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2

from billfold.identity.contracts import Grant
from billfold.kernel import ids
from tests import servers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.api.world import Login
from tests.integration.notifications.support import DEADLINE_S, Listener, Town, tell, until

POSTED = "transfer.posted.v1"


async def pay(town: Town, payer: Login, source: str, target: str, amount: str = "1.00") -> str:
    """A transfer over the API."""
    body = {"from": source, "to": target, "money": {"amount": amount, "asset": "USD"}}
    answer = await town.request(
        "POST", "/transfers", payer.token, json=body, headers={"idempotency-key": str(ids.new())}
    )
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def of_type(listener: Listener, kind: str) -> list[dict[str, object]]:
    return [event for event in listener.events if event["type"] == kind]


async def test_what_happens_to_ones_things_arrives_and_nobody_elses(town: Town) -> None:
    ada, bob = await town.world.login("user"), await town.world.login("user")
    async with town.listener(ada.token) as to_ada, town.listener(bob.token) as to_bob:
        wallet = await town.world.wallet(ada.user_id)
        other = await town.world.wallet(bob.user_id)
        await to_ada.until(lambda: bool(of_type(to_ada, POSTED)))
        await to_bob.until(lambda: bool(of_type(to_bob, POSTED)))
    (posted,) = of_type(to_ada, POSTED)
    assert posted["data"]["entries"] == [  # type: ignore[index]
        {"wallet": wallet, "direction": "in", "balance": "1000.00", "version": 1, "counterparty": "outside"}
    ]
    assert wallet not in str(to_bob.events)
    assert other not in str(to_ada.events)


async def test_both_sides_of_a_transfer_hear_of_it_and_neither_learns_the_others_balance(town: Town) -> None:
    ada, bob = await town.world.login("user"), await town.world.login("user")
    mine, theirs = await town.world.wallet(ada.user_id), await town.world.wallet(bob.user_id)
    async with town.listener(ada.token) as to_ada, town.listener(bob.token) as to_bob:
        paid = await pay(town, ada, mine, theirs, "12.34")
        await to_ada.until(lambda: paid in to_ada.ids)
        await to_bob.until(lambda: paid in to_bob.ids)
    (sent,) = [event["data"] for event in to_ada.events if event["subject"] == paid]
    (got,) = [event["data"] for event in to_bob.events if event["subject"] == paid]
    assert [(one["wallet"], one["balance"]) for one in sent["entries"]] == [(mine, "987.66")]
    assert [(one["wallet"], one["balance"]) for one in got["entries"]] == [(theirs, "1012.34")]
    assert "1012.34" not in str(sent)
    assert "987.66" not in str(got)
    async with town.world._database.connection() as connection:
        accounts = await connection.fetch("SELECT account_id FROM wallets.accounts")
    assert not [row for row in accounts if str(row["account_id"]) in str(sent) + str(got)]


async def test_a_transfer_between_ones_own_wallets_is_heard_once(town: Town) -> None:
    ada = await town.world.login("user")
    one, two = await town.world.wallet(ada.user_id), await town.world.wallet(ada.user_id)
    async with town.listener(ada.token) as listener:
        paid, last = await pay(town, ada, one, two), await pay(town, ada, two, one)
        await listener.until(lambda: last in listener.ids)
    (told,) = [event["data"] for event in listener.events if event["subject"] == paid]
    assert [(entry["wallet"], entry["direction"]) for entry in told["entries"]] == [(one, "out"), (two, "in")]


async def test_whoever_comes_again_goes_on_where_they_were(town: Town) -> None:
    ada = await town.world.login("user")
    wallet = await town.world.wallet(ada.user_id)
    async with town.listener(ada.token) as listener:
        first = await town.world._deposit(wallet)
        await listener.until(lambda: first in listener.ids)
    assert listener.last_id is not None
    missed = [await town.world._deposit(wallet) for _ in range(130)]
    async with town.listener(ada.token, after=listener.last_id) as again:
        await again.until(lambda: len(again.events) >= len(missed))
        later = await town.world._deposit(wallet)
        await again.until(lambda: later in again.ids)
    assert again.ids == [*missed, later]
    positions = [event["position"] for event in listener.events + again.events]
    assert positions == list(range(positions[0], positions[0] + len(positions)))


async def test_credentials_hear_of_what_they_may_see_and_of_nothing_else(town: Town) -> None:
    owner = await town.world.person("user")
    grant = Grant(owner_id=owner, name="A key", scopes=frozenset({"wallets:read"}))
    made, _ = await town.world.identity.keys.create_key(by=None, grant=grant)
    assert made.key is not None
    async with town.listener(made.key) as listener:
        await town.world.key_id(owner)
        await town.world.session_id(owner)
        wallet = await town.world.wallet(owner)
        await listener.until(lambda: bool(of_type(listener, POSTED)))
    assert {event["type"] for event in listener.events} == {"wallet.created.v1", POSTED}
    assert wallet in str(listener.events)
    refused = await town.request("GET", "/stream?topics=security", made.key)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    listed = (await town.request("GET", "/events?limit=100", made.key)).json()["items"]
    assert {event["type"] for event in listed} == {"wallet.created.v1", POSTED}


async def test_topics_choose_what_is_heard(town: Town) -> None:
    ada = await town.world.login("user")
    async with town.listener(ada.token, topics="transactions") as listener:
        await town.world.wallet(ada.user_id)
        await listener.until(lambda: bool(listener.events))
    assert {event["type"] for event in listener.events} == {POSTED}


async def test_a_position_that_is_none_is_refused(town: Town) -> None:
    ada = await town.world.login("user")
    for question, header in (("?after=999", {}), ("", {"last-event-id": "999"}), ("", {"last-event-id": "x"})):
        answer = await town.request("GET", f"/stream{question}", ada.token, headers=header)
        assert (answer.status_code, answer.json()["code"]) == (422, "position_unknown")
    answer = await town.request("GET", "/stream?topics=weather", ada.token)
    assert (answer.status_code, answer.json()["code"]) == (422, "topic_unknown")


async def test_what_is_not_kept_any_more_is_said_to_be_gone(town: Town) -> None:
    ada = await town.world.login("user")
    await town.world.wallet(ada.user_id)
    async with town.listener(ada.token, after="0") as listener:
        await listener.until(lambda: bool(of_type(listener, POSTED)))
    async with town.world._database.transaction() as connection:
        await connection.execute("DELETE FROM notifications.feed WHERE owner_id = $1 AND position = 1", ada.user_id)
        await connection.execute("UPDATE notifications.owners SET forgotten = 1 WHERE owner_id = $1", ada.user_id)
    for path in ("/stream?after=0", "/events?after=0"):
        answer = await town.request("GET", path, ada.token)
        assert (answer.status_code, answer.json()["code"]) == (410, "events_forgotten")
    async with town.listener(ada.token, after="1") as again:
        await again.until(lambda: bool(again.events))
    assert again.events[0]["position"] == 2


async def test_a_stream_ends_with_its_session_and_with_its_key(town: Town) -> None:
    ada = await town.world.login("user")
    grant = Grant(owner_id=ada.user_id, name="A key", scopes=frozenset({"wallets:read"}))
    made, _ = await town.world.identity.keys.create_key(by=None, grant=grant)
    assert made.key is not None
    async with town.listener(ada.token) as by_session, town.listener(made.key) as by_key:
        answer = await town.request("DELETE", f"/api-keys/{made.id}", ada.token)
        assert answer.status_code in (200, 204), answer.text
        await by_key.until(lambda: by_key.end is not None)
        assert by_session.is_open
        answer = await town.request("POST", "/auth/logout", ada.token)
        assert answer.status_code == 204, answer.text
        await by_session.until(lambda: by_session.end is not None)
    assert by_key.end is not None
    assert by_session.end is not None
    assert (by_key.end["code"], by_session.end["code"]) == ("unauthorized", "unauthorized")


async def test_nobody_has_more_streams_than_they_may(town: Town) -> None:
    ada, bob = await town.world.login("user"), await town.world.login("user")
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(town.listener(ada.token))
        refused = await town.request("GET", "/stream", ada.token)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        await stack.enter_async_context(town.listener(bob.token))

    # They are free again as soon as the server has seen that nobody reads them.
    async def is_free() -> bool:
        return (await town.request("HEAD", "/stream", ada.token)).status_code == 200

    await until(is_free)


async def test_a_stream_has_the_headers_of_every_answer_and_a_head(town: Town) -> None:
    ada = await town.world.login("user")
    head = await town.request("HEAD", "/stream", ada.token)
    assert head.status_code == 200
    assert head.headers["content-type"] == "text/event-stream"
    assert head.headers["x-content-type-options"] == "nosniff"
    assert head.headers["cache-control"] == "no-store"
    assert head.headers["x-request-id"]
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {ada.token}"}, timeout=DEADLINE_S) as client,
        client.stream("GET", f"{town.url}/api/v1/stream") as answer,
    ):
        lines = aiter(answer.aiter_lines())
        begin = [await anext(lines) for _ in range(3)]
    assert (begin[0], begin[1].partition(" ")[0], begin[2]) == ("retry: 2000", "id:", "event: ready")


async def test_a_process_has_no_more_streams_than_it_takes_and_ends_them_when_it_stops(
    whole_database: servers.TestDatabase, tmp_path: Path
) -> None:
    with api.running_api(whole_database, tmp_path, live__streams="2", limits__anonymous_per_minute="0") as server:
        async with world.beside(whole_database, issuer=server.url) as made:
            town = Town(server.url, server.metrics_url, made, whole_database)
            ada, bob = await made.login("user"), await made.login("user")
            async with town.listener(ada.token) as one, town.socket(bob.token) as other:
                refused = await town.request("GET", "/stream", ada.token)
                assert (refused.status_code, refused.json()["code"]) == (503, "streams_full")
                stopping = asyncio.create_task(asyncio.to_thread(server.stop))
                assert (await other.closed())[0] == 1012
                await one.until(lambda: not one.is_open)
                assert await stopping == 0
    assert "Traceback" not in server.log


async def test_two_hundred_listen_at_once(whole_database: servers.TestDatabase, tmp_path: Path) -> None:
    settings = {"live__streams_of_owner": "200", "limits__anonymous_per_minute": "0"}
    with api.running_api(whole_database, tmp_path, **settings) as server:
        async with world.beside(whole_database, issuer=server.url) as made:
            town = Town(server.url, server.metrics_url, made, whole_database)
            ada = await made.login("user")
            async with AsyncExitStack() as stack:
                listeners = [await stack.enter_async_context(town.listener(ada.token)) for _ in range(100)]
                talkers = [await stack.enter_async_context(town.socket(ada.token)) for _ in range(100)]
                for talker in talkers:
                    assert (await talker.ask(type="subscribe", topics=["balances"]))["type"] == "subscribed"
                (told,) = await tell(made, ada.user_id, count=1)
                for listener in listeners:
                    await listener.until(lambda: bool(listener.events))  # noqa: B023 - it is called before the next.
                heard = [await talker.event() for talker in talkers]
            assert {event["subject"] for event in heard} == {told}
            assert [listener.ids for listener in listeners] == [[told]] * 100
