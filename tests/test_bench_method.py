"""The measuring method: contestants take turns, and disturbances of the machine do not count."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest

from cnnx.bench import (
    Spread,
    compare,
)
from cnnx.bench.timing import LEAST_ROUNDS, spread

SETTLE, BLOCK, SLOW = 5e-3, 10e-3, 0.1  # the method is the same at any scale


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """A twentieth of the real times, because the fake clock is advanced by real calls."""
    for name, value in (("SETTLE", SETTLE), ("BLOCK", BLOCK), ("SLOW", SLOW)):
        monkeypatch.setattr(f"cnnx.bench.timing.{name}", value)


class Machine:
    """A clock that only work advances, and functions with given costs."""

    def __init__(self, look=0.0):
        self.now, self.look = 0.0, look
        self.calls: list[str] = []
        self.turn_began = 0.0
        self.speed = lambda now: 1.0
        self.disturbed = 0.0  # seconds after a switch in which everything is ten times slower

    def clock(self):
        self.now += self.look
        return self.now

    def function(self, name, seconds):
        def call():
            if not self.calls or self.calls[-1] != name:
                self.turn_began = self.now
            slow = 10 if self.now - self.turn_began < self.disturbed else 1
            self.calls.append(name)
            self.now += seconds * slow / self.speed(self.now)

        return call

    def compare(self, seconds=1.0, **costs):
        calls = {name: self.function(name, cost) for name, cost in costs.items()}
        return compare(calls, seconds, clock=self.clock)

    def turns(self):
        """Names in order, without repetitions."""
        return [a for a, b in zip(self.calls, [*self.calls[1:], None]) if a != b]


def test_a_ratio_of_known_costs_is_their_ratio():
    timing = Machine().compare(a=4e-3, b=1e-3)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))
    assert timing.seconds("a") == pytest.approx(4e-3)
    assert timing.ratio("b", "a").median == pytest.approx(0.25)


def test_functions_take_turns():
    machine = Machine()
    timing = machine.compare(a=1e-3, b=1e-3, c=1e-3)
    assert machine.turns() == ["a", "b", "c"] * (timing.rounds + 1)  # the first to warm up
    assert timing.rounds >= 10


def test_a_machine_that_changes_its_speed_does_not_change_the_ratio():
    machine = Machine()
    machine.speed = lambda now: 3.0 if now > 0.4 else 1.0
    timing = machine.compare(a=2e-3, b=1e-3)
    assert timing.ratio("a", "b") == pytest.approx((2, 2, 2), rel=1e-6)
    assert max(timing.blocks["a"]) > 2.9 * min(timing.blocks["a"])


def test_the_first_calls_after_a_switch_do_not_count():
    machine = Machine()
    machine.disturbed = 3e-3
    timing = machine.compare(a=4e-4, b=1e-4)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))
    assert timing.seconds("b") == pytest.approx(1e-4)


def test_reading_the_clock_costs_a_fast_function_less_than_a_percent():
    timing = Machine(look=1e-7).compare(seconds=0.2, a=2e-6, b=1e-6)
    assert timing.seconds("b") == pytest.approx(1e-6, rel=0.01)
    assert timing.ratio("a", "b").median == pytest.approx(2, rel=0.01)


def test_a_slow_first_call_does_not_make_a_function_slow():
    machine = Machine()
    machine.disturbed = 3e-3
    machine.speed = lambda now: 1e-4 if now == 0 else 1.0
    timing = machine.compare(a=4e-5, b=1e-5)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))


def test_a_call_in_many_that_is_interrupted_does_not_count():
    machine = Machine()
    machine.speed = lambda now: 0.01 if int(now * 1e3) % 40 == 7 else 1.0
    assert machine.compare(a=2e-4, b=1e-4).ratio("a", "b").median == pytest.approx(2)


def test_no_call_of_a_slow_function_is_dropped():
    machine = Machine()
    timing = machine.compare(seconds=1.0, a=0.5, b=1e-3)
    assert machine.calls.count("a") == timing.rounds + 2 == LEAST_ROUNDS + 2
    assert machine.now < 3


def test_time_is_bounded_even_if_one_call_exceeds_the_limit():
    machine = Machine()
    timing = machine.compare(seconds=1.0, a=10.0, b=1e-3)
    assert timing.rounds == 1
    assert machine.calls.count("a") == 2
    assert timing.ratio("a", "b") == pytest.approx((1e4, 1e4, 1e4))


@pytest.mark.parametrize("cost", [1e-6, 1e-4, 1e-2, 0.9 * SLOW, 1.1 * SLOW])
def test_a_row_takes_no_longer_than_its_limit(cost):
    machine = Machine(look=1e-7)
    machine.compare(seconds=0.5, a=cost, b=cost)
    assert machine.now <= (0.52 if cost < SLOW / 2 else 1.5)


def test_each_turn_runs_in_its_own_context():
    machine, entered = Machine(), []

    @contextmanager
    def around(name):
        entered.append(name)
        machine.now += 1e-3  # not counted
        yield
        assert machine.calls[-1] == name

    calls = {name: machine.function(name, 1e-3) for name in "ab"}
    timing = compare(calls, 0.2, around=around, clock=machine.clock)
    assert entered == ["a", "b"] * (timing.rounds + 1)
    assert timing.seconds("a") == pytest.approx(1e-3)


def test_real_functions_are_ranked():
    timing = compare({"long": lambda: sum(range(9000)), "short": lambda: sum(range(9))}, 0.05)
    assert timing.ratio("long", "short").low > 1


def test_the_garbage_collector_is_enabled_again_after_an_error():
    def fails():
        assert not gc.isenabled()
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError, match="no"):
        compare({"a": fails})
    assert gc.isenabled()


@pytest.mark.parametrize("calls, seconds, words", [({}, 1, "empty"), ({"a": int}, 0, "seconds=0")])
def test_compare_rejects_invalid_arguments(calls, seconds, words):
    with pytest.raises(ValueError, match=words):
        compare(calls, seconds)


def test_a_spread_is_median_and_quartiles():
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)
