"""cnnx.gradcheck and cnnx.testing.compare_backends find errors that were put in."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import Conv2D, Dropout, Flatten, Layer, Linear, ReLU, Sequential
from cnnx.testing import GradcheckError, compare_backends

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 2, 6, 6))


def net():
    body = Sequential(Conv2D(2, 3, 3, padding=1), cnnx.BatchNorm2D(3), ReLU())
    return Sequential(*body, cnnx.MaxPool2D(2), Flatten(), Dropout(0.3), Linear(27, 4))


class Wrong(Layer):
    """y = x**2 whose gradient has one wrong entry."""

    def forward(self, x):
        self._save(x)
        return x**2

    def backward(self, dy):
        (x,) = self._saved()
        dx = 2 * x * dy
        dx.flat[2] *= 1.001
        return dx


def test_a_right_gradient_passes():
    model = net()
    before = model.state_dict()
    assert cnnx.gradcheck(model, X) is True
    assert all(np.array_equal(before[k], a) for k, a in model.state_dict().items())
    assert cnnx.gradcheck(np.sin, X, backward=lambda dy: dy * np.cos(X))
    added = cnnx.Multiply()
    assert cnnx.gradcheck(added, (X, X + 1))


def test_a_loss_is_a_function_with_its_backward():
    loss, target = cnnx.CrossEntropyLoss(), np.array([0, 2])
    scores = rng.standard_normal((2, 3))
    assert cnnx.gradcheck(
        lambda x: loss(x, target), scores, backward=lambda dy: dy * loss.backward()
    )


def test_one_wrong_entry_is_found_with_both_numbers():
    with pytest.raises(GradcheckError, match=r"x forward has the slope .*, but backward says"):
        cnnx.gradcheck(Wrong(), X)
    assert cnnx.gradcheck(Wrong(), X, raise_exception=False) is False


def test_a_wrong_gradient_of_a_parameter_is_named():
    class Scaled(Linear):
        def backward(self, dy, need_dx=True):
            dx = super().backward(dy, need_dx)
            self.bias.grad *= 2
            return dx

    with pytest.raises(GradcheckError, match=r"direction of 1\.bias"):
        cnnx.gradcheck(Sequential(Flatten(), Scaled(72, 3)), X)


def test_a_bend_near_x_does_no_harm_and_one_at_x_is_named():
    near = np.array([1e-7, -3e-7, 1.0])
    assert cnnx.gradcheck(ReLU(), near)
    with pytest.raises(GradcheckError, match="x lies on a bend"):
        cnnx.gradcheck(ReLU(), np.array([0.0, 1.0, -2.0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cnnx.gradcheck(np.sin, X), TypeError, "with backward="),
        (lambda: cnnx.gradcheck(ReLU(), np.array([np.inf])), ValueError, "not finite"),
        (lambda: cnnx.gradcheck(ReLU(), X, directions=0), ValueError, "directions=0"),
        (lambda: compare_backends(3, X), TypeError, "model is a int"),
        (lambda: compare_backends(ReLU(), X, backends=("gpu", "reference")), ValueError, "gpu"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


both = pytest.mark.skipif("compiled" not in cnnx.available_backends(), reason="needs two backends")


@both
def test_equal_backends_differ_nowhere():
    report = compare_backends(net(), X.astype(np.float32))
    assert report.first is None and len(report) == 7
    assert max(row.total for row in report) < 1e-5
    assert "agree within 1.0e-04 in every layer" in repr(report)
    block = cnnx.Residual(Conv2D(2, 2, 3, padding=1))
    assert compare_backends(Sequential(block, ReLU()), X.astype(np.float32)).first is None


@both
def test_the_first_layer_that_differs_is_named():
    class Odd(ReLU):
        def forward(self, x):
            return super().forward(x) * (1 + 1e-3 * (cnnx.get_backend() == "compiled"))

    model = Sequential(Conv2D(2, 3, 3), Odd(), Conv2D(3, 2, 3))
    report = compare_backends(model, X.astype(np.float32))
    assert (report.first.name, report.first.layer) == ("1", "Odd")
    assert report.first.own == pytest.approx(1e-3, rel=1e-2)
    assert report.first.ulps == pytest.approx(1e-3 * 2**23, rel=1)
    assert report[2].own < 1e-5 < 1e-4 < report[2].total
    assert "first differ in 1 Odd: 1.0e-03" in repr(report)
