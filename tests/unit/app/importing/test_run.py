"""What an import does with answers that a real API seldom gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.app.client import Api
from billfold.app.importing import mapping as mappings
from billfold.app.importing import posting
from billfold.app.importing.posting import StillUnavailable
from billfold.app.importing.run import Import, ImportChanged, ImportTooOld
from billfold.kernel.idempotency import KEPT_DAYS

_MAPPING = mappings.load(None, {"asset": "USD", "account_column": "account", "amount_column": "amount"})
_BY_ID = mappings.load(
    None, {"asset": "USD", "account_column": "account", "amount_column": "amount", "id_column": "account"}
)
_BUSY = {"code": "overloaded", "detail": "Busy.", "retryable": True}
_POSTED = {"transfer": {"id": "019aa2c6-7a00-7000-8000-00000000c001"}}

Results = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class FixedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


def _all_posted(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_POSTED for _ in items]


class FakeApi:
    """Has dollars, a wallet for whoever asks, every transfer, and the results that it is given."""

    def __init__(self, results: Results = _all_posted) -> None:
        self.results = results
        self.asked: list[list[dict[str, Any]]] = []

    def api(self) -> Api:
        return Api(url="http://api.test", key="k", transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1")
        if path == "/assets":
            return httpx2.Response(
                200, json={"items": [{"code": "USD", "scale": 2, "kind": "fiat", "name": "US dollar"}], "next": None}
            )
        if path == "/wallets":
            return httpx2.Response(201, json={"id": f"wallet of {json.loads(request.content)['external_id']}"})
        if path == "/transfers/bulk":
            self.asked.append(json.loads(request.content)["items"])
            return httpx2.Response(200, json={"posted": 0, "refused": 0, "results": self.results(self.asked[-1])})
        assert path.startswith("/transfers/")
        return httpx2.Response(200, json={})


def _import(fake: FakeApi, folder: Path, clock: FixedClock, mapping: mappings.Mapping = _MAPPING) -> Import:
    return Import(
        fake.api(),
        path=folder / "bank.csv",
        mapping=mapping,
        name="bank",
        rejects=folder / "rejects.csv",
        memory=folder / "memory",
        complete=False,
        clock=clock,
        progress=lambda _: None,
    )


def _file(folder: Path, *rows: str) -> None:
    (folder / "bank.csv").write_text("account,amount\n" + "".join(f"{row}\n" for row in rows))


async def test_a_row_that_could_not_be_served_just_now_is_sent_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "PAUSE_S", 0.001)
    busy = {"refusal": _BUSY}
    answers: Iterator[list[dict[str, Any]]] = iter([[_POSTED, busy, _POSTED], [busy], [_POSTED]])
    fake = FakeApi(lambda _: next(answers))
    _file(tmp_path, "a,1", "b,2", "c,3")
    running = _import(fake, tmp_path, FixedClock())
    await running.run()
    assert [[item["money"]["amount"] for item in items] for items in fake.asked] == [["1", "2", "3"], ["2"], ["2"]]
    assert len({item["idempotency_key"] for items in fake.asked[1:] for item in items}) == 1
    assert running.summary.now.imported == 3


async def test_what_can_not_be_served_for_long_ends_the_import_and_is_not_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "PATIENCE_S", 0.0)
    fake = FakeApi(lambda items: [{"refusal": _BUSY} for _ in items])
    _file(tmp_path, "a,1")
    with pytest.raises(StillUnavailable, match="goes on from here"):
        await _import(fake, tmp_path, FixedClock()).run()
    assert not (tmp_path / "rejects.csv").exists()
    fake.results = _all_posted
    running = _import(fake, tmp_path, FixedClock())
    await running.run()
    assert running.summary.now.imported == 1


async def test_rows_go_out_in_blocks_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    fake = FakeApi()
    count = 2 * posting.BLOCK_ROWS + 1
    _file(tmp_path, *(f"account {number % 7},{'-' if number % 2 else ''}{number + 1}" for number in range(count)))
    running = _import(fake, tmp_path, FixedClock())
    await running.run()
    assert [len(items) for items in fake.asked] == [posting.BLOCK_ROWS, posting.BLOCK_ROWS, 1]
    items = [item for block in fake.asked for item in block]
    assert [item["money"]["amount"] for item in items] == [str(number + 1) for number in range(count)]
    assert [item["kind"] for item in items[:2]] == ["deposit", "withdrawal"]
    assert (items[0]["from"], items[0]["to"]) == (None, "wallet of account 0")
    assert (items[1]["from"], items[1]["to"]) == ("wallet of account 1", None)


async def test_a_changed_file_is_not_imported_again_when_its_keys_may_be_forgotten(tmp_path: Path) -> None:
    fake, clock = FakeApi(), FixedClock()
    _file(tmp_path, "a,1")
    await _import(fake, tmp_path, clock, _BY_ID).run()
    _file(tmp_path, "a,1", "b,2")
    clock.time += timedelta(days=KEPT_DAYS)
    appended = _import(fake, tmp_path, clock, _BY_ID)
    await appended.run()
    assert (appended.summary.before.imported, appended.summary.now.imported) == (1, 1)
    _file(tmp_path, "z,9", "a,1", "b,2")
    with pytest.raises(ImportTooOld, match="another --name"):
        await _import(fake, tmp_path, clock, _BY_ID).run()
    assert len(fake.asked) == 2


async def test_a_changed_file_whose_rows_have_no_id_is_not_imported_again(tmp_path: Path) -> None:
    fake, clock = FakeApi(), FixedClock()
    _file(tmp_path, "a,1")
    await _import(fake, tmp_path, clock).run()
    _file(tmp_path, "z,9", "a,1")
    with pytest.raises(ImportChanged):
        await _import(fake, tmp_path, clock).run()
    assert len(fake.asked) == 1
