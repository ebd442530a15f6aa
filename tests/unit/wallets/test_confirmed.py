"""Confirmed transactions as they are written on a queue."""

import json
from typing import Any

import msgspec
import pytest

from billfold.kernel.errors import Invalid
from billfold.wallets import domain, errors
from billfold.wallets.contracts import ConfirmedTransaction
from billfold.wallets.service import confirmed

WALLET = "019aa2c6-7a00-7000-8000-00000000a001"
DATA: dict[str, Any] = {
    "wallet": WALLET,
    "direction": "credit",
    "money": {"amount": "12.34", "asset": "USD"},
    "reference": "invoice 4711",
    "description": "Two coffees",
    "effective_at": "2026-01-31",
}
PLAIN: dict[str, Any] = {"source": "/bank", "id": "tx-1", **DATA}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "type": "confirmed-transaction.v1",
    "source": "/bank",
    "id": "tx-1",
    "data": DATA,
}
READ = ConfirmedTransaction(
    source="/bank",
    id="tx-1",
    wallet=WALLET,
    direction="credit",
    amount="12.34",
    asset="USD",
    reference="invoice 4711",
    description="Two coffees",
    effective_at="2026-01-31",
)


def _bytes(document: object) -> bytes:
    return json.dumps(document).encode()


def _changed(document: dict[str, Any], **changes: object) -> bytes:
    return _bytes({name: value for name, value in (document | changes).items() if value is not ...})


def test_both_forms_say_the_same() -> None:
    assert confirmed.read(_bytes(PLAIN), {}) == READ
    assert confirmed.read(_bytes(CLOUD), {}) == READ


def test_texts_and_the_value_date_may_be_left_out() -> None:
    short = {name: PLAIN[name] for name in ("source", "id", "wallet", "direction", "money")}
    read = confirmed.read(_bytes(short), {})
    assert (read.reference, read.description, read.effective_at) == ("", "", None)


def test_extensions_of_a_cloudevent_are_no_matter() -> None:
    assert confirmed.read(_changed(CLOUD, time="2026-01-31T12:00:00Z", subject="x", traceparent="00-1"), {}) == READ


def test_a_text_that_names_the_specification_makes_no_cloudevent() -> None:
    read = confirmed.read(_changed(PLAIN, description='"specversion": "1.0"'), {})
    assert read.description == '"specversion": "1.0"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\x00\x01",
        b"[" * 60_000,
        _changed(PLAIN, id=...),
        _changed(PLAIN, source=...),
        _changed(PLAIN, id=""),
        _changed(PLAIN, id=7),
        _changed(PLAIN, id="x" * 1025),
        _changed(PLAIN, wallet=...),
        _changed(PLAIN, direction="in"),
        _changed(PLAIN, amount="12.34"),
        _changed(PLAIN, money={"amount": 12.34, "asset": "USD"}),
        _changed(PLAIN, money={"amount": "12.34", "asset": "USD", "scale": 2}),
        _changed(PLAIN, reference=None),
        _changed(PLAIN, valuedate="2026-01-31"),
        _changed(PLAIN, specversion="1.0"),
        _changed(CLOUD, type="something.else.v1"),
        _changed(CLOUD, specversion="0.3"),
        _changed(CLOUD, data=...),
        _changed(CLOUD, data="text"),
        _changed(CLOUD, data={**DATA, "id": "tx-1"}),
        _changed(CLOUD, data=..., data_base64="e30="),
    ],
)
def test_what_is_no_confirmed_transaction_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(errors.ConfirmedTransactionInvalid) as refused:
        confirmed.read(body, {})
    assert len(refused.value.detail) > len("Not a confirmed transaction: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reference": "a\0b"}, "Expected text without the character NUL at /reference."),
        ({"description": "x" * 501}, "Expected text of length <= 500 at /description."),
    ],
)
def test_a_text_that_an_order_can_not_have_is_refused_in_words(change: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid) as refused:
        domain.order_of(confirmed.read(_changed(PLAIN, **change), {}))
    assert refused.value.detail == said


def test_a_message_of_more_than_64_kib_is_not_even_looked_at() -> None:
    with pytest.raises(errors.ConfirmedTransactionTooLarge):
        confirmed.read(_changed(PLAIN, description="x" * confirmed.SIZE_MAX), {})


def test_the_next_attempt_differs_in_nothing_but_its_number() -> None:
    second = confirmed.next_attempt(READ)
    assert (READ.attempt, second.attempt) == (0, 1)
    assert msgspec.structs.replace(second, attempt=0) == READ
    assert confirmed.next_attempt(second).attempt == 2


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "cloudEvents:", "cloudEvents_", "Ce-"])
def test_a_cloud_event_in_binary_mode_is_the_same_transaction(prefix: str) -> None:
    headers = {prefix + name: str(CLOUD[name]) for name in ("specversion", "type", "source", "id")}
    data = _bytes(CLOUD["data"])
    assert confirmed.read(data, {"content-type": "application/json; charset=utf-8", **headers}) == READ
    assert confirmed.read(_bytes(CLOUD), {"Content-Type": "application/cloudevents+json", **headers}) == READ


def test_headers_of_nats_are_percent_encoded_and_others_as_they_are() -> None:
    data = _bytes(CLOUD["data"])
    for prefix, written in (("ce-", "%E2%82%AC%201"), ("ce_", "€ 1")):
        headers = {prefix + name: str(CLOUD[name]) for name in ("specversion", "type", "source")}
        assert confirmed.read(data, {**headers, f"{prefix}id": written}).id == "€ 1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ce_specversion": "0.3"}, "specversion"),
        ({"ce_id": ""}, "id must have"),
        ({"ce_id": "x" * 1025}, "id must have"),
        ({"ce_id": "a\nb"}, "control characters"),
        ({"ce_type": "other.v1"}, "type is not"),
        ({"content-type": "text/plain"}, "only JSON"),
    ],
)
def test_binary_mode_that_is_not_a_confirmed_transaction_is_refused(change: dict[str, str], said: str) -> None:
    headers = {f"ce_{name}": str(CLOUD[name]) for name in ("specversion", "type", "source", "id")}
    with pytest.raises(errors.ConfirmedTransactionInvalid, match=said):
        confirmed.read(_bytes(CLOUD["data"]), headers | change)


def test_an_attribute_that_is_there_twice_is_read_alike_in_whatever_order() -> None:
    headers = {f"ce_{name}": str(CLOUD[name]) for name in ("specversion", "type", "source", "id")} | {"ce-id": "other"}
    data = _bytes(CLOUD["data"])
    assert confirmed.read(data, headers) == confirmed.read(data, dict(reversed(headers.items())))
