"""Threads: any number of them gives the same bits, a forked child works, and so do two at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import cases
import numpy as np
import pytest

import cnnx

BACKENDS = cnnx.available_backends()
ROOT = Path(__file__).parents[1]
ROUNDS = 12


def _assert_same_bits(actual, expected, what):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        same = np.asarray(actual[name]).tobytes() == np.asarray(value).tobytes()
        assert same, f"{what}: {name} differs"


# The reference knows nothing of threads: its large cases show that it is deterministic.
CASES = {"compiled": [*cases.LARGE.values(), *cases.cases()], "reference": cases.LARGE.values()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize(
    ("backend", "case"), [(name, case) for name in BACKENDS for case in CASES[name]], ids=str
)
def test_an_op_gives_the_same_bits_for_any_number_of_threads(case, dtype, backend):
    expected = None
    with cnnx.use_backend(backend):
        for threads in (1, 2, 3, 5):
            cnnx.set_num_threads(threads)
            function = getattr(cnnx.ops, case.op)
            results = cases.call(function, case.op, case.arguments(dtype))
            results = {name: value for name, value in results.items() if value is not None}
            expected = expected or results
            _assert_same_bits(results, expected, f"{case}, {threads} threads")


def _network():
    """A small network with every kind of layer, the same weights each time."""
    cnnx.manual_seed(3)
    return cnnx.Sequential(
        cnnx.Conv2D(1, 8, 3, padding=1),
        cnnx.BatchNorm2D(8),
        cnnx.ReLU(),
        cnnx.MaxPool2D(2),
        cnnx.Conv2D(8, 16, 3),
        cnnx.Tanh(),
        cnnx.AvgPool2D(2, stride=1),
        cnnx.Flatten(),
        cnnx.Linear(16 * 11 * 11, 40),
        cnnx.LeakyReLU(),
        cnnx.Dropout(0.3),
        cnnx.Linear(40, 10),
    )


def _train(optimizer, steps=3):
    model = _network()
    step = optimizer(model.parameters(), lr=1e-3)
    loss_fn = cnnx.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(steps):
        x = rng.standard_normal((24, 1, 28, 28)).astype(np.float32)
        step.zero_grad()
        losses.append(loss_fn(model(x), rng.integers(10, size=24)))
        model.backward(loss_fn.backward())
        step.step()
    return model.state_dict() | {"losses": np.array(losses)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_training_gives_the_same_bits_for_any_number_of_threads(backend, optimizer):
    expected = None
    with cnnx.use_backend(backend):
        for threads in (1, 2, 3, 5):
            cnnx.set_num_threads(threads)
            result = _train(getattr(cnnx, optimizer))
            assert np.isfinite(result["losses"]).all()
            expected = expected or {name: value.copy() for name, value in result.items()}
            _assert_same_bits(result, expected, f"{threads} threads")


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_python_threads_may_work_at_once(backend):
    x = np.random.default_rng(1).standard_normal((4, 3, 20, 20)).astype(np.float32)
    weights = np.random.default_rng(2).standard_normal((3, 9, 3, 3, 3)).astype(np.float32)

    def work(weight, results):
        with cnnx.use_backend(backend):
            for _ in range(ROUNDS):
                y = cnnx.ops.conv2d(x, weight, padding=1)
                y, argmax = cnnx.ops.max_pool2d(cnnx.ops.relu(y), 2)
                dx = cnnx.ops.max_pool2d_backward(y, argmax, (4, 9, 20, 20), 2)
                results.append(cnnx.ops.conv2d_backward(dx, x, weight, padding=1))

    cnnx.set_num_threads(2)
    alone = []
    for weight in weights:
        alone.append([])
        work(weight, alone[-1])
    together = [[] for _ in weights]
    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(weights, together, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive(), "the threads wait for each other"
    for one, other in zip(alone, together, strict=True):
        assert len(other) == ROUNDS
        for a, b in zip(one, other, strict=True):
            for left, right in zip(a, b, strict=True):
                np.testing.assert_array_equal(left, right)


def test_a_backend_chosen_in_one_thread_does_not_leak_into_another():
    seen = []
    with cnnx.use_backend("reference"):
        worker = threading.Thread(target=lambda: seen.append(cnnx.get_backend()))
        worker.start()
        worker.join(10)
    assert seen == [cnnx.get_backend()]


FORK = """
import os, signal, sys, time, warnings
import numpy as np
import cnnx

cnnx.set_backend(sys.argv[1])
cnnx.set_num_threads(int(sys.argv[2]))
x = np.random.default_rng(0).standard_normal((16, 8, 32, 32)).astype(np.float32)
weight = np.random.default_rng(1).standard_normal((24, 8, 3, 3)).astype(np.float32)

def work():
    y = cnnx.ops.conv2d(x, weight, padding=1)
    return b"".join(a.tobytes() for a in cnnx.ops.conv2d_backward(y, x, weight, padding=1))

expected = work()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    child = os.fork()
    if child == 0:
        same = [work() == expected for _ in range(3)]
        told = [str(w.message) for w in caught if w.category is RuntimeWarning]
        print(same, cnnx.get_num_threads(), len(told), flush=True)
        os._exit(0)
for _ in range(200):
    if os.waitpid(child, os.WNOHANG)[0]:
        print("ended", work() == expected, cnnx.get_num_threads())
        break
    time.sleep(0.1)
else:
    os.kill(child, signal.SIGKILL)
    print("the child hangs")
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_child_works_on_one_thread_and_says_so_once(backend, threads):
    command = [sys.executable, "-c", FORK, backend, str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2, done.stdout + done.stderr
    assert lines[0].startswith("[True, True, True]"), lines[0]
    assert lines[1].startswith("ended True"), lines[1]
    if backend == "compiled":
        # Built without OpenMP there is one thread whatever is asked for, and nothing to tell.
        threads = threads if cnnx.config_dict()["OpenMP"].startswith("yes") else 1
        told = int(threads > 1)
        assert lines[0] == f"[True, True, True] 1 {told}", lines[0]
        assert lines[1] == f"ended True {threads}", lines[1]
