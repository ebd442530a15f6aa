"""Many read, or one changes: nobody is shown a block that is not on the disk yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Readers wait while somebody changes something, who waits for readers to be done."""

    def __init__(self) -> None:
        self._news = asyncio.Condition()
        self._readers = 0
        self._changing = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Nothing changes meanwhile."""
        async with self._news:
            await self._news.wait_for(lambda: not self._changing)
            self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            await self._tell()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Nobody reads meanwhile."""
        async with self._news:
            await self._news.wait_for(lambda: not self._changing)
            self._changing = True
            await self._news.wait_for(lambda: not self._readers)
        try:
            yield
        finally:
            self._changing = False
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
