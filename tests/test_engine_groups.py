"""Large batches that run as groups of samples."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from engine_helpers import (
    SMALL,
    Halves,
    assert_close,
    compiled_only,
    drawn,
    small,
    trained,
    two_by_two,
    varied,
)

import cnnx
from cnnx import BatchNorm2D, Concat, Conv2D, Flatten, Linear, ReLU, Sequential, Softmax
from cnnx.engine import groups
from cnnx.engine.groups import Groups, one_group

pytestmark = compiled_only


@pytest.fixture
def group_of(monkeypatch):
    """Sets the size of a group."""
    return lambda size: (
        monkeypatch.setattr(groups, "group_size", lambda *_: size)
        or (monkeypatch.setattr("cnnx.engine.plan.group_size", lambda *_: size))
    )


def prepared(model, shape, batch):
    return cnnx.compile(model, shape, batch=batch)._described(batch)


# ------------------------------------------------------------------------- what runs in groups


@pytest.mark.parametrize(
    ("layers", "apart"),
    [
        ([Conv2D(3, 4, 3), BatchNorm2D(4), ReLU(), Flatten(), Linear(224, 4), Softmax()], True),
        ([BatchNorm2D(3, track_running_stats=False)], False),
        ([Flatten(), Softmax(axis=0)], False),
        ([Flatten(), Softmax(axis=-2)], False),
        ([Concat(Conv2D(3, 4, 1), Conv2D(3, 2, 1))], True),
        ([Concat(Conv2D(3, 4, 1), Conv2D(3, 4, 1), axis=0)], False),
        ([cnnx.InstanceNorm2D(3, affine=True)], False),  # runs in Python
        ([Conv2D(3, 4, 3), Halves()], False),
    ],
)
def test_only_steps_that_compute_each_sample_by_itself(layers, apart):
    program = prepared(trained(Sequential(*layers)), SMALL, 4)
    assert one_group(program).by_sample is apart


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1)])
def test_a_transpose_of_samples_is_none(order):
    from cnnx.onnx.layers import Transpose

    plan = cnnx.compile(Sequential(cnnx.Tanh(), Transpose(order)), {"x": (4, 4, 5)})
    plan(np.zeros((4, 4, 5)))
    assert plan._described(None).by_sample is (order[0] == 0)


@pytest.mark.parametrize("shape", [(2, 5), (1, 5), (5,)])
def test_a_constant_may_belong_to_certain_samples(shape, group_of):
    from cnnx.onnx.layers import Binary

    layer, scales = Binary("mul"), drawn(shape)
    layer.fix(1, scales)
    model = Sequential(cnnx.Tanh(), layer).eval()
    group_of(1)
    plan, x = cnnx.compile(model, {"x": (2, 5)}), drawn((2, 5))
    np.testing.assert_allclose(plan(x), np.tanh(x) * scales, rtol=1e-6)
    assert one_group(plan._described(None)).by_sample is (shape != (2, 5))


def test_small_networks_have_large_groups_and_large_weights_none():
    sizes = {}
    for name in ("lenet5", "mnist_cnn", "resnet20", "vgg", "mlp"):
        shape = (3, 32, 32) if name in ("resnet20", "vgg") else (1, 28, 28)
        program = prepared(cnnx.models.build(name, shape, 10).eval(), shape, 32)
        sizes[name] = one_group(program).batch
    assert sizes["resnet20"] == 1 and 8 <= sizes["mnist_cnn"] <= 16
    assert sizes["vgg"] == sizes["mlp"] == sizes["lenet5"] == 32  # the whole batch


# --------------------------------------------------------------------------------- what they give


@pytest.mark.parametrize("batch", [2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("build", [small, varied])
def test_each_group_has_the_bits_of_a_batch_of_its_size(build, size, batch, group_of):
    model, x = build(), drawn((batch, *SMALL))
    group_of(groups._NEVER)
    whole = cnnx.compile(model, SMALL)
    expected = np.concatenate([whole(x[i : i + size]) for i in range(0, batch, size)])
    group_of(size)
    plan = cnnx.compile(model, SMALL, batch=batch)
    assert isinstance(plan._described(batch), Groups) is (2 * size <= batch)
    if 2 * size <= batch:
        assert plan(x).tobytes() == expected.tobytes()
    assert_close(model, plan(x), model(x))


@pytest.mark.parametrize("batch", [3, 4, 7])
def test_the_bits_are_the_same_for_any_number_of_threads(batch, group_of):
    from cnnx.backends.compiled import parallel

    group_of(1)
    before, least = cnnx.get_num_threads(), parallel._set_worth_a_thread(0)
    plan, x = cnnx.compile(varied(), SMALL), drawn((batch, *SMALL))
    try:
        found = set()
        for threads in (1, 2, 3, 5):
            cnnx.set_num_threads(threads)
            parallel._teams()
            found.add(plan(x).tobytes())
            assert parallel._teams()[1] == threads
    finally:
        cnnx.set_num_threads(before)
        parallel._set_worth_a_thread(least)
    assert len(found) == 1


def test_several_inputs_and_outputs(group_of):
    group_of(2)
    model = two_by_two()
    plan = cnnx.compile(model, [(4,), (4, 5, 5)], batch=7)
    a, b = drawn((7, 4)), drawn((7, 4, 5, 5))
    a_before, b_before = a.copy(), b.copy()
    for found, expected in zip(plan(a, b), model(a, b), strict=True):
        assert_close(model, found, expected)
        assert not np.may_share_memory(found, a) and not np.may_share_memory(found, b)
    assert (a == a_before).all() and (b == b_before).all()


def test_inputs_of_different_batches_run_as_they_are(group_of):
    group_of(2)
    model = two_by_two()
    plan = cnnx.compile(model, [(4,), (4, 5, 5)])
    a, b = drawn((7, 4)), drawn((6, 4, 5, 5))
    for found, expected in zip(plan(a, b), model(a, b), strict=True):
        assert_close(model, found, expected)


def test_an_output_that_is_there_twice_and_one_that_is_an_input(group_of):
    group_of(1)
    x = cnnx.Input((6,))
    h = ReLU()(Linear(6, 6)(x))
    model = cnnx.Graph(x, (h, Flatten()(h), x)).eval()
    given = drawn((4, 6))
    first, second, third = cnnx.compile(model, 6, batch=4)(given)
    assert (first == second).all() and (third == given).all()
    assert not np.may_share_memory(first, second) and not np.may_share_memory(third, given)


def test_many_threads_may_run_groups_of_one_plan(group_of):
    group_of(1)
    plan = cnnx.compile(small(), SMALL, batch=6)
    images = [drawn((6, *SMALL), seed=i) for i in range(4)]
    expected = [plan(x).tobytes() for x in images]
    wrong = []

    def run(i):
        wrong.extend(i for _ in range(20) if plan(images[i]).tobytes() != expected[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_a_plan_says_of_groups(group_of):
    group_of(2)
    plan = cnnx.compile(small(), SMALL, batch=5)
    assert "2 groups of 2 samples, and 1 more" in plan.explain()
    assert plan.memory().count("\n") > 3
    profile = plan.profile(drawn((5, *SMALL)), repeat=1)
    assert len(profile) == len(plan.profile(drawn((2, *SMALL)), repeat=1))


def test_arrays_that_are_no_groups_are_refused():
    from cnnx.backends.compiled import jobs

    executor = jobs.Executor(
        [
            (
                jobs.prepare_binary("add", (2, 3), (2, 3), np.float32),
                (("given", 0), ("given", 1), ("given", 2)),
            )
        ],
        0,
    )
    x, y = np.ones((6, 3), np.float32), np.zeros((6, 3), np.float32)
    executor.run_groups([x, x, y], 3)
    assert (y == 2).all()
    with pytest.raises(ValueError, match=r"has shape \(6, 3\), but \(2, 3\) is expected"):
        executor.run_groups([x, x, y], 2)
