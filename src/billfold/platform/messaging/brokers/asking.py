"""What the adapters of several brokers do alike over one connection: ask and wait, and publish in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from billfold.platform.messaging.port import BrokerUnavailable, Message

T = TypeVar("T")


async def asked(
    question: Awaitable[T],
    *,
    closed: asyncio.Future[None],
    timeout_s: float,
    translated: Callable[[], AbstractContextManager[None]],
) -> T:
    """The answer. `closed` ends with the connection; `translated` turns the client's errors into ours.

    Raises:
        BrokerUnavailable: it is a refusal, does not come, or the connection is lost.
    """
    task = asyncio.ensure_future(question)
    either: list[asyncio.Future[Any]] = [task, closed]
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        # A task of the client's that ends with its connection may end as cancelled.
        if not task.done() or task.cancelled():
            raise BrokerUnavailable
        with translated():
            return task.result()
    finally:
        task.cancel()


async def closed_for_good(close: Callable[[], Awaitable[object]]) -> None:
    """Close a client, which may say that we were cancelled where a task of its own was, after a server was killed."""
    try:
        await close()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


def batches(
    messages: Sequence[Message],
    *,
    count_max: int,
    bytes_max: int,
    size_of: Callable[[Message], int] = lambda message: len(message.body),
) -> Iterator[list[Message]]:
    """The messages in their order, so many at a time; one that is larger by itself goes alone."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == count_max or size + size_of(message) > bytes_max):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += size_of(message)
    if batch:
        yield batch
