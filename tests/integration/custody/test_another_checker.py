"""What another program refuses, which was written from our page."""

from __future__ import annotations

import msgspec

from tests.integration.custody.another_checker import by_another_checker
from tests.unit.custody import test_reserves as ours

_COUNTED_WRONGLY = (
    "an address twice",
    "an amount on another chain",
    "an asset that is not owed",
    "another network's money",
    "a chain twice",
    "less than nothing",
    "more is held",
)


def test_another_checker_refuses_amounts_that_are_counted_wrongly_as_ours_does() -> None:
    told = ours.published()
    assert by_another_checker(told)["adds"] is True
    for what in _COUNTED_WRONGLY:
        change, _ = ours.WRONG[what]
        assert by_another_checker(change(told))["adds"] is False, what


def test_another_checker_counts_no_address_twice_that_is_written_otherwise() -> None:
    told = ours.published()
    (part,) = told.chains
    first, second = part.addresses
    for other in (first.address.upper(), second.address.upper()):
        again = msgspec.structs.replace(second, address=other)
        chain = msgspec.structs.replace(part, addresses=[first, again])
        assert by_another_checker(msgspec.structs.replace(told, chains=[chain]))["adds"] is False, other
