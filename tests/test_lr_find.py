"""lr_find: the rates that it tries, the rate that it suggests, and that it leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
from training_helpers import blobs, mlp

import cnnx
from cnnx.layers import BatchNorm1D, Dropout, Linear, Sequential
from cnnx.optim import SGD, Adam


def line():
    """A regression whose largest curvature is known: plain descent diverges above 2 / it."""
    x = np.random.default_rng(0).normal(size=(64, 3))
    y = x @ [[1.0], [-2.0], [0.5]]
    hessian = 2 * x.T @ x / len(x)  # of the mean of (x w - y)^2
    return x, y, float(np.linalg.eigvalsh(hessian)[-1])


def test_the_sweep_of_plain_descent_explodes_above_the_known_limit_and_suggests_a_rate_below_it():
    x, y, curvature = line()
    cnnx.manual_seed(0)
    model = Sequential(Linear(3, 1, bias=False)).astype(np.float64)
    found = cnnx.lr_find(
        model,
        (x, y),
        optimizer=SGD(model.parameters(), lr=1.0),
        loss=cnnx.MSELoss(),
        lr_min=1e-4,
        lr_max=100.0,
        batch_size=64,
        seed=0,
    )
    assert found.lrs[0] == pytest.approx(1e-4) and len(found.lrs) < 100
    ratios = np.divide(found.lrs[1:], found.lrs[:-1])
    np.testing.assert_allclose(ratios, 1e6 ** (1 / 99))
    assert found.lrs[-1] > 2 / curvature
    assert 0.005 / curvature < found.suggestion < 2 / curvature
    assert repr(found).startswith(f"LearningRates(suggestion {found.suggestion:.3g}; ")


@pytest.mark.parametrize("fails", [False, True])
def test_model_optimiser_and_random_stream_are_as_before(fails):
    cnnx.manual_seed(0)
    model = Sequential(Linear(2, 8), BatchNorm1D(8), Dropout(0.5), Linear(8, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    x, y = blobs(60)
    cnnx.fit(model, (x, y), optimizer=optimizer, verbose=False)

    def state():
        kept = optimizer.state_dict()
        arrays = {
            **model.state_dict(),
            **{f"{i}/{k}": v for i, s in kept["state"].items() for k, v in s.items()},
        }
        return (
            {k: np.asarray(v).tobytes() for k, v in arrays.items()},
            kept["groups"],
            str(cnnx.random.get_state()),
        )

    before = state()
    if fails:
        with pytest.raises(ZeroDivisionError):
            cnnx.lr_find(model, (x, y), optimizer=optimizer, augment=lambda x, y, rng: 1 / 0)
    else:
        cnnx.lr_find(model, (x, y), optimizer=optimizer, lr_max=100.0, steps=40)
    assert state() == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_mistakes_are_named_before_any_work():
    model, data = mlp(), blobs(30)
    for options, words in (
        ({"lr_min": 1.0}, "lr_min=1 and lr_max=1, expected 0 < min < max"),
        ({"lr_min": 0.0}, "lr_min=0 and lr_max=1"),
        ({"steps": 3}, "steps=3, but at least 10"),
    ):
        with pytest.raises(ValueError, match=words):
            cnnx.lr_find(model, data, **options)
    with pytest.raises(TypeError, match="epochs has no meaning in a sweep"):
        cnnx.lr_find(model, data, epochs=3)


def test_the_picture_has_the_losses_and_the_suggestion():
    pytest.importorskip("matplotlib")
    found = cnnx.training.LearningRates([0.01, 0.1, 1.0], [3.0, 1.0, 2.0], 0.1)
    axes = cnnx.viz.plot_lr_find(found).axes[0]
    curve, mark = axes.lines
    assert curve.get_xydata().tolist() == [[0.01, 3.0], [0.1, 1.0], [1.0, 2.0]]
    assert mark.get_xydata().tolist() == [[0.1, 1.0]] and axes.get_xscale() == "log"
    with pytest.raises(TypeError, match=r"rates is a list, expected what cnnx\.lr_find"):
        cnnx.viz.plot_lr_find([1, 2])
