"""How long an answer takes tells nobody who has an account."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from billfold.identity import errors
from billfold.identity.service.logins import REFUSED_AFTER_S
from billfold.identity.service.passwords import Verdict
from billfold.platform.limiting.backoff import FREE
from tests.integration.identity.town import (
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    Town,
    a_new_address,
    refused,
)

#: Interleaved pairs of which the medians are compared.
SAMPLES = 25
#: Of the longer median, or so many seconds, which is what other programs take now and then. Without a hash for nobody
#: it is nine tenths, and 30 ms.
DIFFERENCE_MAX = 0.35
DIFFERENCE_MAX_S = 0.010
#: Whatever else the machine does may take one of them longer; what is slower by itself is so each time.
ROUNDS = 3


async def test_whoever_has_to_wait_is_told_so_as_late_whoever_it_is(town: Town) -> None:
    email, _ = await town.person()
    unknown = a_new_address()
    for login in (email, unknown):
        for _ in range(FREE + 5):
            await refused(town, login)
    town.identity.logins._refused_after_s = REFUSED_AFTER_S
    for login in (email, unknown):
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert isinstance(await refused(town, login, address=HOME), errors.TooManyAttempts)
            times.append(time.perf_counter() - began)
        assert REFUSED_AFTER_S <= min(times) + 0.001 < REFUSED_AFTER_S + 0.4


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
