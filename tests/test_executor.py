"""The loop of a plan over prepared ops: what it refuses before it computes."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import compiled_only

pytestmark = compiled_only

X = np.ones((2, 3), np.float32)


def executor_of(dtype=np.float32):
    """z = (x + y) + y, where x, y and z are given, and the sum between is in the arena."""
    from cnnx.backends.compiled import jobs

    job = jobs.prepare_binary("add", (2, 3), (2, 3), dtype)
    size = 6 * np.dtype(dtype).itemsize
    steps = [
        (job, (("given", 0), ("given", 1), ("arena", 0))),
        (job, (("arena", 0), ("given", 1), ("given", 2))),
    ]
    return jobs.Executor(steps, size)


def run(*given, first=0, end=None):
    executor = executor_of()
    executor.run(executor.new_arena(), list(given), first, end)


def test_jobs_run_in_order_and_other_shapes_of_the_same_size_do():
    for shape in ((2, 3), (6,), (1, 3, 2)):
        z = np.zeros(shape, np.float32)
        run(X, X.reshape(shape), z)
        assert (z == 3).all()


def test_arrays_that_some_jobs_do_not_need_may_be_missing():
    executor, z = executor_of(), np.zeros((2, 3), np.float32)
    arena = executor.new_arena()
    executor.run(arena, [X, X, None], 0, 1)
    executor.run(arena, [None, X, z], 1, 2)
    assert (z == 3).all()
    with pytest.raises(TypeError, match="z is a NoneType"):
        executor.run(arena, [None, X, None], 1, 2)


def read_only():
    z = np.zeros((2, 3), np.float32)
    z.flags.writeable = False
    return z


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((X[:1], X, X.copy()), ValueError, r"x has shape \(1, 3\), but \(2, 3\)"),
        ((X, np.ones((2, 4), np.float32), X.copy()), ValueError, r"y has shape \(2, 4\)"),
        ((X.astype(np.float64), X, X.copy()), TypeError, "x has dtype float64"),
        ((X.astype(">f4"), X, X.copy()), TypeError, "x has dtype >f4"),
        ((X.tolist(), X, X.copy()), TypeError, "x is a list"),
        ((np.ones((3, 2), np.float32).T, X, X.copy()), ValueError, "x must be contiguous"),
        ((np.ones((2, 6), np.float32)[:, ::2], X, X.copy()), ValueError, "x must be contiguous"),
        ((X, X, read_only()), ValueError, "z is read-only"),
        ((X, X, np.ma.zeros((2, 3), np.float32)), TypeError, "z "),
    ],
)
def test_arrays_that_do_not_fit_are_refused_before_any_work(given, error, words):
    with pytest.raises(error, match=words):
        run(*given)
    if isinstance(given[2], np.ndarray) and given[2].dtype == np.float32:
        assert (np.asarray(given[2]) == (1 if given[2].any() else 0)).all()  # as it was


def test_an_array_that_is_not_aligned_is_refused():
    memory = np.zeros(25, np.uint8)
    with pytest.raises(ValueError, match="x must be contiguous and aligned"):
        run(memory[1:].view(np.float32).reshape(2, 3), X, X.copy())


def test_read_only_inputs_are_accepted():
    x, z = X.copy(), np.zeros((2, 3), np.float32)
    x.flags.writeable = False
    run(x, x, z)
    assert (z == 3).all()


def test_another_kernel_set_is_refused():
    import cnnx

    computes = cnnx.config.backend()
    if len(computes.usable_isas()) < 2:
        pytest.skip("this CPU has one kernel set")
    executor, before = executor_of(), computes.isa()
    try:
        computes.set_isa(computes.usable_isas()[-1])
        with pytest.raises(RuntimeError, match="another kernel set"):
            executor.run(executor.new_arena(), [X, X, X.copy()])
    finally:
        computes.set_isa(before)
