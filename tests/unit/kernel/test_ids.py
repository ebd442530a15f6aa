import threading
import time
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.kernel import ids


def test_ids_are_uuids_of_version_7_and_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = ids.new()
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    # Ids that were made very fast before may have run a little ahead of the clock.
    assert before <= made.int >> 80 <= after + 1_000


def test_ids_made_at_once_increase() -> None:
    made = ids.IdSource().many(10_000)
    assert all(earlier < later for earlier, later in pairwise(made))


def test_ids_increase_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ids.IdSource()
    now = time.time_ns()
    made = []
    for jump in (0, -3_600, -1, 0, 5, -10_000):
        monkeypatch.setattr(time, "time_ns", lambda jump=jump: now + jump * 1_000_000_000)
        made += source.many(3)
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_millisecond_that_is_full_runs_over_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    source = ids.IdSource()
    first = source.new()
    source._tail = (1 << 74) - 2
    last, *following = source.many(4)
    assert first < last < following[0] < following[1] < following[2]
    assert all(made.version == 7 and made.variant == "specified in RFC 4122" for made in (last, *following))
    assert following[-1].int >> 80 == (first.int >> 80) + 1


def test_neighbours_within_a_millisecond_can_not_be_guessed() -> None:
    made = ids.IdSource().many(1_000)
    steps = {later.int - earlier.int for earlier, later in pairwise(made)}
    assert len(steps) > 990


def test_threads_never_get_the_same_id() -> None:
    source = ids.IdSource()
    made: list[UUID] = []
    threads = [threading.Thread(target=lambda: made.extend([source.new() for _ in range(500)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2_000


@given(st.integers(0, (1 << 48) - 2))
def test_the_floor_of_a_millisecond_parts_the_ids_before_it_from_its_own(unix_ms: int) -> None:
    floor = ids.floor_of(unix_ms)
    assert floor.version == 7
    assert floor.int >> 80 == unix_ms
    largest_before = UUID(int=(unix_ms << 80) - 1) if unix_ms else UUID(int=0)
    assert largest_before < floor < ids.floor_of(unix_ms + 1)


@given(st.uuids())
def test_an_id_parses_from_its_text_in_either_case(made: UUID) -> None:
    assert ids.parse(str(made)) == made
    assert ids.parse(str(made).upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "00000000000070008000000000000000",
        "{0000000-0000-7000-8000-000000000000}",
        "urn:uuid:00000000-0000-7000-8000-0000000",
        "----00000000000070008000000000000000",
        "00000000-0000-7000-8000-00000000000g",
        "00000000-0000-7000-8000-00000000_000",
        " 0000000-0000-7000-8000-000000000000",
        "00000000-0000-7000-8000-00000000000\N{ARABIC-INDIC DIGIT ONE}",
        "00000000-0000-7000-8000-000000000000\n",
        "0000000-00000-7000-8000-000000000000",
    ],
)
def test_only_the_usual_form_is_an_id(text: str) -> None:
    with pytest.raises(ids.InvalidId) as refused:
        ids.parse(text, pointer="/id")
    assert refused.value.pointer == "/id"
