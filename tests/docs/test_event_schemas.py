"""The JSON Schemas of events are those of the code, and only grow."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from billfold.custody import events as of_custody
from billfold.identity import events as of_people
from billfold.ledger import events as of_the_ledger
from billfold.wallets import events as of_wallets
from tests.docs import event_schemas


def test_there_is_a_schema_of_each_event_and_it_is_up_to_date() -> None:
    files = {file.stem: file.read_text(encoding="utf-8") for file in event_schemas.FOLDER.glob("*.json")}
    assert files == {kind: event_schemas.text(schema) for kind, schema in event_schemas.schemas().items()}, (
        "docs/reference/schemas differs from the code: run `python -m tests.docs.event_schemas`"
    )
    types = {
        *of_the_ledger.TYPES,
        *of_wallets.TYPES,
        of_wallets.REFUSED,
        *of_custody.TYPES,
        *of_people.TYPES,
        "event.refused.v1",
    }
    assert set(files) == types


def test_the_reference_of_events_names_each_type() -> None:
    page = (event_schemas.FOLDER.parent / "events.md").read_text(encoding="utf-8")
    assert [kind for kind in event_schemas.PAYLOADS if f"`{kind}`" not in page] == []


def test_nothing_that_the_last_release_has_promised_has_changed() -> None:
    released = json.loads(event_schemas.RELEASED.read_text(encoding="utf-8"))
    assert list(event_schemas.breaches(released, event_schemas.schemas())) == [], (
        "within a version fields are only added: give the event a new version"
    )


def _without_a_field(payload: dict[str, Any]) -> None:
    del payload["properties"]["reference"]


def _of_another_type(payload: dict[str, Any]) -> None:
    payload["properties"]["debit_version"] = {"type": "string"}


def _optional(payload: dict[str, Any]) -> None:
    payload["required"].remove("money")


def _narrower(payload: dict[str, Any]) -> None:
    payload["properties"]["kind"]["maxLength"] = 3


@pytest.mark.parametrize("change", [_without_a_field, _of_another_type, _optional, _narrower])
def test_a_change_that_is_no_addition_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    released = event_schemas.schemas()
    now = copy.deepcopy(released)
    change(now["transfer.posted.v1"]["$defs"]["TransferPosted"])
    assert len(list(event_schemas.breaches(released, now))) == 1


def test_an_event_that_is_gone_is_found_and_additions_are_not_objected_to() -> None:
    released = event_schemas.schemas()
    now = copy.deepcopy(released)
    payload = now["wallet.created.v1"]["$defs"]["WalletChanged"]
    payload["properties"]["colour"] = {"type": "string"}
    payload["required"].append("colour")
    now["wallet.painted.v1"] = now["wallet.created.v1"]
    assert list(event_schemas.breaches(released, now)) == []
    del now["hold.placed.v1"]
    assert list(event_schemas.breaches(released, now)) == ["hold.placed.v1 is not there any more"]
