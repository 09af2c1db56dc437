"""On a busy machine, compiled ops use fewer threads, and more again when it is quiet.

The rule (csrc/busy.pyx) is tested with invented times, and with two threads that share one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

pytestmark = pytest.mark.skipif(
    "compiled" not in cnnx.available_backends(), reason="the reference has no threads"
)

MS = 1e-3


@pytest.fixture
def busy():
    return cnnx.backends.load("compiled").busy


@pytest.fixture
def rule(busy):
    return busy._Backoff()


@pytest.mark.parametrize(
    "threads, tasks, own, waited, expected",
    [
        (2, 32, 16, 0, 16),  # each did half
        (2, 32, 32, 300, -300),  # the other one was suspended all the time
        (2, 32, 10, 300, -278),  # it was suspended in its last task
        (2, 32, 1, 0, 31),  # the caller was suspended: it would have been on one thread
        (2, 1, 1, 0, 0),  # nothing to share
        (3, 30, 10, 0, 20),
        (4, 32, 8, 0, 8),  # in comparison with two
        (8, 3, 1, 0, 0),
    ],
)
def test_a_region_is_compared_with_half_the_threads(busy, threads, tasks, own, waited, expected):
    assert busy._gain(threads, tasks, own, 1, waited) == expected


def test_a_region_that_waited_long_is_followed_by_a_pause_on_one_thread(rule):
    assert rule.threads(2, 0) == 2
    rule.note(2, -20 * MS, 0.020)
    assert rule.threads(2, 0.021) == rule.threads(2, 0.039) == 1
    assert rule.threads(2, 0.041) == 2


def test_the_pause_doubles_while_tries_fail_and_shrinks_when_they_pay(rule):
    def pause(now, gained=0.0):
        for _ in range(round(gained / MS)):
            rule.note(2, MS, now)
        rule.note(2, -20 * MS, now)
        start = now
        while rule.threads(2, now) == 1:
            now += MS
        return now, (now - start) / (20 * MS)

    now, found = 0.0, []
    for _ in range(9):
        now, factor = pause(now)
        found.append(round(factor))
    assert found[:5] == [1, 2, 4, 8, 16] and found[-2:] == [32, 32]
    _, factor = pause(now, gained=0.1)
    assert round(factor) < 32


def test_short_waits_and_a_single_one_after_a_quiet_time_are_tolerated(rule):
    for _ in range(4):
        rule.note(2, -0.1 * MS, 0.001)  # threads that wake up
    assert rule.threads(2, 0.001) == 2
    for _ in range(100):
        rule.note(2, 0.1 * MS, 0.1)
    rule.note(2, -4 * MS, 0.104)
    assert rule.threads(2, 0.104) == 2
    rule.note(2, -4 * MS, 0.108)
    assert rule.threads(2, 0.108) == 1


def test_many_threads_are_halved_and_doubled(rule):
    now, found = 0.0, []
    for _ in range(3):
        found.append(rule.threads(12, now))
        rule.note(found[-1], -20 * MS, now)
    assert [*found, rule.threads(12, now)] == [12, 6, 3, 1]
    found = []
    for _ in range(8):
        now += 2.001  # more than the longest pause
        found.append(rule.threads(12, now))
        rule.note(found[-1], 5 * MS, now)
    assert found == [2, 4, 8, 12, 12, 12, 12, 12]


def test_a_smaller_limit_holds(rule):
    assert rule.threads(3, 0) == 3
    rule.note(3, -20 * MS, 0)
    assert rule.threads(3, 0) == 1 and rule.threads(1, 10) == 1 and rule.threads(2, 10) == 2


def _simulated(rule, seconds, late, region=0.5 * MS):
    """The share of the time that is lost by waiting, and the share spent on one thread. A region
    takes so long on one thread; late(now) is how long one on two threads waits."""
    now = lost = alone = 0.0
    while now < seconds:
        if rule.threads(2, now) == 1:
            now += region
            alone += region
        else:
            waited = late(now)
            now += region / 2 + waited
            lost += waited
            rule.note(2, region / 2 - waited, now)
    return lost / now, alone / now


@pytest.mark.parametrize("wait", [4 * MS, 20 * MS, 60 * MS])
def test_tries_on_a_busy_machine_cost_a_small_part_of_the_time(rule, wait):
    lost, alone = _simulated(rule, 60, lambda now: wait)
    assert lost < 0.05 and alone > 0.95


def test_a_disturbance_now_and_then_costs_little_more_than_itself(rule):
    seen = set()

    def late(now):
        """20 ms, once in two seconds."""
        if int(now / 2) in seen:
            return 0.0
        seen.add(int(now / 2))
        return 20 * MS

    lost, alone = _simulated(rule, 60, late)
    assert lost < 0.011 and alone < 0.02


def test_both_threads_are_in_use_soon_after_the_machine_is_quiet_again(rule):
    _simulated(rule, 20, lambda now: 60 * MS)
    assert rule.threads(2, 22.5) == 2


ONE_CORE = """
import os, sys, time
import cnnx, numpy as np

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})      # OpenMP has seen more than one core
task = cnnx.bench.MODELS["lenet5"][0].prepare(np.random.default_rng(0))
teams = cnnx.backends.load("compiled").parallel._teams

def steps(seconds):
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        task.run()
        count += 1
    return count

with cnnx.use_backend("compiled"):
    ratios, on_one = [], 0
    for _ in range(3):
        cnnx.set_num_threads(2)
        several = steps(1.0)
        for _ in range(20):
            teams()
            task.run()
            on_one += teams() == (1, 1)
        cnnx.set_num_threads(1)
        ratios.append(steps(1.0) / several)
print(on_one, *ratios)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_two_threads_that_share_one_core_hardly_slow_a_training_step_down():
    """Without the rule, the step takes 15 times as long as on one thread."""
    if len(os.sched_getaffinity(0)) < 2 or cnnx.config_dict()["OpenMP"].startswith("no"):
        pytest.skip("needs two cores and threads")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "CNNX_"))}
    command = [sys.executable, "-c", ONE_CORE]
    done = subprocess.run(
        command,
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    on_one, *ratios = map(float, done.stdout.split())
    assert on_one > 30, "steps on one thread, of 60"
    assert sorted(ratios)[1] < 3, "1 without other load"
