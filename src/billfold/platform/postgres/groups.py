"""Group commit: what is asked for while a group is at work is done together, in the next one.

A database transaction costs about the same for one as for a hundred, its COMMIT above all. So whoever has one to do
among many leaves it here. Nobody waits to be joined: the first after a silence is a group of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

import structlog

from billfold.kernel.errors import Unavailable
from billfold.platform.telemetry import traces

#: What a group takes on: it is over within a fraction of a second.
GROUP_MAX = 200

Item = TypeVar("Item")
Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class _Apart(Exception):
    """Something in the group makes it fail, so each is done by itself."""


class _Waiting(NamedTuple, Generic[Item, Answer]):
    item: Item
    answer: asyncio.Future[Answer]
    place: traces.Place | None


class Groups(Generic[Item, Answer]):
    """Does by `run` what is asked for, one group after the other; it gives each its answer, in their order.

    It runs in a context of its own: what an item has to know of where it came from, it brings along.
    """

    def __init__(self, name: str, run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        self._name = name
        self._run = run
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Answer:
        """What `run` answers for this. Who is cancelled meanwhile leaves it to be done, and the others undisturbed.

        Raises: what `run` raises. When it is not that something is away, this has been tried by itself.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, answer, traces.current()))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name=self._name, context=Context())
        try:
            return await answer
        except _Apart:
            (alone,) = await self._run([item])
            return alone

    async def _work(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_MAX))]
            places = [one.place for one in group if one.place is not None]
            error: Exception
            try:
                with traces.span(self._name, parent=places[0] if places else None, links=places[1:]):
                    answers = await self._run([one.item for one in group])
            except Unavailable as away:
                error = away
            except Exception as failure:  # noqa: BLE001 - whose it is, hears of it.
                error = failure if len(group) == 1 else _Apart()
                log.warning("a group fails", group=self._name, size=len(group), error=repr(failure))
            else:
                for one, answer in zip(group, answers, strict=True):
                    if not one.answer.done():
                        one.answer.set_result(answer)
                continue
            for one in group:
                if not one.answer.done():
                    one.answer.set_exception(error)
