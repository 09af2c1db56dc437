"""Threads: any number gives the same bits, a forked child works, and so do two Python threads.

In the compiled backend, short loops run on one thread. Here every loop gets all requested threads
(`all_threads`, see conftest.py), and the actual number is asserted. Each of five threads finds a
task in every loop of the cases, and tasks last long enough to overlap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import cases
import numpy as np
import pytest
import tolerance

import cnnx
from cnnx.backends import choose

BACKENDS = cnnx.available_backends()
ROOT = Path(__file__).parents[1]
ROUNDS = 12
THREADS = (1, 2, 3, 5)

# Direction, algorithm, and the x, weight and options of a layer that it computes. If an algorithm
# has several variants, all: stride 1 and strided, planes in place and gathered, and for the kernel
# sets of 8 lanes the three ways in which "direct" reads windows.
CONVOLUTIONS = [
    ("forward", "direct", (9, 13, 40, 17), (18, 13, 3, 3), {"padding": 1}),
    ("forward", "direct", (40, 13, 12, 11), (16, 13, 3, 3), {"padding": 1}),
    ("forward", "direct", (40, 13, 12, 11), (18, 13, 3, 3), {"padding": 1}),
    ("forward", "columns", (1, 140, 7, 5), (300, 140, 3, 3), {"padding": 1}),
    ("forward", "pointwise", (18, 60, 13, 12), (90, 60, 1, 1), {}),
    ("forward", "pointwise", (60, 60, 9, 12), (90, 60, 1, 1), {"stride": 2}),
    ("forward", "depthwise", (18, 40, 28, 30), (80, 1, 3, 3), {"padding": 1, "groups": 40}),
    *(
        (way, "depthwise_by_planes", (18, 80, 68, 30), (80, 1, 3, 3), {"padding": 1, "groups": 80})
        for way in ("forward", "backward_data")
    ),
    (
        *("forward", "depthwise_by_planes", (18, 80, 68, 63), (80, 1, 3, 3)),
        {"padding": 1, "groups": 80, "stride": 2},
    ),
    ("forward", "winograd", (18, 40, 14, 15), (50, 40, 3, 3), {"padding": 1}),
    ("forward", "winograd_by_filters", (5, 130, 7, 8), (140, 130, 3, 3), {"padding": 1}),
    ("backward_data", "direct", (9, 13, 40, 17), (18, 13, 3, 3), {"padding": 1}),
    ("backward_data", "direct", (18, 13, 27, 31), (24, 13, 3, 3), {"padding": 1, "stride": 2}),
    ("backward_data", "implicit_gemm", (40, 19, 12, 11), (18, 19, 3, 2), {"padding": 1}),
    ("backward_data", "implicit_gemm", (40, 19, 12, 11), (38, 19, 3, 3), {"stride": 2}),
    ("backward_data", "columns", (1, 140, 4, 5), (300, 140, 3, 3), {"padding": 1}),
    ("backward_data", "pointwise", (18, 60, 13, 12), (90, 60, 1, 1), {}),
    ("backward_data", "pointwise", (60, 60, 9, 12), (90, 60, 1, 1), {"stride": 2}),
    ("backward_data", "depthwise", (18, 40, 28, 30), (80, 1, 3, 3), {"padding": 1, "groups": 40}),
    ("backward_data", "winograd", (18, 40, 14, 15), (50, 40, 3, 3), {"padding": 1}),
    ("backward_data", "winograd_by_filters", (5, 140, 7, 8), (130, 140, 3, 3), {"padding": 1}),
    ("backward_weight", "direct", (18, 13, 20, 17), (18, 13, 3, 3), {"padding": 1}),
    ("backward_weight", "columns", (1, 140, 7, 5), (300, 140, 3, 3), {"padding": 1}),
    ("backward_weight", "pointwise", (18, 60, 13, 12), (90, 60, 1, 1), {}),
    ("backward_weight", "pointwise", (60, 60, 9, 12), (90, 60, 1, 1), {"stride": 2}),
    ("backward_weight", "depthwise", (18, 80, 28, 30), (80, 1, 3, 3), {"padding": 1, "groups": 80}),
    ("backward_weight", "winograd", (18, 40, 14, 15), (50, 40, 3, 3), {"padding": 1}),
    ("backward_weight", "winograd_by_strips", (30, 20, 14, 15), (18, 20, 3, 3), {"padding": 1}),
]
DIRECTIONS = {"forward": "conv2d", "backward_data": "conv_transpose2d"}
DIRECTIONS |= {"backward_weight": "conv2d_backward"}


def _convolution(direction, algorithm, x_shape, weight_shape, options):
    """A case whose op runs one direction of a layer: backward-data is the transposed layer."""
    if direction == "forward":
        make = cases._conv2d(x_shape, weight_shape, options)
    elif direction == "backward_weight":
        make = cases._conv2d_backward(x_shape, weight_shape, options, need_dx=False)
    else:
        y_shape = cases.conv_shape(x_shape, weight_shape, **options)
        make = cases._conv_transpose2d(y_shape, weight_shape, options)
    return cases.Case(DIRECTIONS[direction], f"{direction}-{algorithm}", make)


# Other loops than those of an op's large case: short vectors, other axes, wide argmax ...
OTHERS = [
    cases.Case("linear", "dots", lambda r: _drawn(r, x=(3, 90), weight=(150, 90))),
    cases.Case("softmax", "axis-0", lambda r: _drawn(r, x=(9, 5000)) | {"axis": 0}),
    cases.Case("softmax", "short", lambda r: _drawn(r, x=(5000, 9))),
    cases.Case("log_softmax", "axis-1", lambda r: _drawn(r, x=(8, 9, 700))),
    cases.Case("batch_norm", "short-planes", lambda r: _drawn(r, x=(30, 90, 7, 7))),
    cases.Case("batch_norm", "features", lambda r: _drawn(r, x=(40, 8000))),
    cases.Case("max_pool2d", "pairs", lambda r: _drawn(r, x=(9, 8, 30, 32)) | {"kernel_size": 2}),
    cases.Case("avg_pool2d", "pairs", lambda r: _drawn(r, x=(9, 8, 31, 32)) | {"kernel_size": 2}),
    cases.Case("max_pool2d", "wide", lambda r: _drawn(r, x=(9, 8, 20, 20)) | {"kernel_size": 17}),
    cases.Case(
        "max_pool2d_backward",
        "all-ties",
        lambda r: (
            _drawn(r, dy=(9, 8, 15, 15))
            | {"argmax": np.full((9, 8, 15, 15), 4, np.uint8), "x_shape": (9, 8, 31, 31)}
            | {"kernel_size": 3, "stride": 2, "ties": "all", "x": np.ones((9, 8, 31, 31))}
        ),
    ),
    cases.Case(
        "avg_pool2d_backward",
        "pairs",
        lambda r: _drawn(r, dy=(9, 8, 15, 16)) | {"x_shape": (9, 8, 31, 32), "kernel_size": 2},
    ),
    cases.Case(
        "cross_entropy",
        "short",
        lambda r: _drawn(r, logits=(500, 9)) | {"target": r.integers(9, size=500)},
    ),
]


def _drawn(rng, **shapes):
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


EVERY = [*(_convolution(*row) for row in CONVOLUTIONS), *OTHERS, *cases.LARGE.values()]


def _called(case, dtype):
    return cases.call(getattr(cnnx.ops, case.op), case.op, case.arguments(dtype))


def _threads_of(number):
    """The actual number for a requested number: one in a build without OpenMP."""
    return number if cnnx.config_dict()["OpenMP"].startswith("yes") else 1


@pytest.mark.skipif("compiled" not in BACKENDS, reason="the reference has no threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("case", EVERY, ids=str)
def test_an_op_gives_the_same_bits_for_any_number_of_threads(case, dtype, all_threads):
    expected = None
    for threads in THREADS:
        cnnx.set_num_threads(threads)
        all_threads()
        results = _called(case, dtype)
        assert all_threads() == (_threads_of(threads),) * 2, f"{case}: threads that ran"
        expected = expected or results
        tolerance.assert_all_same_bits(results, expected, f"{case}, {threads} threads")


@pytest.mark.parametrize("row", CONVOLUTIONS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_convolution_of_the_table_is_computed_by_its_algorithm(row):
    direction, algorithm, x_shape, weight_shape, options = row
    y_shape = cases.conv_shape(x_shape, weight_shape, **options)
    stride = (options.get("stride", 1),) * 2
    convolution = choose.Convolution.of(
        direction, x_shape, weight_shape, y_shape, stride, (1, 1), np.float32
    )
    assert choose.choose(convolution) == algorithm


def test_the_table_contains_every_algorithm_of_every_direction():
    """`implicit_gemm` and `winograd_by_...` exist for some directions only, as their rules say;
    what is for packed weights alone is in test_jobs."""
    here = {(direction, algorithm) for direction, algorithm, *_ in CONVOLUTIONS}
    one_kind = {
        "implicit_gemm": ("backward_data",),
        "winograd_by_filters": ("forward", "backward_data"),
        "winograd_by_strips": ("backward_weight",),
        "columns_by_panels": (),
        "pointwise_by_panels": (),
        "winograd_by_panels": (),
        "depthwise_by_planes": ("forward", "backward_data"),
    }
    assert here == {
        (direction, rule.algorithm)
        for rule in choose.RULES
        for direction in one_kind.get(rule.algorithm, choose.DIRECTIONS)
    }


@pytest.mark.parametrize("op", cases.LARGE)
def test_the_reference_gives_the_same_bits_again(op):
    with cnnx.use_backend("reference"):
        first, second = (_called(cases.LARGE[op], np.float32) for _ in range(2))
    tolerance.assert_all_same_bits(second, first, op)


def test_a_short_loop_stays_on_one_thread():
    """Otherwise every small op would wait for threads to wake up."""
    if "compiled" in BACKENDS:
        teams = cnnx.backends.load("compiled").parallel._teams
        cnnx.set_num_threads(3)
        teams()
        cnnx.ops.relu(np.ones(100, np.float32))
        assert teams() == (1, 1)
        cnnx.ops.relu(np.ones(3_000_000, np.float32))
        assert teams() == (_threads_of(3),) * 2


@pytest.mark.skipif("compiled" not in BACKENDS, reason="the reference has no threads")
@pytest.mark.parametrize("batch, most", [(1, 1), (32, 3)])
def test_a_training_step_of_one_image_stays_on_one_thread(batch, most):
    """Several threads would wait for a busy process at every loop, and save little."""
    teams = cnnx.backends.load("compiled").parallel._teams
    cnnx.set_num_threads(3)
    model, loss = cnnx.models.lenet5(), cnnx.CrossEntropyLoss()
    optimizer = cnnx.Adam(model.parameters())
    teams()
    loss(model(np.ones((batch, 1, 28, 28), np.float32)), np.zeros(batch, int))
    model.backward(loss.backward())
    optimizer.step()
    assert teams() == (1, _threads_of(most))


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
        for threads in (1, 3):
            cnnx.set_num_threads(threads)
            result = _train(getattr(cnnx, optimizer))
            assert np.isfinite(result["losses"]).all()
            expected = expected or {name: value.copy() for name, value in result.items()}
            tolerance.assert_all_same_bits(result, expected, f"{threads} threads")


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_python_threads_can_compute_at_the_same_time(backend):
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


def test_a_backend_selected_in_one_thread_does_not_affect_another():
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


NO_ROOM = """
import resource, sys, warnings
import numpy as np
import cnnx

