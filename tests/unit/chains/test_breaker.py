from billfold.chains.nodes.breaker import FAILURES_MAX, PAUSE_FIRST_S, PAUSE_MAX_S, REST_MAX_S, Breaker


def broken(*, at: float) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        breaker.failed(at)
    return breaker


def test_one_failure_is_no_outage() -> None:
    breaker = Breaker()
    breaker.failed(0)
    assert breaker.open_at(0)
    assert breaker.failing


def test_after_several_a_node_is_left_alone_for_a_while() -> None:
    breaker = broken(at=10)
    assert not breaker.open_at(10 + PAUSE_FIRST_S - 0.01)
    assert breaker.open_at(10 + PAUSE_FIRST_S)


def test_each_pause_is_longer_up_to_the_longest() -> None:
    breaker, now, pauses = broken(at=0), 0.0, []
    for _ in range(8):
        begun = now
        while not breaker.open_at(now):
            now += 0.5
        pauses.append(now - begun)
        breaker.failed(now)
    assert pauses == [1, 2, 4, 8, 16, PAUSE_MAX_S, PAUSE_MAX_S, PAUSE_MAX_S]


def test_what_was_on_its_way_when_the_pause_began_makes_it_no_longer() -> None:
    breaker = broken(at=0)
    for _ in range(20):
        breaker.failed(0.1)
    assert breaker.open_at(PAUSE_FIRST_S)


def test_one_answer_ends_the_outage() -> None:
    breaker = broken(at=0)
    breaker.succeeded()
    assert breaker.open_at(0)
    assert not breaker.failing


def test_nobody_is_made_to_wait_for_ever() -> None:
    breaker = Breaker()
    breaker.rest(0, 10**9)
    assert not breaker.open_at(REST_MAX_S - 1)
    assert breaker.open_at(REST_MAX_S)
