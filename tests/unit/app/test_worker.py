"""A duty of the worker goes on by itself when its server is back, and tells once that it waits."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from billfold.app.roles import worker
from billfold.kernel.errors import Unavailable


class _EnoughError(Exception):
    """A defect, which ends a duty."""


async def test_a_duty_tells_once_why_it_waits_however_often_it_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RETRY_PAUSE_S", 0.0)
    monkeypatch.setattr(worker, "STARTING_S", 0.0)
    failures: list[Exception] = [
        *(Unavailable("No broker answers.") for _ in range(5)),
        *(Unavailable("It answers, and takes nothing.") for _ in range(5)),
        _EnoughError(),
    ]

    async def run() -> None:
        raise failures.pop(0)

    with capture_logs() as told, pytest.raises(_EnoughError):
        await worker._kept_up(worker.Duty("publish", run))
    assert told == [
        {"event": "a duty waits for its server", "log_level": "warning", "duty": "publish", "reason": reason}
        for reason in ("No broker answers.", "It answers, and takes nothing.")
    ]


async def test_a_duty_warns_of_a_server_only_when_all_has_had_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RETRY_PAUSE_S", 0.0)
    tries = 0

    async def run() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            monkeypatch.setattr(worker, "STARTING_S", 0.0)
        if tries == 5:
            raise _EnoughError
        raise Unavailable("No node answers.")

    with capture_logs() as told, pytest.raises(_EnoughError):
        await worker._kept_up(worker.Duty("read bitcoin", run))
    assert [line["log_level"] for line in told] == ["info", "warning"]
