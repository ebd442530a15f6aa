"""What the pools of connections of a process tell about themselves, when they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge

if TYPE_CHECKING:
    import asyncpg

CONNECTIONS = Gauge(
    "billfold_postgres_connections", "Connections of this process's pools: those at work, and idle ones.", ["state"]
)
_pools: set[asyncpg.Pool[Any]] = set()
CONNECTIONS.labels("idle").set_function(lambda: sum(pool.get_idle_size() for pool in _pools))
CONNECTIONS.labels("working").set_function(lambda: sum(pool.get_size() - pool.get_idle_size() for pool in _pools))


def watch(pool: asyncpg.Pool[Any]) -> None:
    """Count the connections of a pool that was opened."""
    _pools.add(pool)


def forget(pool: asyncpg.Pool[Any]) -> None:
    """Count them no more."""
    _pools.discard(pool)
