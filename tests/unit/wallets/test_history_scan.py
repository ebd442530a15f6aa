"""When the rows of a copy prove that none is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from billfold.kernel import clock, ids
from billfold.ledger.contracts import Entry, EntryFilter
from billfold.wallets.adapters.history import Behind, Position, scan, schema
from billfold.wallets.adapters.history.scan import Chain

ACCOUNT, SMALLER, LARGER = UUID(int=5), UUID(int=4), UUID(int=6)
BEGIN = datetime(2026, 1, 31, 23, 59, 59, 999_990, tzinfo=UTC)


def entry(version: int) -> Entry:
    """The account's entry of that version, one microsecond behind the other."""
    at = BEGIN + version * clock.MICROSECOND
    return Entry(
        transfer_id=UUID(int=version),
        account=ACCOUNT,
        version=version,
        amount=-(10**60) - version,
        balance=version,
        counterparty=LARGER,
        kind="transfer",
        reference="r",
        description="",
        metadata={"a": "b"} if version % 2 else {},
        effective_at=at - timedelta(days=400),
        recorded_at=at,
    )


def told(
    versions: list[int],
    *,
    of: int,
    after: Position | None = None,
    newer: int | None = None,
    older: int | None = None,
    horizon_us: int | None = None,
    ends: bool = True,
    **wanted: Any,
) -> list[int]:
    """What of these rows is told, when the ledger's version is `of`."""
    within = scan.wanted(ACCOUNT, EntryFilter(**wanted), after)
    chain = Chain(within, version=of, newer=newer)
    found = [one for one in versions if chain.add(entry(one))]
    if ends:
        chain.end(older=older, horizon_us=horizon_us)
    return found


def at(version: int) -> datetime:
    return entry(version).recorded_at


def test_all_rows_from_the_present_version_to_the_first_are_whole() -> None:
    assert told([3, 2, 1], of=3) == [3, 2, 1]
    assert told([4, 3, 2, 1], of=3) == [4, 3, 2, 1]
    assert told([], of=0) == []
    assert told([3, 2], of=3, ends=False) == [3, 2]


def test_what_is_missing_is_noticed_wherever_it_would_be() -> None:
    for versions in ([2, 1], [3, 1], [3, 2], []):
        with pytest.raises(Behind):
            told(versions, of=3)


def test_behind_a_cursor_the_row_that_was_told_comes_first_and_is_not_told_again() -> None:
    assert told([3, 2, 1], of=9, after=(at(3), ACCOUNT)) == [2, 1]
    assert told([1], of=9, after=(at(1), ACCOUNT)) == []
    for versions in ([2, 1], []):
        with pytest.raises(Behind):
            told(versions, of=9, after=(at(3), ACCOUNT))
    with pytest.raises(Behind):
        told([3, 1], of=9, after=(at(3), ACCOUNT))


def test_of_one_instant_a_smaller_account_comes_behind_a_larger_one() -> None:
    us = clock.microseconds(at(3))
    assert scan.wanted(ACCOUNT, EntryFilter(), (at(3), LARGER)).newest_us == us
    assert scan.wanted(ACCOUNT, EntryFilter(), (at(3), SMALLER)).newest_us == us - 1
    assert scan.wanted(ACCOUNT, EntryFilter(recorded_to=at(2)), (at(3), LARGER)).newest_us == us - 2


def test_a_period_is_whole_if_the_rows_beside_it_are_its_neighbours() -> None:
    inner: dict[str, Any] = {"recorded_from": at(2), "recorded_to": at(4)}
    assert told([3, 2], of=9, newer=4, older=1, **inner) == [3, 2]
    assert told([3, 2], of=3, older=1, **inner) == [3, 2]
    assert told([], of=9, newer=2, older=1, **inner) == []
    assert told([], of=9, older=9, recorded_from=at(20)) == []
    assert told([1], of=9, newer=2, **inner) == [1]
    for versions, newer, older in (([3, 2], 5, 1), ([3, 2], 4, None), ([3], 4, 1), ([2], 4, 1), ([], 4, 1)):
        with pytest.raises(Behind):
            told(versions, of=9, newer=newer, older=older, **inner)
    # Nothing newer, though there is something in the ledger.
    with pytest.raises(Behind, match="lag"):
        told([3, 2], of=9, older=1, **inner)
    with pytest.raises(Behind, match="lag"):
        told([], of=9, older=8, recorded_from=at(20))


def test_what_may_have_expired_is_not_taken_for_the_end() -> None:
    horizon = clock.microseconds(at(2))
    with pytest.raises(Behind, match="expired"):
        told([4, 3, 2], of=4, horizon_us=horizon)
    assert told([4, 3, 2, 1], of=4, horizon_us=horizon) == [4, 3, 2, 1]
    assert told([4, 3], of=4, horizon_us=horizon, recorded_from=at(3)) == [4, 3]
    assert told([4, 3], of=4, horizon_us=horizon, ends=False) == [4, 3]


def test_an_entry_comes_back_from_its_row_as_it_was() -> None:
    for version in (1, 2):
        wallet, month, account, *row = schema.row_of(LARGER, entry(version))
        assert (wallet, month, account) == (LARGER, 202601, ACCOUNT)
        assert schema.entry_of(ACCOUNT, row) == entry(version)
    assert schema.row_of(LARGER, entry(10))[1] == 202602


def test_a_row_is_kept_until_its_time_is_over() -> None:
    day_us = 86_400_000_000
    assert schema.ttl_left_s(0, 29 * day_us, 30) == 86_400
    assert schema.ttl_left_s(0, 31 * day_us, 30) == 0
    # Cassandra refuses what expires later.
    late = (schema.EXPIRES_MAX_S - 100) * 1_000_000
    assert schema.ttl_left_s(late, late, 7_000) == 100
    # It goes later than it is counted on.
    assert schema.horizon_us(31 * day_us, 30) == 2 * day_us


def test_the_month_of_an_id_is_that_of_its_instant_in_utc_and_others_have_none() -> None:
    midnight_ms = clock.microseconds(datetime(2026, 2, 1, tzinfo=UTC)) // 1_000
    assert [schema.month_of_id(ids.floor_of(midnight_ms + ms)) for ms in (-1, 0)] == [202601, 202602]
    for other in (uuid4(), UUID(int=0), UUID(int=2**128 - 1), ids.floor_of(2**48 - 1)):
        assert schema.month_of_id(other) is None
