"""`tune`: the fastest algorithm of each convolution of a plan, measured."""

# Design:
# A program is made for the first candidates of all convolutions, one for the second, and so on, and
# runs step by step with a clock: so each algorithm finds the caches as it does in the network.
# What is measured depends on the machine; the bits then depend on it, too, but not on the number of
# threads. The rule's algorithm stays unless another was clearly faster, so noise changes nothing.

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from cnnx.backends.choose import CHANNELS_LAST_RULES, RULES, Convolution, candidates, preferring
from cnnx.engine.program import Program

__all__ = ["Choices", "tune"]

Choices = dict[Convolution, str]
RUNS = 15
FASTER = 0.95  # of the time of the rule's algorithm: at most as much is a reason to change it
_TUNED = {rule.algorithm for rule in RULES}
_NAMES = _TUNED | {rule.algorithm for rule in CHANNELS_LAST_RULES}


def tune(make: Callable[[], Program], inputs: Sequence[np.ndarray]) -> Choices:
    """The algorithms that were faster than those of the rules, by convolution.

    make  makes a program for the inputs
    """
    measured: dict[Convolution, dict[str, float]] = {}
    turn, most = 0, 1
    while turn < most:
        for convolution, algorithm, seconds in _measured(make, inputs, turn):
            measured.setdefault(convolution, {}).setdefault(algorithm, seconds)
            most = max(most, len(candidates(convolution)))
        turn += 1
    choices: Choices = {}
    for convolution, times in measured.items():
        usual, best = candidates(convolution)[0], min(times, key=times.__getitem__)
        if best != usual and times[best] <= FASTER * times[usual]:
            choices[convolution] = best
    return choices


def _measured(
    make: Callable[[], Program], inputs: Sequence[np.ndarray], turn: int
) -> list[tuple[Convolution, str, float]]:
    """The seconds of all steps of each convolution, with its candidate number `turn`."""
    asked: list[Convolution] = []

    def prefer(convolution: Convolution) -> str:
        if convolution.packed:  # else it is an op that is run to record its calls
            asked.append(convolution)
        return _candidate(convolution, turn)

    with preferring(prefer):
        program = make()
    steps = [
        number
        for number, entry in enumerate(program.entries)
        if entry.job is not None and entry.job.job.name in _NAMES
    ]
    if len(steps) != len(asked):
        return []  # a convolution that runs in Python: it is not known which one
    program.times(inputs)  # once, for the caches
    # The least: other programs only add to the time of a step.
    seconds = np.min([program.times(inputs) for _ in range(RUNS)], axis=0)
    total: Counter[Convolution] = Counter()
    for number, convolution in zip(steps, asked, strict=True):
        if program.entries[number].kind in _TUNED:  # channels last, there is no choice
            total[convolution] += seconds[number]
    return [(each, _candidate(each, turn), float(time)) for each, time in total.items()]


def _candidate(convolution: Convolution, turn: int) -> str:
    names = candidates(convolution)
    return names[min(turn, len(names) - 1)]
