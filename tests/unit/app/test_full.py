"""What the profile `full` adds: what can be had, what is left out for which reason, and what somebody has set stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from billfold import devservers
from billfold.app import settings
from billfold.app.supervisor import full
from billfold.app.supervisor.additions import Additions


class There(devservers.Redis):
    """A Redis that is installed."""

    @classmethod
    def fetch(cls) -> None:
        pass

    @classmethod
    def version(cls) -> str:
        return "7.0.15"


class Away(devservers.Cassandra):
    """A Cassandra that can't be had."""

    @classmethod
    def fetch(cls) -> None:
        raise devservers.Missing("Cassandra needs Java 17, which is not installed")


REDIS = replace(full.SERVERS[0], kind=There)
CASSANDRA = replace(full.SERVERS[1], kind=Away)


def planned(*servers: full.Wanted, installed: bool = True, chosen: Mapping[str, str] | None = None) -> Additions:
    loaded = settings.load(environ={}, overrides=chosen)
    return full.plan(loaded, say=lambda _: None, servers=servers, installed=lambda _: installed)


def test_what_can_be_had_is_added_with_the_settings_by_which_roles_find_it() -> None:
    found = planned(REDIS)
    (redis,) = found.servers
    assert (redis.name, redis.title, found.ledgers, found.left_out) == ("redis", "Redis 7.0.15", 2, {})
    assert redis.settings("redis://here") == {
        "balances.redis_url": "redis://here",
        "limits.redis_url": "redis://here",
    }


def test_what_can_not_be_had_is_left_out_with_what_is_so_without_it() -> None:
    found = planned(REDIS, CASSANDRA)
    assert [one.name for one in found.servers] == ["redis"]
    assert found.left_out == {
        "cassandra": "Cassandra needs Java 17, which is not installed. Without it lists of transactions are read in "
        "PostgreSQL"
    }


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("balances.redis_url", "redis://mine", "redis"),
        ("limits.redis_url", "redis://mine", "redis"),
        ("history.kind", "postgresql", "cassandra"),
        ("history.contact_points", "mine", "cassandra"),
        ("history.user", "me", "cassandra"),
        ("history.password", "mine", "cassandra"),
        ("ledger.address", "unix:/mine", "ledger"),
    ],
)
def test_a_setting_that_is_set_stays_and_what_it_is_about_is_not_started(key: str, value: str, name: str) -> None:
    found = planned(REDIS, CASSANDRA, chosen={key: value})
    assert found.left_out[name] == f"{key} is set by command line, and stays as it is"
    assert name not in [one.name for one in found.servers]
    assert (found.ledgers == 0) == (name == "ledger")


def test_without_their_clients_parts_are_left_out_and_it_is_said_how_to_get_them() -> None:
    found = planned(REDIS, CASSANDRA, installed=False)
    assert [one.name for one in found.servers] == ["redis"]
    assert found.left_out["cassandra"].startswith("Its client is not installed: pip install 'billfold[cassandra]'.")
    assert found.left_out["ledger"].startswith("Its client is not installed: pip install 'billfold[grpc]'.")
    assert found.ledgers == 0


def test_the_settings_of_every_server_are_settings() -> None:
    for one in full.SERVERS:
        found = one.settings("cql://user:password@somewhere:9042")
        settings.replaced(settings.Settings(), found)
        known = dict(settings.leaves(settings.Settings()))
        assert {*found, *one.yours} <= set(known)


def test_roles_are_told_who_they_are_in_cassandra() -> None:
    assert full.SERVERS[1].settings("cql://billfold:pass_-word@127.0.0.1:9042") == {
        "history.kind": "cql",
        "history.contact_points": "127.0.0.1:9042",
        "history.user": "billfold",
        "history.password": "pass_-word",
        "history.copies": 1,
    }
