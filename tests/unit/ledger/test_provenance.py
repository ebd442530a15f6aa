"""Where commands came from, as it stands in the outbox beside a batch."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from billfold.kernel import ids
from billfold.kernel.origin import Origin
from billfold.ledger.service import journal
from billfold.ledger.service.journal import Provenance
from billfold.ledger.store.batch import Span


def batch(*posted: UUID) -> tuple[Span, Any]:
    transfers = [SimpleNamespace(id=each) for each in posted]
    return Span(posted[0], posted[-1], 7), cast("Any", SimpleNamespace(transfers=transfers))


def test_each_transfer_keeps_the_origin_of_its_command() -> None:
    one, two, three = ids.many(3)
    ada = Origin(channel="api", address="2001:db8::1", request_id="r-1", credential_id=ids.new(), owner_id=ids.new())
    worker = Origin(channel="worker", user_id=ids.new(), on_behalf_of=ids.new())
    span, book = batch(one, two, three)
    payload = journal.originated(span, book, Provenance({}, [(ada, [one, two]), (worker, [three])]))
    assert payload is not None
    assert journal.origins(payload) == {one: ada, two: ada, three: worker}


def test_what_is_no_transfer_of_the_batch_is_left_out() -> None:
    transfer, hold = ids.many(2)
    span, book = batch(transfer)
    origin = Origin(channel="api")
    assert journal.originated(span, book, Provenance({}, [(origin, [hold])])) is None
    payload = journal.originated(span, book, Provenance({}, [(origin, [transfer, hold])]))
    assert payload is not None
    assert journal.origins(payload) == {transfer: origin}


def test_where_no_audit_is_kept_there_is_nothing_to_write() -> None:
    span, book = batch(ids.new())
    assert journal.originated(span, book, Provenance({}, [])) is None
