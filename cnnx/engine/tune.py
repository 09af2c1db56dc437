"""`tune`: the fastest algorithm of each convolution of a plan, measured."""

# Design:
# The usual program is run step by step with a clock, then one with the first candidates of all
# convolutions, one with the second, and so on: so each algorithm finds the caches as it does in the
# network. Candidates compute planes: a convolution whose channels are last in the usual program has
# none, for its neighbours would need copies. What is measured depends on the machine; the bits then
# depend on it, too, but not on the number of threads. The usual algorithm stays unless another was
# clearly faster, so noise changes nothing.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from cnnx.backends.choose import Convolution, candidates, preferring
from cnnx.engine.program import Program

__all__ = ["Choices", "tune"]

Choices = dict[Convolution, str]
RUNS = 15
FASTER = 0.95  # of the time of the rule's algorithm: at most as much is a reason to change it


def tune(make: Callable[[], Program], inputs: Sequence[np.ndarray]) -> Choices:
    """The algorithms that were faster than those of the rules, by convolution.

    make  makes a program for the inputs
    """
    measured: dict[Convolution, dict[str, float]] = {}
    turn, most = 0, 1
    while turn <= most:
        for convolution, algorithm, seconds in _measured(make, inputs, turn):
            measured.setdefault(convolution, {}).setdefault(algorithm, seconds)
            most = max(most, len(candidates(convolution)))
        turn += 1
    choices: Choices = {}
    for convolution, times in measured.items():
        usual, best = next(iter(times)), min(times, key=times.__getitem__)
        if usual == candidates(convolution)[0] != best and times[best] <= FASTER * times[usual]:
            choices[convolution] = best
    return choices


def _measured(
    make: Callable[[], Program], inputs: Sequence[np.ndarray], turn: int
) -> list[tuple[Convolution, str, float]]:
    """The seconds of all steps of each convolution, by its usual algorithm in turn 0, then by its
    candidates, and the name of the algorithm.
    """
    with preferring(lambda convolution: _candidate(convolution, turn) if turn else None):
        program = make()
    program.times(inputs)  # once, for the caches
    # The least: other programs only add to the time of a step.
    seconds = np.min([program.times(inputs) for _ in range(RUNS)], axis=0)
    total: dict[tuple[Convolution, str], float] = defaultdict(float)
    for entry, time in zip(program.entries, seconds, strict=True):
        job = entry.job.job if entry.job else None
        if (convolution := getattr(job, "choice", None)) is not None:
            total[convolution, entry.kind] += float(time)
    return [(convolution, name, time) for (convolution, name), time in total.items()]


def _candidate(convolution: Convolution, turn: int) -> str:
    names = candidates(convolution)
    return names[min(turn, len(names)) - 1]
