"""Who sees what of which event: everything that is told anywhere is in the table, or on purpose in no one's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from billfold.custody import events as custody
from billfold.identity import events as identity
from billfold.identity.contracts import ALL_SCOPES
from billfold.kernel import ids
from billfold.kernel.events import Event
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger import events as ledger
from billfold.notifications import domain
from billfold.notifications.contracts import TOPICS
from billfold.wallets import events as wallets
from billfold.wallets.contracts import AccountHolder

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "live.md"
ADA, BOB, EVE = ids.new(), ids.new(), ids.new()
MINE, THEIRS, OUTSIDE = ids.new(), ids.new(), ids.new()
HOLDERS = {MINE: AccountHolder(ADA, "wallet-a", "USD"), THEIRS: AccountHolder(BOB, "wallet-b", "USD")}


def told(kind: str, data: dict[str, Any]) -> dict[UUID, dict[str, Any]]:
    event = Event(
        id="1",
        type=kind,
        source="/billfold/test",
        subject="x",
        time=datetime.now(UTC),
        key="x",
        data=msgspec.Raw(msgspec.json.encode(data)),
    )
    read = domain.data_of(event)
    assert read is not None
    return {share.owner_id: dict(share.data) for share in domain.shares(event, read, HOLDERS)}


def transfer(debit: UUID, credit: UUID) -> dict[str, Any]:
    return {
        "id": "t",
        "kind": "transfer",
        "money": {"amount": "1.00", "asset": "USD"},
        "debit_account": str(debit),
        "credit_account": str(credit),
        "debit_version": 71,
        "credit_version": 72,
        "debit_balance": "81.00",
        "credit_balance": "82.00",
        "reference": "",
        "description": "",
        "metadata": {},
    }


def test_every_type_of_event_has_an_audience() -> None:
    requests = (*get_args(wallets.PaymentRequestEventType), *get_args(wallets.RequestEventType))
    types = {*ledger.TYPES, *wallets.TYPES, *identity.TYPES, *custody.TYPES, *requests}
    assert types - domain.AUDIENCES.keys() == set()
    assert domain.AUDIENCES.keys() - types == set()


def test_every_audience_has_a_scope_that_there_is_and_every_topic_has_somebody() -> None:
    assert {one.scope for one in domain.AUDIENCES.values()} - {None} <= ALL_SCOPES
    assert {topic for one in domain.AUDIENCES.values() for topic in one.topics} == set(TOPICS)


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| (`[\w.]+\.v1`(?:, `[\w.]+\.v1`)*) \| ([^|]+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    documented = {
        kind: (re.findall(r"`([\w:]+)`", scope), re.findall(r"`(\w+)`", topics))
        for kinds, scope, topics in rows
        for kind in re.findall(r"`([^`]+)`", kinds)
    }
    assert documented == {
        kind: ([one.scope] if one.scope else [], list(one.topics)) for kind, one in domain.AUDIENCES.items()
    }


def test_what_is_in_no_audience_is_nobodys() -> None:
    event = Event(id="1", type="wallet.secret.v1", source="/x", subject="x", time=datetime.now(UTC), key="x", data={})
    assert domain.data_of(event) is None


def test_each_side_of_a_transfer_sees_its_own_balance_and_version_alone() -> None:
    seen = told("transfer.posted.v1", transfer(MINE, THEIRS))
    assert seen.keys() == {ADA, BOB}
    assert seen[ADA]["entries"] == [
        {"wallet": "wallet-a", "direction": "out", "balance": "81.00", "version": 71, "counterparty": "wallet-b"}
    ]
    assert seen[BOB]["entries"] == [
        {"wallet": "wallet-b", "direction": "in", "balance": "82.00", "version": 72, "counterparty": "wallet-a"}
    ]
    for hidden in ("82.00", "72", str(MINE), str(THEIRS), str(BOB)):
        assert hidden not in str(seen[ADA])


def test_the_world_outside_is_told_nothing() -> None:
    seen = told("transfer.posted.v1", transfer(OUTSIDE, MINE))
    assert seen.keys() == {ADA}
    assert seen[ADA]["entries"][0]["counterparty"] == "outside"
    assert told("transfer.posted.v1", transfer(OUTSIDE, ids.new())) == {}
    assert told("hold.placed.v1", {"id": "h", "account": str(OUTSIDE)}) == {}


def test_a_hold_is_told_to_whose_money_it_is_without_the_account() -> None:
    seen = told("hold.placed.v1", {"id": "h", "account": str(MINE), "status": "active", "unknown": "field"})
    assert seen == {ADA: {"id": "h", "status": "active", "wallet": "wallet-a"}}


def test_both_people_of_a_payment_request_hear_of_it_and_neither_learns_the_others_id() -> None:
    people = {"owner_id": str(ADA), "payer_id": str(BOB)}
    data: dict[str, Any] = {"payment_request_id": "p", "money": {}, "transfer_id": None, **people}
    seen = told("payment_request.created.v1", data)
    assert (seen[ADA]["direction"], seen[BOB]["direction"]) == ("outgoing", "incoming")
    assert str(BOB) not in str(seen[ADA])
    assert str(ADA) not in str(seen[BOB])


def test_what_an_operator_does_to_somebody_is_told_to_them_without_who_it_was() -> None:
    data = {"user_id": str(ADA), "owner_id": str(ADA), "by": str(EVE), "by_user": str(EVE), "roles": ["user"]}
    seen = told("role.changed.v1", data)
    assert seen == {ADA: {"roles": ["user"]}}


def test_an_attempt_on_an_account_that_there_is_not_concerns_nobody() -> None:
    assert told("user.login_failed.v1", {"user_id": None, "owner_id": None, "login": "x***"}) == {}


@pytest.mark.parametrize("topic", TOPICS)
def test_credentials_without_scopes_are_refused_a_topic_they_see_nothing_of(topic: str) -> None:
    nobody = Principal(credential_id=ids.new(), owner_id=ADA, scopes=frozenset())
    everything = Principal(credential_id=ids.new(), owner_id=ADA, scopes=ALL_SCOPES)
    assert domain.visible(everything, topics=[topic])  # type: ignore[list-item]
    if topic == "requests":
        # Whoever has asked for an approval hears of it, whatever they may do besides.
        assert all(kind.startswith("approval.") for kind in domain.visible(nobody, topics=["requests"]))
        return
    with pytest.raises(MissingScope):
        domain.visible(nobody, topics=[topic])  # type: ignore[list-item]
