"""The breaker's states, and how long a full queue says to wait."""

import pytest

from configs.sections.routing import RoutingSettings
from gateway.limits.fair import FairTurns
from gateway.routing.breaker import Breaker
from tests.gateway.routing.site import MODEL


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, random: float = 0.5, **settings: float) -> Breaker:
    fields = {"breaker_failures": 3, "breaker_seconds": 1.0, "breaker_longest_seconds": 8.0} | settings
    return Breaker(RoutingSettings.model_validate(fields), clock, lambda: random)


def test_nothing_is_known_before_the_first_probe() -> None:
    one = breaker(Clock())
    assert one.state == "open"
    assert one.wait_seconds == 0
    assert one.begin_probe()
    assert one.state == "half_open"
    assert not one.begin_probe(), "one probe at a time"
    one.probed(good=True)
    assert one.state == "closed"
    assert one.begin_probe(), "a closed node is probed now and then"
    assert one.state == "closed"


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    one = closed(Clock())
    for _ in range(5):
        one.failed()
        one.failed()
        one.answered()
    assert one.state == "closed"
    for _ in range(3):
        one.failed()
    assert one.state == "open"
    one.answered()
    assert one.state == "open", "an answer that began before says nothing of now"


def test_each_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    clock = Clock()
    one = closed(clock)
    one.failed(at_once=True)
    waits = []
    for _ in range(5):
        waits.append(one.wait_seconds)
        assert not one.begin_probe()
        clock.now += one.wait_seconds
        assert one.begin_probe()
        one.probed(good=False)
    assert waits == [1, 2, 4, 8, 8]


def test_a_good_probe_alone_does_not_make_the_next_wait_short() -> None:
    clock = Clock()
    one = closed(clock)
    for _ in range(3):
        one.failed(at_once=True)
        clock.now += one.wait_seconds
        one.begin_probe()
        one.probed(good=True)
    one.failed(at_once=True)
    assert one.wait_seconds == 8, "it fails whatever it is really asked"
    clock.now += 8
    one.begin_probe()
    one.probed(good=True)
    one.answered()
    one.failed(at_once=True)
    assert one.wait_seconds == 1


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 0.75), (0.5, 1.0), (1.0, 1.25)])
def test_workers_dont_come_back_at_the_same_moment(random: float, seconds: float) -> None:
    clock = Clock()
    one = closed(clock, random)
    one.failed(at_once=True)
    assert one.wait_seconds == seconds


def closed(clock: Clock, random: float = 0.5) -> Breaker:
    one = breaker(clock, random)
    one.begin_probe()
    one.probed(good=True)
    return one


def test_retry_after_is_the_rate_at_which_requests_end() -> None:
    clock = Clock()
    turns = FairTurns(RoutingSettings(queue_seconds=20), {}, clock)
    assert turns.retry_after(MODEL.served_name, "opc") == 20, "nothing was seen yet"
    for _ in range(10):
        turns.finished(MODEL.served_name)
        clock.now += 5.0
    assert turns.retry_after(MODEL.served_name, "opc") == 5
    clock.now += 500
    assert turns.retry_after(MODEL.served_name, "opc") == 55, "nothing has ended for long"
    clock.now += 5000
    assert turns.retry_after(MODEL.served_name, "opc") == 60
