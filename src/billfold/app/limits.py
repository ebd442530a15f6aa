"""The limits of the API, as the settings want them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec

from billfold.app import settings
from billfold.identity import AliasLimits, Attempts
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter, Shared
from billfold.platform.web.gate import Limits

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
#: How many times that of a minute may be in which window.
_FLAT = {_MINUTE: 1}
_GROWING = {_MINUTE: 1, _HOUR: 10, _DAY: 50}
#: Nobody has more than twenty aliases, or wants a second code before the first can have come.
_ADDITIONS = {_HOUR: 30, _DAY: 100}
_CODES = {_MINUTE: 2, _HOUR: 5}
#: To one address, for all owners together: several of them may have it wrong, and nobody wants a full mailbox.
_CODE_MAILS = {_HOUR: 20, _DAY: 100}


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, for those who count."""

    edge: Limits
    aliases: AliasLimits
    attempts: Attempts


@contextlib.asynccontextmanager
async def opened(tree: settings.Limits) -> AsyncIterator[Opened]:
    """The limits, until the block ends. The Redis need not answer for that.

    Raises:
        SettingInvalid: it has no address that can be one.
    """
    async with contextlib.AsyncExitStack() as stack:
        shared = None
        if tree.redis_url is not None:
            shared = await stack.enter_async_context(_redis(tree.redis_url))
        edge = Limits(
            owner=_limiter("owner", tree.owner_per_minute, _FLAT, shared),
            anonymous=_limiter("anonymous", tree.anonymous_per_minute, _FLAT, shared),
            credentials=_limiter("wrong-credentials", tree.wrong_credentials_per_minute, _GROWING, shared),
        )
        aliases = AliasLimits(
            lookups=_limiter("resolve", tree.resolve_per_minute, _GROWING, shared),
            additions=_limiter("alias-additions", 1, _ADDITIONS, shared),
            codes=_limiter("alias-codes", 1, _CODES, shared),
            mails=_limiter("alias-code-mails", 1, _CODE_MAILS, shared),
        )
        attempts = Attempts(per_minute=tree.logins_per_minute, shared=shared)
        yield Opened(edge=edge, aliases=aliases, attempts=attempts)


def _redis(url: str) -> contextlib.AbstractAsyncContextManager[Shared]:
    # The client takes longer to load than all the rest of a start, and most have no Redis.
    from billfold.platform import redis  # noqa: PLC0415
    from billfold.platform.limiting import shared  # noqa: PLC0415

    try:
        pool = redis.connections(url)
    except ValueError as error:
        raise settings.SettingInvalid(
            "limits.redis_url is wrong: it is like redis://:password@host:6379/0, or begins with rediss:// or unix://."
        ) from error
    return shared.opened(pool)


def _limiter(name: str, per_minute: int, windows: dict[int, int], shared: Shared | None) -> Limiter | None:
    if not per_minute:
        return None
    return Limiter(name, [Window(per_minute * times, seconds) for seconds, times in windows.items()], shared=shared)
