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
