"""compile(tune=True): algorithms that are measured, and kept in the plan."""

from __future__ import annotations

import io

import numpy as np
import pytest
from engine_helpers import assert_close, compiled_only, drawn, trained

import cnnx
from cnnx.backends.choose import RULES, Convolution, candidates, choose, preferring
from cnnx.engine import tune

pytestmark = compiled_only


def net():
    conv = cnnx.Conv2D(16, 32, 3, padding=1), cnnx.ReLU(), cnnx.Conv2D(32, 24, 1), cnnx.ReLU()
    return trained(cnnx.Sequential(*conv, cnnx.Conv2D(24, 24, 3, padding=1), cnnx.Flatten()))


def kinds(plan):
    """The algorithms of the convolutions."""
    [program] = plan._programs.values()
    jobs = [entry.job.job for entry in program.entries if entry.job]
    return [job.name for job in jobs if getattr(job, "choice", None)]


@pytest.fixture
def slow_rules(monkeypatch):
    """Each convolution's last candidate is by far the fastest."""
    real = tune._measured

    def measured(make, inputs, turn):
        rows = real(make, inputs, turn)
        return [(c, name, 1.0 if name == candidates(c)[-1] else 2.0) for c, name, _ in rows]

    monkeypatch.setattr(tune, "_measured", measured)


@pytest.mark.usefixtures("slow_rules")
def test_what_is_faster_is_used_kept_in_the_file_and_explained(tmp_path):
    model, shape = net(), (16, 12, 20)
    usual = cnnx.compile(model, shape, batch=2)
    plan = cnnx.compile(model, shape, batch=2, tune=True)
    assert len(plan.choices) == 3
    assert kinds(plan) == [plan.choices[c] for c in plan.choices] != kinds(usual)
    assert "measured (" in plan.explain() and "16 -> 32" in plan.explain()
    assert "measured" not in usual.explain()
    x = drawn((2, *shape))
    assert_close(model, plan(x), model.predict(x))
    plan.save(tmp_path / "plan.npz")
    other = cnnx.load_plan(tmp_path / "plan.npz", batch=2)
    assert other.choices == plan.choices and kinds(other) == kinds(plan)
    assert np.array_equal(other(x), plan(x))
    one = drawn((1, *shape))  # another shape: the usual algorithms
    assert np.array_equal(plan(one), usual(one))


@pytest.mark.usefixtures("slow_rules")
def test_bits_do_not_depend_on_the_number_of_threads():
    model, shape = net(), (16, 24, 24)
    plan = cnnx.compile(model, shape, batch=2, tune=True)
    x, threads, found = drawn((2, *shape)), cnnx.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            cnnx.set_num_threads(count)
            found.append(plan(x).tobytes())
    finally:
        cnnx.set_num_threads(threads)
    assert len(set(found)) == 1


def test_the_clock_decides():
    """Real measurements: the outputs are right, and every choice is a candidate."""
    model, shape = net(), (16, 12, 20)
    plan = cnnx.compile(model, {"x": (2, *shape)}, tune=True)
    assert all(name in candidates(c) for c, name in plan.choices.items())
    x = drawn((2, *shape))
    assert_close(model, plan(x), model.predict(x))


def test_the_usual_algorithm_stays_unless_another_is_clearly_faster(monkeypatch):
    c = Convolution.of(
        "forward", (1, 64, 32, 32), (64, 64, 3, 3), (1, 64, 32, 32), (1, 1), (1, 1), "f4", True
    )
    first, second, *_ = candidates(c)
    for seconds, expected in ((0.97, {}), (0.9, {c: second})):
        rows = {0: [(c, first, 1.0)], 1: [(c, second, seconds)]}
        monkeypatch.setattr(tune, "_measured", lambda make, xs, turn, r=rows: r.get(turn, []))
        assert tune.tune(lambda: None, []) == expected


