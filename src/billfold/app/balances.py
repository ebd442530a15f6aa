"""Where balances of a moment ago are kept, as the settings want it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from billfold import wallets
from billfold.app import settings

if TYPE_CHECKING:
    from billfold.wallets import BalancePictures


@contextlib.asynccontextmanager
async def opened(tree: settings.Balances) -> AsyncIterator[BalancePictures | None]:
    """The Redis, until the block ends; None where there is none. It need not answer for that.

    Raises:
        SettingInvalid: it has no address that can be one.
    """
    if tree.redis_url is None:
        yield None
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            kept = await stack.enter_async_context(
                wallets.balances_in_redis(tree.redis_url, keep_seconds=tree.keep_seconds)
            )
        except ValueError as error:
            raise settings.SettingInvalid(
                "balances.redis_url is wrong: it is like redis://:password@host:6379/0, or begins with rediss:// or "
                "unix://."
            ) from error
        yield kept
