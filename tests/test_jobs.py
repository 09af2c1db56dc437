"""Prepared ops, driven by hand: prepare and pack once, run often; the bits are those of the op."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cnnx

if "compiled" not in cnnx.available_backends():
    pytest.skip("needs the compiled backend", allow_module_level=True)

import tolerance
from job_case import draw
from job_cases import CASES, CONVOLUTION, CONVOLUTIONS, PACKED, packed_once
from job_cases_elementwise import ARITHMETIC, CURVES, PRELU, UNARY

from cnnx.backends import choose, compiled
from cnnx.backends.compiled import jobs


@pytest.mark.parametrize("key", CONVOLUTION)
def test_the_job_of_a_convolution_has_the_algorithm_of_its_case(key):
    assert CONVOLUTION[key].prepare(np.float32).name == key.partition(" ")[0]


def test_every_algorithm_has_a_convolution_here():
    here = {row[0] for row in (*CONVOLUTIONS, *PACKED)}
    assert here == {rule.algorithm for rule in choose.RULES}


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def outputs_of(job):
    """Of bytes 0xFF: NaN, if they are floats."""
    arrays = [np.empty(array.shape, array.dtype) for array in job.arrays if array.role == "out"]
    for array in arrays:
        array.view(np.uint8).fill(0xFF)
    return arrays


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_job_gives_the_bits_of_the_op_each_time_it_runs(case, dtype):
    job = case.prepare(dtype)
    for seed in range(2):
        inputs = draw(case.shapes, dtype, seed)
        expected = case.op(*inputs)
        roles = [array.role for array in job.arrays if array.role != "out"]
        packed = [
            job.pack(x) if role == "weight" else x for x, role in zip(inputs, roles, strict=True)
        ]
        for _ in range(2):
            found = outputs_of(job)
            job.run(*packed, *found)
            for one, other in zip(found, expected, strict=True):
                assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_arrays_that_do_not_fit_are_refused_before_any_work(case, dtype):
    job = case.prepare(dtype)
    inputs = draw(case.shapes, dtype)
    roles = [array.role for array in job.arrays if array.role != "out"]
    packed = [job.pack(x) if r == "weight" else x for x, r in zip(inputs, roles, strict=True)]
    outputs = outputs_of(job)
    first = job.arrays[0]
    with pytest.raises(TypeError, match="arrays given, expected"):
        job.run(*packed)
    with pytest.raises(ValueError, match=f"{re.escape(first.name)} has shape"):
        job.run(packed[0][:0], *packed[1:], *outputs)
    other = np.float64 if dtype == np.float32 else np.float32
    with pytest.raises(TypeError, match=f"{re.escape(first.name)} has dtype"):
        job.run(packed[0].astype(other), *packed[1:], *outputs)
    if first.role != "optional":
        with pytest.raises(TypeError, match=f"{first.name} is a NoneType"):
            job.run(None, *packed[1:], *outputs)
    outputs[0].flags.writeable = False
    with pytest.raises(ValueError, match="is read-only"):
        job.run(*packed, *outputs)
    assert np.isnan(outputs[0]).all()


def test_a_job_of_another_kernel_set_is_refused():
    sets = compiled.usable_isas()
    if len(sets) < 2:
        pytest.skip("this CPU has one kernel set")
    case = next(iter(CASES.values()))
    before = compiled.isa()
    job = case.prepare(np.dtype(np.float32))
    inputs = draw(case.shapes, np.float32)
    compiled.set_isa(next(name for name in sets if name != before))
    try:
        with pytest.raises(RuntimeError, match="another kernel set"):
            job.run(*inputs, *outputs_of(job))
        case.op(*inputs)  # an eager op prepares a job of its own
    finally:
        compiled.set_isa(before)


def test_eager_ops_keep_one_job_for_each_geometry():
    jobs.clear()
    x, w = draw([(2, 3), (4, 3)], np.float32)
    for _ in range(3):
        compiled.linear(x, w, None, None)
    assert jobs.count() == 1
    compiled.linear(x, w, None, "relu")
    compiled.linear(x[:1].copy(), w, None, None)
    assert jobs.count() == 3


def test_a_batch_norm_job_updates_the_running_statistics_as_the_op_does(dtype):
    x_shape = 8, 3, 30
    job = jobs.prepare_batch_norm(x_shape, dtype, True, 1e-5)
    x, *running = draw([x_shape, (3,), (3,)], dtype)
    kept = [statistic.copy() for statistic in running]
    rate = np.array(0.3)
    for momentum in (rate, None):
        job.run(x, None, None, None, *kept, momentum, *outputs_of(job))
        if momentum is not None:
            compiled.batch_norm(x, None, None, *running, True, 0.3, 1e-5, None, None)
        for one, other in zip(kept, running, strict=True):
            assert one.tobytes() == other.tobytes()
    kept[1].flags.writeable = False
    with pytest.raises(ValueError, match="running_var is read-only"):
        job.run(x, None, None, None, *kept, rate, *outputs_of(job))


IN_PLACE = CURVES | PRELU | ARITHMETIC | UNARY


@pytest.mark.parametrize("case", IN_PLACE.values(), ids=IN_PLACE)
def test_elementwise_jobs_may_write_over_an_operand_of_the_size_of_the_result(case, dtype):
    job = case.prepare(dtype)
    inputs = draw(case.shapes, dtype)
    (expected,) = case.op(*inputs)
    roles = [array.role for array in job.arrays if array.role != "out"]
    for k, x in enumerate(inputs):
        if x.shape == expected.shape and roles[k] == "in":
            own = [one.copy() for one in inputs]
            packed = [
                job.pack(one) if role == "weight" else one
                for one, role in zip(own, roles, strict=True)
            ]
            job.run(*packed, own[k])
            assert own[k].tobytes() == expected.tobytes()


def test_a_concatenation_leaves_what_is_in_its_place(dtype):
    shapes = [(2, 3, 4), (2, 1, 4), (2, 2, 4)]
    job = jobs.prepare_concat(shapes, dtype, 1)
    a, b, c = draw(shapes, dtype)
    y = np.full((2, 6, 4), 7, dtype)
    job.run(a, None, c, y)
    assert y.tobytes() == np.concatenate([a, np.full_like(b, 7), c], 1).tobytes()
    assert jobs.prepare_concat([(1, 1)] * 64, dtype, 1) is None  # too many for one job


def test_a_convolution_is_not_prepared_for_shapes_that_do_not_fit_together():
    x, weight, y, rest = (1, 4, 5, 5), (6, 2, 3, 3), (1, 6, 3, 3), ((1, 1), (0, 0), (1, 1))
    jobs.prepare_convolution("forward", x, weight, y, *rest, np.float32)
    for shapes in [
        (x, (6, 3, 3, 3), y),
        (x, (7, 2, 3, 3), (1, 7, 3, 3)),
        (x, weight, (2, 6, 3, 3)),
        (x, weight, (1, 5, 3, 3)),
        ((0, 4, 5, 5), weight, (0, 6, 3, 3)),
    ]:
        with pytest.raises(ValueError, match="do not fit together"):
            jobs.prepare_convolution("forward", *shapes, *rest, np.float32)
    with pytest.raises(ValueError, match="direction is 'sideways'"):
        jobs.prepare_convolution("sideways", x, weight, y, *rest, np.float32)


@pytest.mark.parametrize("row", PACKED, ids=str)
def test_weights_that_are_packed_once_have_the_algorithm_that_is_fastest_then(row, all_threads):
    algorithm, eager, *shapes, stride = row
    padding = (shapes[1][2] // 2,) * 2
    windows = (stride, stride), padding, (1, 1)
    job = packed_once(row)
    assert job.name == algorithm
    assert jobs.prepare_convolution("forward", *shapes, *windows, np.float32).name == eager
    x, weight, bias, add = draw([shapes[0], shapes[1], shapes[1][:1], shapes[2]], np.float32)
    settings = windows[0], (padding, padding), (1, 1), 1
    with cnnx.use_backend("reference"):
        exact = [array.astype(np.float64) for array in (x, weight, bias)]
        expected = np.maximum(cnnx.ops.conv2d(*exact, *settings) + add, 0)
        magnitude = cnnx.ops.conv2d(*map(np.abs, exact), *settings) + abs(add)
    if choose.is_winograd(algorithm):
        magnitude = tolerance.AMPLIFICATION * magnitude.max()
    limit = tolerance.tolerance(np.float32, weight[0].size) * magnitude
    packed, found = job.pack(weight), []
    for threads in (1, 3):
        cnnx.set_num_threads(threads)
        found += outputs_of(job)
        job.run(x, packed, bias, add, found[-1])
    tolerance.assert_close(found[0], expected, limit)
    tolerance.assert_same_bits(found[1], found[0], "3 threads")
