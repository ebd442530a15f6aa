"""How long a request waits that was tried in vain."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from billfold.wallets import domain


def test_each_pause_is_twice_as_long_as_the_last_up_to_a_minute() -> None:
    pauses = [domain.retry_pause(tries, 0).total_seconds() for tries in range(1, 12)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


@given(tries=st.integers(1, 10**9), luck=st.floats(0, 1))
def test_luck_takes_up_to_half_of_it(tries: int, luck: float) -> None:
    longest = domain.retry_pause(tries, 0)
    assert longest / 2 <= domain.retry_pause(tries, luck) <= longest <= timedelta(minutes=1)
