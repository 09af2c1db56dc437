"""Plans: the same from any thread, with any number of threads, on any backend and kernel set."""

from __future__ import annotations

import threading

import pytest
from engine_helpers import COMPILED, SMALL, assert_close, compiled_only, drawn, small, varied

import cnnx
from cnnx import Conv2D, Sequential


@compiled_only
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("build", [small, varied])
def test_the_bits_are_the_same_for_any_number_of_threads(build, batch):
    from cnnx.backends.compiled import parallel

    before, least = cnnx.get_num_threads(), parallel._set_worth_a_thread(0)
    parallel._teams()
    try:
        found = set()
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            found.add(cnnx.compile(build(), SMALL)(drawn((batch, *SMALL))).tobytes())
            assert parallel._teams()[1] == threads
    finally:
        cnnx.set_num_threads(before)
        parallel._set_worth_a_thread(least)
    assert len(found) == 1


@compiled_only
@pytest.mark.parametrize("least", [0, 1])  # nanoseconds; at 0, all threads take part in every loop
def test_thousands_of_loops_of_one_region_lose_no_task(least):
    """More threads than cores: some come too late, when others have done their tasks."""
    from cnnx.backends.compiled import parallel

    plan, x = cnnx.compile(varied(), SMALL), drawn((2, *SMALL))
    cnnx.set_num_threads(1)
    expected = plan(x).tobytes()
    before = parallel._set_worth_a_thread(least)
    try:
        cnnx.set_num_threads(4)
        parallel._teams()
        assert all(plan(x).tobytes() == expected for _ in range(200))
        assert parallel._teams()[1] == 4
    finally:
        parallel._set_worth_a_thread(before)


def test_many_threads_may_call_one_plan_at_the_same_time():
    model = small()
    images = [drawn((1 + i % 2, *SMALL), seed=i) for i in range(6)]
    once = cnnx.compile(model, SMALL)
    expected = [once(x).tobytes() for x in images]
    plan = cnnx.compile(model, SMALL)  # nothing is prepared: the threads do it
    wrong, start = [], threading.Barrier(6)

    def predict(i):
        start.wait()
        for _ in range(50):
            if plan(images[i]).tobytes() != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    if COMPILED:
        assert len(plan._programs) == 2


def test_the_reference_backend_computes_the_same_steps():
    model = small()
    plan = cnnx.compile(model, SMALL)
    x = drawn((2, *SMALL))
    found = plan(x)
    with cnnx.use_backend("reference"):
        assert_close(model, plan(x), found)
        assert cnnx.compile(model, SMALL, batch=2)(x).tobytes() == plan(x).tobytes()
        with pytest.raises(RuntimeError, match="compiled backend is not in use"):
            plan.profile(x)


@compiled_only
def test_another_kernel_set_and_another_algorithm_make_another_program():
    from cnnx.backends import compiled

    shape = (16, 12, 12)
    model = Sequential(Conv2D(16, 16, 3))
    plan = cnnx.compile(model, shape, batch=1)
    x = drawn((1, *shape))
    by_winograd = plan(x)
    with cnnx.use_algorithm("direct"):
        assert plan(x).tobytes() == model(x).tobytes() != by_winograd.tobytes()
    before = compiled.isa()
    try:
        for isa in compiled.usable_isas():
            compiled.set_isa(isa)
            assert plan(x).tobytes() == model(x).tobytes()
    finally:
        compiled.set_isa(before)
