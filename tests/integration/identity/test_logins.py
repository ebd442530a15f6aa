"""Logging in, and what those learn who can't."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from billfold.identity import errors
from billfold.identity.contracts import NewAlias, Proof, SecondFactor
from billfold.identity.service.attempts import Attempts
from billfold.identity.service.logins import REFUSED_AFTER_S
from billfold.identity.service.passwords import Passwords, Verdict
from billfold.kernel.principal import Principal
from billfold.platform import redis as platform_redis
from billfold.platform.limiting import shared as limiting
from billfold.platform.limiting.backoff import FREE
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.identity.town import (
    CHEAP,
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    Town,
    a_new_address,
    principal,
)

#: Interleaved pairs of which the medians are compared.
SAMPLES = 25
#: Of the longer median, or so many seconds, which is what other programs take now and then. Without a hash for nobody
#: it is nine tenths, and 30 ms.
DIFFERENCE_MAX = 0.35
DIFFERENCE_MAX_S = 0.010
#: Whatever else the machine does may take one of them longer; what is slower by itself is so each time.
ROUNDS = 3


async def refused(town: Town, login: str, password: str = OTHER_PASSWORD, *, address: str = ELSEWHERE) -> Exception:
    with pytest.raises((errors.LoginFailed, errors.TooManyAttempts)) as found:
        await town.log_in(login, password, address=address)
    return found.value


async def test_every_reason_is_the_same(town: Town) -> None:
    email, ada = await town.person()
    closed, bob = await town.person()
    await town.identity.users.close(by=bob, password=PASSWORD)
    said = {
        str(await refused(town, login))
        for login in (email, closed, a_new_address(), "+66812345999", "@nobody", "nonsense", "\u202e", "a@b@c")
    }
    assert len(said) == 1
    assert type(await refused(town, email, PASSWORD + "!")) is errors.LoginFailed
    assert await town.sessions(ada) != []


async def test_a_handle_logs_its_owner_in(town: Town) -> None:
    _, ada = await town.person()
    handle = f"@ada_{ada.owner_id.hex[-12:]}"
    await town.identity.aliases.add(by=ada, new=NewAlias(alias=handle))
    assert (await town.log_in(handle.upper())).user_id == str(ada.owner_id)
    await town.identity.aliases.release(by=ada, alias=handle)
    assert type(await refused(town, handle, PASSWORD)) is errors.LoginFailed


async def test_a_failure_is_told_with_nothing_that_helps(town: Town) -> None:
    email, ada = await town.person()
    await refused(town, email)
    event = (await town.told(user=ada))[-1]
    assert event["type"] == "user.login_failed.v1"
    assert event["data"]["address"] == ELSEWHERE
    unknown = f"zoë.{ada.owner_id.hex}@example.com"
    await refused(town, unknown)
    (event,) = await town.told(login="z***@e***.com")
    assert (event["data"]["user_id"], event["subject"]) == (None, "nobody")
    assert unknown not in str(event)
    assert OTHER_PASSWORD not in str(event)


async def test_a_login_from_a_new_place_is_told_by_mail(town: Town) -> None:
    email, _ = await town.person()
    await town.log_in(email)
    assert "new_login" not in await town.templates(email)
    await town.log_in(email, address=ELSEWHERE)
    mail = (await town.mails(email))[-1]
    assert (mail.template, mail.values["address"]) == ("new_login", ELSEWHERE)
    await town.log_in(email, address=ELSEWHERE)
    assert (await town.templates(email)).count("new_login") == 1


async def begin(town: Town, by: Principal, *, address: str, **more: bool) -> None:
    async with town.database.transaction() as connection:
        await town.identity.sessions.start(
            connection, user_id=by.owner_id, methods=["fed"], device="x", address=address, **more
        )


async def test_a_login_with_a_second_factor_tells_once_and_when_it_is_complete(town: Town) -> None:
    email, ada = await town.person()
    app = await town.app(ada)
    login = await town.identity.logins.login(login=email, password=PASSWORD, device="x", address=ELSEWHERE)
    assert isinstance(login, SecondFactor)
    assert "new_login" not in await town.templates(email)
    proof = Proof(totp=town.shown(app))
    await town.identity.second_factors.complete(token=login.token, proof=proof, device="x", address=ELSEWHERE)
    (mail,) = [mail for mail in await town.mails(email) if mail.template == "new_login"]
    assert (mail.values["address"], mail.values["device"]) == (ELSEWHERE, "x")


async def test_whichever_way_somebody_logs_in_from_a_new_place_they_are_told_once(town: Town) -> None:
    email, ada = await town.person()
    await begin(town, ada, address=HOME)
    assert "new_login" not in await town.templates(email)
    for _ in range(2):
        await begin(town, ada, address=ELSEWHERE)
        assert (await town.templates(email)).count("new_login") == 1
    town.clock.go_on(days=31)
    await begin(town, ada, address=HOME)
    assert (await town.templates(email)).count("new_login") == 2


async def test_whoever_has_a_phone_alone_logs_in_where_no_phone_can_be_reached_any_more(town: Town) -> None:
    _, ada = await town.person()
    async with town.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET email = NULL, email_verified_at = NULL, phone = $2, phone_verified_at = now()"
            " WHERE id = $1",
            ada.owner_id,
            f"+668{ada.owner_id.int % 10**8:08}",
        )
    await begin(town, ada, address=ELSEWHERE)
    assert len(await town.sessions(ada)) == 2


async def test_whoever_has_just_made_an_account_is_told_nothing_of_a_login(town: Town) -> None:
    email, ada = await town.person()
    await begin(town, ada, address=ELSEWHERE, new_account=True)
    assert "new_login" not in await town.templates(email)


async def test_a_hash_of_cheaper_times_is_replaced_at_the_next_login(town: Town, database: Database) -> None:
    email, ada = await town.person()
    dear = Passwords(pepper=town.identity.passwords._pepper, hashing=type(CHEAP)(passes=3, memory_mib=20, threads=1))
    town.identity.logins._passwords = dear
    await town.log_in(email)
    dear.close()
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT password_hash FROM identity.users WHERE id = $1", ada.owner_id)
    assert kept.startswith("$argon2id$v=19$m=20480,t=3,p=1$")


async def test_whoever_has_a_second_factor_gets_no_session_without_it(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, ada = await town.person()
    asked = SecondFactor(token="t", methods=["totp"], expires_at=town.clock.now(), passkey_options=None)

    class Factors:
        async def needed(self, _connection: object, *, user_id: UUID, methods: list[str]) -> SecondFactor:
            assert (user_id, methods) == (ada.owner_id, ["pwd"])
            return asked

    monkeypatch.setattr(town.identity.logins, "_second_factors", Factors())
    before = await town.sessions(ada)
    answer = await town.identity.logins.login(login=email, password=PASSWORD, device="x", address=HOME)
    assert answer == asked
    assert await town.sessions(ada) == before
    assert type(await refused(town, email)) is errors.LoginFailed


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


async def test_whoever_has_to_wait_is_told_so_as_late_whoever_it_is(town: Town) -> None:
    email, _ = await town.person()
    unknown = a_new_address()
    for login in (email, unknown):
        for _ in range(FREE + 5):
            await refused(town, login)
    town.identity.logins._refused_after_s = REFUSED_AFTER_S
    for login in (email, unknown):
        began = time.perf_counter()
        assert isinstance(await refused(town, login, address=HOME), errors.TooManyAttempts)
        assert REFUSED_AFTER_S <= time.perf_counter() - began + 0.001 < REFUSED_AFTER_S + 0.4


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
        async with asyncio.timeout(20):
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


async def test_an_oversized_password_is_refused_before_anybody_is_looked_for(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(Database, "connection", never)
    with pytest.raises(errors.PasswordTooLong):
        await town.log_in("ada@example.com", "x" * 100_000)


async def test_a_password_that_is_changed_meanwhile_logs_nobody_in(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    email, _ = await town.person()
    verify = town.identity.passwords.verify

    async def slowly(password: str, kept: str | None) -> Verdict:
        verdict = await verify(password, kept)
        monkeypatch.undo()
        await town.forgot(email)
        await town.reset(await town.token(email))
        return verdict

    monkeypatch.setattr(town.identity.passwords, "verify", slowly)
    with pytest.raises(errors.LoginFailed):
        await town.log_in(email)


async def test_guessing_ones_own_password_from_a_session_is_held_back(town: Town) -> None:
    _, ada = await town.person()

    async def right(password: str) -> bool:
        return await town.identity.logins.check_password(user_id=ada.owner_id, password=password)

    assert await right(PASSWORD)
    assert [await right(OTHER_PASSWORD) for _ in range(FREE + 1)] == [False] * (FREE + 1)
    with pytest.raises(errors.TooManyAttempts):
        await right(PASSWORD)


async def _medians(town: Town, *asked: Callable[[], Awaitable[object]]) -> list[float]:
    """How long each takes, asked in turns, so that whatever else the machine does befalls all alike."""
    seconds: list[list[float]] = [[] for _ in asked]
    for _ in range(SAMPLES):
        for times, ask in zip(seconds, asked, strict=True):
            began = time.perf_counter()
            await asyncio.gather(ask(), return_exceptions=True)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in seconds]


async def _differ(town: Town, known: Callable[[], Awaitable[object]], unknown: Callable[[], Awaitable[object]]) -> bool:
    """Whether one is slower, again and again."""
    for _ in range(ROUNDS):
        first, second = await _medians(town, known, unknown)
        if abs(first - second) < max(DIFFERENCE_MAX_S, DIFFERENCE_MAX * max(first, second)):
            return False
    return True


async def test_the_time_of_an_answer_says_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    email, _ = await town.person()

    async def free(*_: object, **__: object) -> int:
        return 0

    async def always(*_: object, **__: object) -> bool:
        return True

    for counts in ("stranger", "known"):
        monkeypatch.setattr(town.identity.logins._attempts, counts, free)
    # The same of what may be mailed; as 0 would be none, which is no time to compare.
    for counts in ("code", "reset"):
        monkeypatch.setattr(town.identity.logins._attempts, counts, always)
    await town.log_in(email)
    assert not await _differ(
        town,
        lambda: town.log_in(email, OTHER_PASSWORD, address=ELSEWHERE),
        lambda: town.log_in(a_new_address(), OTHER_PASSWORD, address=ELSEWHERE),
    )
    assert not await _differ(town, lambda: town.register(email), lambda: town.register(a_new_address()))
    assert not await _differ(town, lambda: town.forgot(email), lambda: town.forgot(a_new_address()))


async def test_the_time_would_say_it_without_a_hash_for_nobody(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    email, _ = await town.person()

    async def free(*_: object, **__: object) -> None: ...

    verify = town.identity.passwords.verify

    async def only_of_somebody(password: str, kept: str | None) -> Verdict:
        return Verdict(ok=False) if kept is None else await verify(password, kept)

    monkeypatch.setattr(town.identity.logins._attempts, "stranger", free)
    monkeypatch.setattr(town.identity.passwords, "verify", only_of_somebody)
    assert await _differ(
        town,
        lambda: town.log_in(email, OTHER_PASSWORD, address=ELSEWHERE),
        lambda: town.log_in(a_new_address(), OTHER_PASSWORD, address=ELSEWHERE),
    )


async def test_both_ask_the_database_as_often(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    email, _ = await town.person()
    asked: list[str] = []

    async def statements(ask: Callable[[], Awaitable[object]]) -> list[str]:
        asked.clear()
        await asyncio.gather(ask(), return_exceptions=True)
        # What was done for nobody is undone by a statement of its own.
        return ["SAVEPOINT" if "SAVEPOINT" in one else one for one in asked]

    for name in ("execute", "fetch", "fetchrow", "fetchval"):
        original = getattr(asyncpg.Connection, name)

        async def listened(
            self: object, query: str, *args: object, _original: object = original, **more: object
        ) -> object:
            asked.append(query)
            return await _original(self, query, *args, **more)  # type: ignore[operator]

        monkeypatch.setattr(asyncpg.Connection, name, listened)
    pairs: list[tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]] = [
        (lambda: town.log_in(email, OTHER_PASSWORD), lambda: town.log_in(a_new_address(), OTHER_PASSWORD)),
        (lambda: town.register(email), lambda: town.register(a_new_address())),
        (lambda: town.forgot(email), lambda: town.forgot(a_new_address())),
    ]
    for known, unknown in pairs:
        of_known, of_unknown = await statements(known), await statements(unknown)
        assert len(of_known) > 3
        assert of_known == of_unknown


async def test_a_login_is_a_session(town: Town) -> None:
    email, ada = await town.person()
    tokens = await town.log_in(email, address=ELSEWHERE)
    assert tokens.session_id in await town.sessions(ada)
    assert principal(tokens).owner_id == ada.owner_id
