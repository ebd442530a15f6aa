import asyncio

import pytest

from billfold.kernel.errors import Unavailable
from billfold.platform.telemetry import health


async def up() -> None:
    return


async def down() -> None:
    raise Unavailable("It is not there.")


async def hangs() -> None:
    await asyncio.sleep(60)


async def test_it_is_ready_when_every_dependency_is_up() -> None:
    found = await health.readiness({"one": up, "two": up})
    assert found.status == "ready"
    assert {name: dependency.state for name, dependency in found.dependencies.items()} == {"one": "up", "two": "up"}


async def test_each_dependency_that_is_down_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.01)
    found = await health.readiness({"one": up, "two": down, "three": hangs})
    assert found.status == "not_ready"
    assert found.dependencies["one"].state == "up"
    assert found.dependencies["two"] == health.Dependency(state="down", detail="It is not there.")
    assert found.dependencies["three"].state == "down"
    assert "no answer within" in (found.dependencies["three"].detail or "")
