"""Where a command comes from, and that it is known again in another process."""

from collections.abc import Iterator

import pytest

from billfold.kernel import ids, origin
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    origin.begin(None)
    yield
    origin.begin(None)


def principal() -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset(), user_id=ids.new())


def test_where_no_audit_is_kept_nothing_is_ever_known() -> None:
    origin.identified(principal())
    with origin.on_behalf_of(ids.new()), origin.in_name_of(principal()):
        assert origin.current() is None
    assert origin.carried() is None


def test_a_caller_is_known_from_when_they_have_shown_who_they_are() -> None:
    ada = principal()
    origin.begin(Origin(channel="api", address="192.0.2.1", request_id="r-1"))
    origin.identified(ada)
    known = origin.current()
    assert known is not None
    assert (known.address, known.request_id) == ("192.0.2.1", "r-1")
    assert (known.credential_id, known.owner_id, known.user_id) == (ada.credential_id, ada.owner_id, ada.user_id)


def test_in_whose_name_something_is_done_is_known_while_it_is_done() -> None:
    origin.begin(worker := Origin(channel="worker"))
    ada, bob = principal(), ids.new()
    with origin.in_name_of(ada), origin.on_behalf_of(bob):
        known = origin.current()
        assert known is not None
        assert (known.channel, known.owner_id, known.on_behalf_of) == ("worker", ada.owner_id, bob)
    assert origin.current() == worker


def test_it_is_the_same_in_another_process() -> None:
    known = Origin(channel="cli", address="Adá@laptop", request_id="r-1", user_id=ids.new(), on_behalf_of=ids.new())
    origin.begin(known)
    carried = origin.carried()
    assert carried is not None
    assert carried.isascii()
    assert origin.arrived(carried) == known


@pytest.mark.parametrize("text", ["", "?", "AAAA", "e30=", "bm90IGpzb24="])
def test_what_can_not_be_read_is_not_believed(text: str) -> None:
    assert origin.arrived(text) is None
