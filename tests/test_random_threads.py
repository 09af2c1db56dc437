"""Random streams: each thread and asyncio task that seeds has its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from training_helpers import blobs

import cnnx
from cnnx import random
from cnnx.layers import Dropout, Linear, ReLU, Sequential
from cnnx.losses import CrossEntropyLoss
from cnnx.optim import SGD


def bare_loop(seed):
    """An explicit training loop with drawn weights, order and masks, and one pause per step."""
    random.manual_seed(seed)
    x, y = blobs(60)
    model = Sequential(Linear(2, 16), ReLU(), Dropout(0.5), Linear(16, 3))
    loss_fn, optimizer = CrossEntropyLoss(), SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        yield
        chosen = random.generator().permutation(60)[:16]
        loss_fn(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        model.backward(loss_fn.backward(), need_dx=False)
        optimizer.step()
    yield model.state_dict()


def serial(seed):
    *_, weights = bare_loop(seed)
    return weights


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name


def test_loops_in_two_seeded_threads_give_the_bits_of_serial_runs():
    step = threading.Barrier(2)  # so that the threads draw in turns

    def work(seed):
        loop = bare_loop(seed)
        for _ in range(20):
            next(loop)
            step.wait()
        return next(loop)

    expected = [serial(1), serial(2)]
    with ThreadPoolExecutor(2) as pool:
        for weights, right in zip(pool.map(work, (1, 2)), expected, strict=True):
            assert_same(weights, right)


def test_seeded_asyncio_tasks_give_the_bits_of_serial_runs():
    async def work(seed):
        loop = bare_loop(seed)
        for _ in range(20):
            next(loop)
            await asyncio.sleep(0)
        return next(loop)

    async def both():
        return await asyncio.gather(work(1), work(2))

    expected = [serial(1), serial(2)]
    random.manual_seed(7)
    before = random.generator().random()
    for weights, right in zip(asyncio.run(both()), expected, strict=True):
        assert_same(weights, right)
    after = random.generator().random()
    random.manual_seed(7)
    assert [random.generator().random() for _ in range(2)] == [before, after]


def drawn():
    return random.generator().random(), random.dropout_key()


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_unseeded_threads_have_separate_streams_derived_from_the_main_thread():
    random.manual_seed(0)
    expected = [drawn() for _ in range(3)]
    runs = []
    for _ in range(2):
        random.manual_seed(0)
        mine = [drawn()]
        others = [in_a_thread(lambda: [drawn(), drawn()]) for _ in range(2)]
        assert mine + [drawn(), drawn()] == expected
        runs.append(others)
    assert runs[0] == runs[1]
    numbers = [*expected, *runs[0][0], *runs[0][1]]
    assert len(set(numbers)) == len(numbers) == 7
    random.manual_seed(1)
    assert in_a_thread(drawn) != runs[0][0][0]


def test_seeding_in_a_thread_does_not_affect_the_others():
    random.manual_seed(0)
    expected = drawn(), drawn()
    random.manual_seed(0)
    first = drawn()
    in_a_thread(lambda: random.manual_seed(5))
    state = in_a_thread(lambda: random.set_state({**random.get_state(), "dropout_calls": 99}))
    assert state is None
    assert (first, drawn()) == expected


def test_a_notebook_with_a_context_per_cell_is_seeded_once():
    contextvars.Context().run(random.manual_seed, 3)
    cells = [contextvars.Context().run(drawn) for _ in range(2)]
    random.manual_seed(3)
    assert [drawn(), drawn()] == cells


def test_seeding_inside_a_seeded_block_ends_with_the_block():
    random.manual_seed(4)
    expected = [drawn(), drawn()]
    random.manual_seed(4)
    before = drawn()
    with random.seeded(8):
        drawn()
        random.manual_seed(4)
        assert drawn() == expected[0]
    assert [before, drawn()] == expected
    assert contextvars.Context().run(drawn) not in expected  # the main thread's goes on as well


def test_fit_in_a_thread_is_fit_in_the_main_thread():
    def work():
        random.manual_seed(2)
        model = Sequential(Linear(2, 8), ReLU(), Dropout(0.5), Linear(8, 3))
        cnnx.fit(model, blobs(), epochs=2, verbose=False)
        return model.state_dict()

    assert_same(work(), in_a_thread(work))


def test_fits_side_by_side_give_the_bits_of_fits_one_after_another():
    def work(seed):
        with random.seeded(seed):
            model = Sequential(Linear(2, 8), ReLU(), Dropout(0.5), Linear(8, 3))
        cnnx.fit(model, blobs(), validation=blobs(30), epochs=4, seed=seed, verbose=False)
        return model.state_dict()

    expected = [work(1), work(2)]
    with ThreadPoolExecutor(2) as pool:
        for weights, right in zip(pool.map(work, (1, 2)), expected, strict=True):
            assert_same(weights, right)
