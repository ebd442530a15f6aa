"""Whether this process can do its work now: each dependency asked, with a limit on how long it may take to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec

from billfold.kernel.errors import BillfoldError

#: Whoever asks for our health waits for it; a dependency that takes longer is as good as gone.
CHECK_TIMEOUT_S = 2.0

Check = Callable[[], Awaitable[None]]


class Dependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that the process needs: up, or down with the reason."""

    state: Literal["up", "down"]
    detail: str | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process can serve."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Dependency]


async def readiness(checks: Mapping[str, Check]) -> Readiness:
    """Ask every dependency at once. A check passes by returning and fails by raising."""
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    dependencies = dict(zip(checks, states, strict=True))
    ready = all(dependency.state == "up" for dependency in states)
    return Readiness(status="ready" if ready else "not_ready", dependencies=dependencies)


async def _state(check: Check) -> Dependency:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return Dependency(state="down", detail=f"no answer within {CHECK_TIMEOUT_S:g} seconds")
    except BillfoldError as error:
        return Dependency(state="down", detail=error.detail)
    return Dependency(state="up")
