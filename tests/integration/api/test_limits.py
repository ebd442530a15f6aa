"""The limits of the API as it is run: alone, in two processes with a Redis, and when that one dies."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer

TIMEOUT_S = 60.0


def metric(server: ApiServer, name: str, **labels: str) -> float:
    text = httpx2.get(f"{server.metrics_url}/metrics").text
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return sum(found)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def test_valid_keys_are_served_where_wrong_ones_come_from(
    api_database: servers.TestDatabase, operator_key: str, tmp_path: Path
) -> None:
    with support.running_api(api_database, tmp_path, limits__wrong_credentials_per_minute="5") as server:
        wrong = server.caller(operator_key[:-1] + ("x" if operator_key[-1] != "x" else "y"))
        answers = [wrong.get("/api-keys") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert answers[-1].json()["code"] == "too_many_wrong_credentials"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert server.caller(operator_key).get("/api-keys").status_code == 200
        assert metric(server, "billfold_http_limited_total", limit="wrong-credentials") == 2


def test_who_comes_through_a_proxy_is_counted_apart(api_database: servers.TestDatabase, tmp_path: Path) -> None:
    more = {"limits__anonymous_per_minute": "2", "api__trusted_proxies": "127.0.0.0/8"}
    with support.running_api(api_database, tmp_path, **more) as server:

        def asked(*forwarded: str) -> int:
            headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
            return httpx2.get(f"{server.url}/docs", headers=headers).status_code

        assert [asked("198.51.100.1"), asked("198.51.100.1"), asked("198.51.100.1")] == [200, 200, 429]
        assert asked("198.51.100.2") == 200
        # What stands to the left of it, the client may have written.
        assert [asked("1.2.3.4, 198.51.100.1"), asked("1.2.3.5", "198.51.100.1"), asked("\xff;, 198.51.100.1")] == [
            429
        ] * 3
        assert httpx2.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("limits__redis_url", "localhost"),
        ("api__trusted_proxies", "10.0.0.0/99"),
        ("api__cors_origins", "*"),
    ],
)
def test_a_setting_that_is_wrong_is_named_at_the_start(
    api_database: servers.TestDatabase, tmp_path: Path, setting: str, value: str
) -> None:
    with (
        pytest.raises(AssertionError, match="it ended instead of serving"),
        support.running_api(api_database, tmp_path, **{setting: value}),
    ):
        pass
    said = " ".join((tmp_path / "api.log").read_text().split())
    assert f"{setting.replace('__', '.')} is wrong" in said
    assert "Traceback" not in said


def test_processes_share_a_redis_and_outlive_it(
    api_database: servers.TestDatabase, operator_key: str, redis_server: servers.RedisServer, tmp_path: Path
) -> None:
    more = {"limits__owner_per_minute": "4", "limits__redis_url": redis_server.url}
    with (
        support.running_api(api_database, folder(tmp_path, "one"), program=support.PATIENT, **more) as one,
        support.running_api(api_database, folder(tmp_path, "another"), program=support.PATIENT, **more) as another,
    ):
        for server in (one, another):
            until(lambda server=server: metric(server, "billfold_limits_redis_up") == 1)  # type: ignore[misc]
        first, second = one.caller(operator_key), another.caller(operator_key)
        assert [caller.get("/api-keys").status_code for caller in (first, second) * 3] == [200] * 4 + [429] * 2
        redis_server.kill()
        try:
            # Each has a count of its own now, and nobody is turned away because of the Redis.
            for caller in (first, second):
                assert [caller.get("/api-keys").status_code for _ in range(5)] == [200] * 4 + [429]
            assert metric(one, "billfold_limits_redis_up") == 0
            assert httpx2.get(f"{one.url}/readyz").status_code == 200
        finally:
            redis_server.start()
        for server in (one, another):
            until(lambda server=server: metric(server, "billfold_limits_redis_up") == 1)  # type: ignore[misc]
        assert [caller.get("/api-keys").status_code for caller in (first, second) * 3] == [200] * 4 + [429] * 2
        assert one.log.count("a Redis is lost, and done without") == 1
        assert "Traceback" not in one.log