cnnx.set_num_threads(1)
x = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
expected = cnnx.ops.sigmoid(x).copy()
cnnx.set_num_threads(int(sys.argv[1]))
pages = int(open("/proc/self/statm").read().split()[0])
room = pages * resource.getpagesize() + 3_000_000   # less than a stack
resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    same = [np.array_equal(cnnx.ops.sigmoid(x), expected) for _ in range(2)]
told = [str(w.message) for w in caught if w.category is RuntimeWarning]
print(same, cnnx.get_num_threads(), len(told), told[0].partition(":")[0])
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
cnnx.set_num_threads(int(sys.argv[1]))
print(np.array_equal(cnnx.ops.sigmoid(x), expected), cnnx.get_num_threads())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, limits memory")
@pytest.mark.parametrize("threads", [2, 5])
def test_without_memory_for_threads_one_computes_with_a_single_warning(threads):
    if not cnnx.config_dict().get("OpenMP", "").startswith("yes"):
        pytest.skip("one thread, whatever is asked for")
    environment = os.environ | {"CNNX_BACKEND": "compiled", "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", NO_ROOM, str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    limited, free = done.stdout.splitlines()
    assert limited == "[True, True] 1 1 cnnx runs on one thread"
    assert free == f"True {threads}"


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_child_computes_on_one_thread_with_a_single_warning(backend, threads):
    command = [sys.executable, "-c", FORK, backend, str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2, done.stdout + done.stderr
    assert lines[0].startswith("[True, True, True]"), lines[0]
    assert lines[1].startswith("ended True"), lines[1]
    if backend == "compiled":
        # Built without OpenMP, there is one thread in any case, and no warning.
        threads = _threads_of(threads)
        told = int(threads > 1)
        assert lines[0] == f"[True, True, True] 1 {told}", lines[0]
        assert lines[1] == f"ended True {threads}", lines[1]
