"""Prepared ops, driven by hand: prepare once, pack once, run often; the results are those of the op.

A family adds its rows to CASES: how to prepare the job, the inputs in the order of `Job.arrays`
(None for an optional one), and the op that gives the expected outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import cnnx

if "compiled" not in cnnx.available_backends():
    pytest.skip("needs the compiled backend", allow_module_level=True)

from cnnx.backends import compiled
from cnnx.backends.compiled import jobs


class Case(NamedTuple):
    """prepare(dtype) -> job; op(*inputs) -> its outputs; sizes: shapes of the inputs, None: absent."""

    prepare: Any
    op: Any
    shapes: tuple[tuple[int, ...] | None, ...]


def draw(shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [None if s is None else rng.standard_normal(s).astype(dtype) for s in shapes]


# --- linear

LINEAR = {
    f"linear {n}x{inputs}->{outputs} {activation}": Case(
        lambda dtype, n=n, inputs=inputs, outputs=outputs, activation=activation: (
            jobs.prepare_linear((n, inputs), (outputs, inputs), dtype, activation)
        ),
        lambda x, w, b, activation=activation: (compiled.linear(x, w, b, activation),),
        ((n, inputs), (outputs, inputs), (outputs,) if bias else None),
    )
    for n, inputs, outputs, activation, bias in [
        (1, 7, 5, None, True),
        (3, 400, 120, "relu", True),
        (33, 120, 84, "hardswish", False),
    ]
}

# --- activations

ACTIVATIONS = {
    f"{op} {shape} {options or ''}": Case(
        lambda dtype, op=op, shape=shape, options=options: jobs.prepare_activation(
            op, shape, dtype, **options
        ),
        lambda *inputs, op=op, options=options: (getattr(compiled, op)(*inputs, **options),),
        (shape,) * (2 if op.endswith("_backward") else 1),
    )
    for op, shape, options in [
        ("relu", (3, 5), {}),
        ("relu_backward", (40000,), {}),
        ("hardswish", (40000,), {}),
        ("leaky_relu", (3, 5), {"negative_slope": 0.3}),
        ("leaky_relu_backward", (3, 5), {"negative_slope": 0.3}),
        ("sigmoid", (3, 5), {}),
        ("tanh_backward", (3, 5), {}),
        ("softmax", (70, 10), {"axis": 1}),
        ("softmax_backward", (70, 10), {"axis": 1}),
        ("softmax_backward", (3, 100), {"axis": 1}),
        ("log_softmax", (2, 5, 4, 20), {"axis": 1}),
        ("log_softmax_backward", (2, 5, 4, 20), {"axis": 1}),
    ]
}

CASES = LINEAR | ACTIVATIONS


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def outputs_of(job):
    return [np.full(a.shape, np.nan, a.dtype) for a in job.arrays if a.role == "out"]


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
    with pytest.raises(ValueError, match=f"{first.name} has shape"):
        job.run(packed[0][:0], *packed[1:], *outputs)
    other = np.float64 if dtype == np.float32 else np.float32
    with pytest.raises(TypeError, match=f"{first.name} has dtype"):
        job.run(packed[0].astype(other), *packed[1:], *outputs)
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
