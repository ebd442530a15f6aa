"""What is done in groups: who joins whom, and what becomes of everybody when one fails."""

import asyncio
from collections.abc import Sequence

import pytest

from billfold.kernel.errors import Unavailable
from billfold.platform.postgres import groups
from billfold.platform.postgres.groups import Groups


class Doubling:
    """Doubles numbers, once it may. It can't do 13, and 404 is away."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.began, self.may = asyncio.Event(), asyncio.Event()
        self.may.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.seen.append(list(numbers))
        self.began.set()
        await self.may.wait()
        if 404 in numbers:
            raise Unavailable
        if 13 in numbers:
            raise ValueError(numbers)
        return [2 * number for number in numbers]


async def test_what_comes_while_a_group_is_at_work_is_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUP_MAX", 3)
    run = Doubling()
    run.may.clear()
    together = Groups("double", run)
    first = asyncio.create_task(together.do(1))
    await run.began.wait()
    others = [asyncio.create_task(together.do(number)) for number in range(2, 7)]
    await asyncio.sleep(0)
    run.may.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert run.seen == [[1], [2, 3, 4], [5, 6]]
    assert await together.do(7) == 14


async def test_one_that_fails_fails_alone() -> None:
    run = Doubling()
    together = Groups("double", run)
    found = await asyncio.gather(*(together.do(number) for number in (1, 13, 2)), return_exceptions=True)
    assert [found[0], found[2]] == [2, 4]
    assert isinstance(found[1], ValueError)
    assert found[1].args == ([13],)
    with pytest.raises(ValueError, match="13"):
        await together.do(13)


async def test_what_is_away_is_away_for_everybody_and_nothing_is_tried_twice() -> None:
    run = Doubling()
    together = Groups("double", run)
    found = await asyncio.gather(*(together.do(number) for number in (1, 404, 2)), return_exceptions=True)
    assert {type(one) for one in found} == {Unavailable}
    assert run.seen == [[1, 404, 2]]
    assert await together.do(3) == 6


async def test_who_goes_away_disturbs_nobody() -> None:
    run = Doubling()
    run.may.clear()
    together = Groups("double", run)
    tasks = [asyncio.create_task(together.do(number)) for number in (1, 2, 3)]
    await run.began.wait()
    tasks[1].cancel()
    await asyncio.sleep(0)
    run.may.set()
    assert [await tasks[0], await tasks[2]] == [2, 6]
    assert tasks[1].cancelled()
    assert await together.do(4) == 8
