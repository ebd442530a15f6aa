from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billfold.kernel import clock

instants = st.datetimes(timezones=st.just(UTC))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(clock.EARLIEST.replace(tzinfo=None), clock.LATEST.replace(tzinfo=None), timezones=st.just(UTC)))
@example(clock.EARLIEST)
@example(clock.LATEST)
def test_what_was_formatted_parses_to_the_same(instant: datetime) -> None:
    assert clock.parse(clock.format(instant)) == instant


@given(st.datetimes(datetime(1000, 1, 2), datetime(9998, 1, 1)), zones)  # noqa: DTZ001 - the zone is added
def test_any_offset_is_the_same_instant_in_utc(local: datetime, zone: timezone) -> None:
    instant = local.replace(tzinfo=zone)
    parsed = clock.parse(instant.isoformat())
    assert parsed == instant
    assert parsed.tzinfo is UTC
    assert clock.format(instant) == clock.format(parsed)


@given(instants, instants)
@example(datetime(999, 1, 1, tzinfo=UTC), datetime(1000, 1, 1, tzinfo=UTC))
def test_texts_sort_like_instants(one: datetime, other: datetime) -> None:
    assert (clock.format(one) < clock.format(other)) == (one < other)


@given(instants)
def test_microseconds_count_from_1970_in_both_directions(instant: datetime) -> None:
    assert clock.EPOCH + timedelta(microseconds=clock.microseconds(instant)) == instant


def test_the_microsecond_before_1970_is_minus_one() -> None:
    assert clock.microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_bare_date_is_its_first_instant_in_utc() -> None:
    assert clock.parse("2026-02-28") == datetime(2026, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31 12:00:00Z", "2026-01-31T13:00:00.000+01:00"]
)
def test_the_forms_of_rfc_3339_are_taken(text: str) -> None:
    assert clock.parse(text) == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2026",
            "2026-01",
            "20260131",
            "2026-1-31",
            "2026-W05-6",
            "1769860800",
            "-026-01-31",
            "2026-01-31\n",
        ),
        *("2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567Z"),
        *("2026-02-29", "2026-13-01", "0000-01-01", "2026-01-31T24:00:01Z", "2026-01-31T23:59:60Z"),
        *("2026-01-31T12:00:00+1", "2026-01-31T12:00:00+25:00"),
        # No year of four digits is left for these in UTC.
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        "\N{FULLWIDTH DIGIT TWO}026-01-31",
    ],
)
def test_other_forms_and_days_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(clock.InvalidInstant) as refused:
        clock.parse(text, pointer="/at")
    assert refused.value.pointer == "/at"


def test_the_system_clock_speaks_utc() -> None:
    assert clock.SystemClock().now().tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01",
        "0999-12-31T23:59:59.999999Z",
        "1000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59.000001Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_what_is_too_far_away_is_refused_and_it_is_said_how_far_one_may_go(text: str) -> None:
    with pytest.raises(clock.InvalidInstant, match="of the years 1000 to 9999"):
        clock.parse(text)
