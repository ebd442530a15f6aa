"""One node: its address, whether it may be asked now, and how far behind it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import metrics
from billfold.chains.nodes.breaker import Breaker
from billfold.chains.nodes.failures import CallRefused, NodeFailed

#: Calls that one node has at the same time; the others wait.
IN_FLIGHT_MAX = 16
Answer = TypeVar("Answer")


class Endpoint:
    """A node that is called `label` wherever somebody may read it."""

    def __init__(self, url: str, *, number: int, chain: str, clock: Callable[[], float]) -> None:
        self.url = httpx2.URL(url)
        self.label = f"{number}:{self.url.host}"
        #: The last height it said.
        self.height: int | None = None
        self._chain = chain
        self._clock = clock
        self._breaker = Breaker()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._up = metrics.UP.labels(chain, self.label)

    def __repr__(self) -> str:
        return f"Endpoint({self.label})"

    @property
    def open(self) -> bool:
        """Whether it may be asked now."""
        return self._breaker.open_at(self._clock())

    @property
    def failing(self) -> bool:
        return self._breaker.failing

    async def asked(self, ask: Callable[[Endpoint], Awaitable[Answer]]) -> Answer:
        """What it answers. A refusal is an answer.

        Raises:
            CallRefused, NodeFailed.
        """
        async with self._in_flight:
            try:
                answer = await ask(self)
            except CallRefused:
                self._succeeded()
                raise
            except NodeWrong as wrong:
                failed = NodeFailed("wrong", wrong.detail)
                self._failed(failed)
                raise failed from wrong
            except NodeFailed as failed:
                self._failed(failed)
                raise
            self._succeeded()
            return answer

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._up.set(1)

    def _failed(self, failed: NodeFailed) -> None:
        metrics.FAILURES.labels(self._chain, self.label, failed.kind).inc()
        now = self._clock()
        if failed.rest_s is not None:
            self._breaker.rest(now, failed.rest_s)
        else:
            self._breaker.failed(now)
        self._up.set(int(self._breaker.open_at(now)))