SHAPES = [
    ((1, 64, 8, 8), (64, 64, 3, 3), (1, 1), 1),
    ((2, 16, 9, 13), (20, 16, 3, 3), (1, 1), 1),
    ((1, 128, 4, 4), (128, 128, 3, 3), (1, 1), 1),
    ((1, 512, 7, 7), (64, 512, 3, 3), (1, 1), 1),
    ((1, 32, 10, 11), (24, 32, 1, 1), (1, 1), 1),
    ((2, 32, 10, 11), (32, 1, 3, 3), (2, 2), 32),
    ((1, 3, 17, 18), (8, 3, 5, 5), (2, 1), 1),
]


@pytest.mark.parametrize(("x_shape", "weight_shape", "stride", "groups"), SHAPES)
def test_every_candidate_computes_the_convolution(x_shape, weight_shape, stride, groups):
    filters, _, kernel, _ = weight_shape
    layer = cnnx.Conv2D(x_shape[1], filters, kernel, stride, padding=kernel // 2, groups=groups)
    model, asked = cnnx.Sequential(layer), []
    with preferring(lambda c: asked.append(c) if c.packed else None):
        cnnx.compile(model, x_shape[1:], batch=x_shape[0])
    c = asked[-1]  # of the batch, after that of one sample
    assert candidates(c)[0] == choose(c)
    x = drawn(x_shape)
    for name in candidates(c):
        plan = cnnx.compile(model, x_shape[1:])
        plan.choices, plan.tuned_on = {c: name}, cnnx.config.backend().isa()
        assert_close(model, plan(x), model.predict(x))
        assert kinds(plan) == [name]


def test_what_is_no_candidate_is_ignored():
    c = Convolution.of(
        "forward", (1, 3, 9, 9), (4, 3, 5, 5), (1, 4, 5, 5), (1, 1), (1, 1), "f4", True
    )
    for name in (*{rule.algorithm for rule in RULES} - set(candidates(c)), "none", None):
        with preferring(lambda _, name=name: name):
            assert choose(c) == "direct"
    with cnnx.use_algorithm("direct"):
        assert candidates(c) == ("direct",)


def test_other_kernels_ignore_the_choices_of_a_file():
    model, shape = net(), (16, 12, 20)
    usual, plan = (cnnx.compile(model, shape, batch=1) for _ in range(2))
    c = Convolution.of(
        "forward", (1, 16, 12, 20), (32, 16, 3, 3), (1, 32, 12, 20), (1, 1), (1, 1), "f4", True
    )
    plan.choices, plan.tuned_on = {c: candidates(c)[-1]}, "another"
    file = io.BytesIO()
    plan.save(file)
    file.seek(0)
    other = cnnx.load_plan(file, batch=1)
    assert other.choices and kinds(other) == kinds(usual)


@pytest.mark.parametrize(
    "tuned",
    [5, {}, {"kernels": "avx2", "choices": [[1, 2]]}, {"choices": [{"algorithm": "direct"}]}],
)
def test_damaged_choices_in_a_file_are_refused(tuned, tmp_path):
    path = tmp_path / "plan.npz"
    cnnx.compile(net(), (16, 12, 20)).save(path)
    arrays, meta = cnnx.io.load_npz(path)
    cnnx.io.save_npz(path, arrays, meta | {"tuned": tuned})
    with pytest.raises(ValueError, match=r"plan\.npz.* cannot be loaded"):
        cnnx.load_plan(path)


def test_tuning_needs_shapes_and_the_compiled_backend():
    with pytest.raises(ValueError, match=r"tune=True needs batch="):
        cnnx.compile(net(), (16, 12, 20), tune=True)
    with pytest.raises(TypeError, match="tune=1"):
        cnnx.compile(net(), (16, 12, 20), tune=1)
    with cnnx.use_backend("reference"), pytest.raises(RuntimeError, match="not in use"):
        cnnx.compile(net(), (16, 12, 20), batch=1, tune=True)
