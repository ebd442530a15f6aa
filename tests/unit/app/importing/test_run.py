"""What an import does with answers that a real API seldom gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.app.client import Api
from billfold.app.importing import mapping as mappings
from billfold.app.importing import posting
from billfold.app.importing.posting import StillUnavailable
from billfold.app.importing.run import Import, ImportChanged

_MAPPING = mappings.load(None, {"asset": "USD", "account_column": "account", "amount_column": "amount"})
_BUSY = {"code": "overloaded", "detail": "Busy.", "retryable": True}
_POSTED: dict[str, Any] = {"transfer": {"id": "its ledger's"}}

Results = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def _all_posted(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_POSTED for _ in items]


class FakeApi:
    """Has dollars, a wallet for whoever asks, the results that it is given, and the transfers that it posted."""

    def __init__(self, results: Results = _all_posted, *, url: str = "http://api.test", ledger: str = "a") -> None:
        self.results = results
        self.url = url
        self.posted = f"019aa2c6-7a00-7000-8000-00000000c00{ledger}"
        self.asked: list[list[dict[str, Any]]] = []

    def api(self) -> Api:
        return Api(url=self.url, key="k", transport=httpx2.MockTransport(self._answer))

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
            return httpx2.Response(200, json={"posted": 0, "refused": 0, "results": self._results()})
        if path == f"/transfers/{self.posted}":
            return httpx2.Response(200, json={})
        assert path.startswith("/transfers/")
        return httpx2.Response(404, json={"code": "transfer_unknown", "detail": "There is no such transfer."})

    def _results(self) -> list[dict[str, Any]]:
        found = self.results(self.asked[-1])
        return [result | ({"transfer": {"id": self.posted}} if "transfer" in result else {}) for result in found]


def _import(fake: FakeApi, folder: Path, mapping: mappings.Mapping = _MAPPING) -> Import:
    return Import(
        fake.api(),
        path=folder / "bank.csv",
        mapping=mapping,
        name="bank",
        rejects=folder / "rejects.csv",
        memory=folder / "memory",
        complete=False,
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
    running = _import(fake, tmp_path)
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
        await _import(fake, tmp_path).run()
    assert not (tmp_path / "rejects.csv").exists()
    fake.results = _all_posted
    running = _import(fake, tmp_path)
    await running.run()
    assert running.summary.now.imported == 1


async def test_rows_go_out_in_blocks_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    fake = FakeApi()
    count = 2 * posting.BLOCK_ROWS + 1
    _file(tmp_path, *(f"account {number % 7},{'-' if number % 2 else ''}{number + 1}" for number in range(count)))
    running = _import(fake, tmp_path)
    await running.run()
    assert [len(items) for items in fake.asked] == [posting.BLOCK_ROWS, posting.BLOCK_ROWS, 1]
    items = [item for block in fake.asked for item in block]
    assert [item["money"]["amount"] for item in items] == [str(number + 1) for number in range(count)]
    assert [item["kind"] for item in items[:2]] == ["deposit", "withdrawal"]
    assert (items[0]["from"], items[0]["to"]) == (None, "wallet of account 0")
    assert (items[1]["from"], items[1]["to"]) == ("wallet of account 1", None)


async def test_an_import_goes_on_where_it_was_though_the_address_has_changed(tmp_path: Path) -> None:
    _file(tmp_path, "a,1")
    await _import(FakeApi(), tmp_path).run()
    _file(tmp_path, "a,1", "b,2")
    elsewhere = _import(FakeApi(url="http://api.test:8081"), tmp_path)
    await elsewhere.run()
    assert (elsewhere.summary.before.imported, elsewhere.summary.now.imported) == (1, 1)


async def test_an_import_is_remembered_for_each_ledger_that_it_went_into(tmp_path: Path) -> None:
    first, second = FakeApi(), FakeApi(ledger="b")
    _file(tmp_path, "a,1")
    for fake in (first, second, first, second):
        await _import(fake, tmp_path).run()
    assert [len(fake.asked) for fake in (first, second)] == [1, 1]


async def test_an_import_of_which_nothing_was_posted_is_not_remembered(tmp_path: Path) -> None:
    fake = FakeApi()
    _file(tmp_path, "a,nonsense")
    for _ in range(2):
        running = _import(fake, tmp_path)
        await running.run()
        assert (running.summary.before.rows, running.summary.now.rejected) == (0, 1)
        (tmp_path / "rejects.csv").unlink()


async def test_a_changed_file_whose_rows_have_no_id_is_not_imported_again(tmp_path: Path) -> None:
    fake = FakeApi()
    _file(tmp_path, "a,1")
    await _import(fake, tmp_path).run()
    _file(tmp_path, "z,9", "a,1")
    with pytest.raises(ImportChanged):
        await _import(fake, tmp_path).run()
    assert len(fake.asked) == 1
