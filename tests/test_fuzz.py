"""Calls with arguments that users, files and mistakes produce: no crash, no hang, no odd error.

fuzz.py makes the calls in a separate process: a crash would kill that process, not this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import fuzz
import numpy as np
import pytest

import cnnx
from cnnx import ops

SEED = 12


@pytest.mark.parametrize("calls", [6_000, pytest.param(60_000, marks=pytest.mark.nightly)])
def test_no_call_of_an_op_or_a_layer_crashes_hangs_or_has_another_shape(calls, tmp_path):
    progress = tmp_path / "progress"
    script = [str(Path(fuzz.__file__)), str(SEED), "0", str(calls), str(progress)]
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", *script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # the cnnx under test
        capture_output=True,
        text=True,
        check=False,
    )
    number = int(progress.read_text())
    last = f"the last call: python tests/fuzz.py {SEED} {number} {number + 1}"
    assert run.returncode == 0, f"{run.stdout}\n{run.returncode}, {last}\n{run.stderr[-3000:]}"
    assert number == calls - 1
    results, _, errors, _ = run.stdout.split()
    assert int(results) > calls / 4 and int(errors) > calls / 4, run.stdout


def test_every_op_and_layer_is_called():
    """A new op or layer is drawn too, or this test names it."""
    drawn = {"op": set(), "layer": set()}
    for number in range(2000):
        rng = np.random.default_rng([SEED, number])
        call = fuzz.call_layer(rng) if number % 5 == 4 else fuzz.call_op(rng)
        drawn["layer" if number % 5 == 4 else "op"].add(next(call)[0])
    assert drawn["op"] == set(ops.__all__)
    assert drawn["layer"] == set(fuzz.OWN) - fuzz.NOT_FUZZED


def _error(error):
    def relu(x):
        raise error

    return relu


def _slow(x):
    begin = time.process_time()
    while time.process_time() < begin + 1.2 * fuzz.SECONDS:
        pass
    return x


DIFFERENCES = [
    (lambda x: x * len(cnnx.get_backend()) ** 2, "differs"),
    (lambda x: x.astype(np.float16 if cnnx.get_backend() == "reference" else "f8"), "float16"),
]


@pytest.mark.parametrize(
    ("relu", "fault"),
    [
        *(DIFFERENCES if len(cnnx.available_backends()) > 1 else []),
        (lambda x: x[:1], "shapes"),
        (lambda x: [x], "shapes"),
        (_error(KeyError("x")), "KeyError"),
        (_error(ValueError("x is odd")), "other words"),
        (_error(MemoryError()), "MemoryError for a result of 6.0 elements"),
        (_slow, r"\d s$"),
    ],
)
def test_faults_are_detected(monkeypatch, relu, fault):
    """The fuzz test can fail: an op commits each fault."""
    monkeypatch.setattr(fuzz, "draw_op", lambda rng: ("relu", {"x": np.ones((2, 3))}))
    monkeypatch.setattr(ops, "relu", relu)
    with pytest.raises(fuzz.Fault, match=fault):
        list(fuzz.call_op(None))
