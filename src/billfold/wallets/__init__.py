"""Wallets: what a user holds, and how money gets in, out and between. This is all that others may import."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from billfold.wallets import contracts, errors, events
from billfold.wallets.adapters.history.cql import CqlHistory
from billfold.wallets.adapters.history.tables import make_tables as make_history_tables
from billfold.wallets.service import Wallets
from billfold.wallets.service.pictures import REDIS_UP
from billfold.wallets.service.pictures import SUBSCRIPTION as BALANCES_SUBSCRIPTION
from billfold.wallets.service.projections import Projections

if TYPE_CHECKING:
    from billfold.wallets.adapters.balances import BalancePictures as BalancePictures

__all__ = [
    "BALANCES_SUBSCRIPTION",
    "CqlHistory",
    "Projections",
    "Wallets",
    "balances_in_redis",
    "contracts",
    "errors",
    "events",
    "make_history_tables",
]


def balances_in_redis(url: str, *, keep_seconds: int) -> AbstractAsyncContextManager[BalancePictures]:
    """Where balances of a moment ago are kept, until the block ends. The Redis need not answer yet.

    Raises:
        ValueError: that is no address of a Redis.
    """
    from billfold.wallets.adapters import balances  # noqa: PLC0415 - its library is loaded where it is needed.

    return balances.opened(url, keep_seconds=keep_seconds, gauge=REDIS_UP)
