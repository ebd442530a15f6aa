"""Guessing a password takes longer each time, and keeps nobody from their account."""

import asyncio

import pytest

from billfold.identity import errors
from billfold.identity.contracts import NewAlias
from billfold.identity.service.attempts import Attempts
from billfold.platform import redis as platform_redis
from billfold.platform.limiting import shared as limiting
from billfold.platform.limiting.backoff import FREE
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.identity.town import (
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    Town,
    a_new_address,
    refused,
)


async def test_strangers_wait_longer_each_time_and_the_user_does_not(town: Town) -> None:
    email, _ = await town.person()
    for _ in range(FREE + 1):
        assert type(await refused(town, email)) is errors.LoginFailed
    held_back = await refused(town, email)
    assert isinstance(held_back, errors.TooManyAttempts)
    assert held_back.wait_s >= 1
    # Not with the right password either, from there; but from where they have been before.
    assert isinstance(await refused(town, email, PASSWORD), errors.TooManyAttempts)
    await town.log_in(email, address=HOME)


async def test_an_account_that_there_is_not_is_held_back_alike(town: Town) -> None:
    email, _ = await town.person()
    found = [[type(await refused(town, login)) for _ in range(FREE + 3)] for login in (email, a_new_address())]
    assert found[0] == found[1]
    assert found[0][-1] is errors.TooManyAttempts


async def test_guessing_where_the_user_has_been_keeps_them_from_no_other_such_place(town: Town) -> None:
    email, _ = await town.person()
    await town.log_in(email, address=ELSEWHERE)
    for _ in range(FREE + 1):
        await refused(town, email, address=HOME)
    assert isinstance(await refused(town, email, address=HOME), errors.TooManyAttempts)
    await town.log_in(email, address=ELSEWHERE)


async def test_an_address_has_only_so_many_attempts_whoever_it_tries(database: Database) -> None:
    town = Town(database)
    town.identity.logins._attempts = type(town.identity.logins._attempts)(per_minute=3)
    for _ in range(3):
        assert type(await refused(town, a_new_address())) is errors.LoginFailed
    assert isinstance(await refused(town, a_new_address()), errors.TooManyAttempts)
    assert type(await refused(town, a_new_address(), address="192.0.2.1")) is errors.LoginFailed
    town.identity.close()


async def test_who_is_known_at_an_address_is_told_to_nobody_there(database: Database) -> None:
    town = Town(database)
    email, _ = await town.person()
    town.identity.logins._attempts = Attempts(per_minute=3)
    for _ in range(4):
        await refused(town, a_new_address(), address=HOME)
    said = [await refused(town, login, address=HOME) for login in (email, a_new_address()) for _ in range(FREE + 3)]
    assert {type(one) for one in said} == {errors.TooManyAttempts}
    assert max(one.wait_s for one in said) - min(one.wait_s for one in said) <= 1  # type: ignore[attr-defined]
    town.identity.close()


async def test_the_right_password_is_taken_where_its_user_is_known_whatever_others_do_there(database: Database) -> None:
    town = Town(database)
    email, _ = await town.person()
    town.identity.logins._attempts = Attempts(per_minute=3)
    for _ in range(10):
        await refused(town, a_new_address(), address=HOME)
        await refused(town, email)
    await town.log_in(email, address=HOME)
    town.identity.close()


async def test_what_was_tried_elsewhere_tells_nobody_where_somebody_is_known(town: Town) -> None:
    email, _ = await town.person()
    found = []
    for login in (email, a_new_address()):
        for _ in range(FREE + 3):
            await refused(town, login)
        found.append(type(await refused(town, login, address=HOME)))
    assert found == [errors.TooManyAttempts] * 2


async def test_an_account_is_counted_once_by_whichever_of_its_names(town: Town) -> None:
    email, ada = await town.person()
    handles = [f"@ada_{number}{ada.owner_id.hex[-12:]}" for number in range(3)]
    for handle in handles:
        await town.identity.aliases.add(by=ada, new=NewAlias(alias=handle))
    found = [type(await refused(town, login)) for login in [email, *handles] for _ in range(FREE + 1)]
    assert found.count(errors.LoginFailed) == FREE + 1
    # Nor does anybody count against it by typing the id that it is counted by.
    email, bob = await town.person()
    for text in (str(bob.owner_id), f"user {bob.owner_id}"):
        for _ in range(FREE + 3):
            await refused(town, text)
    assert type(await refused(town, email)) is errors.LoginFailed


async def test_processes_count_failures_together_and_alone_when_their_redis_dies(
    database: Database, redis_server: servers.RedisServer
) -> None:
    async with (
        limiting.opened(platform_redis.connections(redis_server.url)) as one,
        limiting.opened(platform_redis.connections(redis_server.url)) as another,
    ):
        async with asyncio.timeout(60):
            while not (one.up and another.up):  # noqa: ASYNC110 - what is waited for knows no events.
                await asyncio.sleep(0.01)
        towns = [Town(database, shared=one), Town(database, shared=another)]
        email, _ = await towns[0].person()
        for turn in range(FREE + 1):
            assert type(await refused(towns[turn % 2], email)) is errors.LoginFailed
        for town in towns:
            assert isinstance(await refused(town, email), errors.TooManyAttempts)
        redis_server.kill()
        try:
            for town in towns:
                found = [type(await refused(town, email)) for _ in range(FREE + 3)]
                assert found[:FREE] == [errors.LoginFailed] * FREE
                assert found[-1] is errors.TooManyAttempts
                await town.log_in(email)
        finally:
            redis_server.start()
        for town in towns:
            town.identity.close()


async def test_a_full_queue_counts_against_nobody(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    email, _ = await town.person()
    monkeypatch.setattr(town.identity.passwords, "_most", 0)
    for _ in range(FREE + 5):
        with pytest.raises(errors.PasswordsBusy):
            await town.log_in(email, address=ELSEWHERE)
    monkeypatch.undo()
    await town.log_in(email, address=ELSEWHERE)


async def test_guessing_ones_own_password_from_a_session_is_held_back(town: Town) -> None:
    _, ada = await town.person()

    async def right(password: str) -> bool:
        return await town.identity.logins.check_password(user_id=ada.owner_id, password=password)

    assert await right(PASSWORD)
    assert [await right(OTHER_PASSWORD) for _ in range(FREE + 1)] == [False] * (FREE + 1)
    with pytest.raises(errors.TooManyAttempts):
        await right(PASSWORD)
