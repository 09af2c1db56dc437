"""`gradcheck`: backward against differences of forward."""

# Design:
# One number is compared for each direction v: the slope of L(x) = sum(dy * f(x)) along v (central
# differences) and <gradient, v>. A wrong entry of the gradient changes <gradient, v> for almost
# every v, so a few directions do what one difference for each entry would.
# If the two differ, a bend (ReLU at 0, a tie in max pooling) may lie between x - step and x + step.
# With a smaller step it lies outside, unless x is on it: then the slopes on both sides differ
# however small the step, and x has no gradient to check.

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import checks, random
from cnnx.layers import Layer

__all__ = ["GradcheckError", "gradcheck"]

# Balances rounding (eps / step) and the third derivative (step squared).
_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
_SMALLER = (1.0, 0.1, 0.01)  # factors of the step; rounding grows as they fall
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class GradcheckError(AssertionError):
    """A gradient differs from the slope; the message has both numbers."""


def gradcheck(
    function: Layer | Callable[..., Any],
    x: Any,
    *,
    backward: Callable[..., Any] | None = None,
    directions: int = 3,
    eps: float = _STEP,
    atol: float = 1e-9,
    rtol: float = 1e-7,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Whether backward is the derivative of forward: torch.autograd.gradcheck for cnnx.

    |slope - <gradient, v>| <= atol + rtol * (sum |gradient * v| + sum |y * dy|)
    slope = sum(dy * (f(x + eps*v) - f(x - eps*v))) / (2*eps),  dy and v random, v for x and for
    each parameter

    function  a Layer, of which a copy in float64 is checked in its mode, dropout with one mask, and
              its parameters too; or a function of x
    x         an array, or a tuple of the inputs of a layer or function of several; read as float64
    backward  of a function: ``backward(dy)`` returns its gradient (or a tuple of them), and is
              called after ``function(x)``; for a loss ``lambda dy: dy * loss_fn.backward()``
    directions      random directions for each array
    seed            of directions, dy, and dropout
    raise_exception  False: return False instead of raising

    Returns True, or raises `GradcheckError` (an AssertionError) that names the array and has both
    numbers. If x lies on a bend, where slopes on both sides differ, there is no gradient: the
    error says so. Bends near x do no harm. ValueError for outputs that are not finite.

    Example::

        cnnx.gradcheck(MyLayer(), np.random.randn(2, 3, 8, 8))
        cnnx.gradcheck(np.sin, x, backward=lambda dy: dy * np.cos(x))
    """
    op = "gradcheck"
    count = checks.integer(op, "directions", directions, least=1)
    step = checks.real(op, "eps", eps, least=1e-12)
    limits = checks.real(op, "atol", atol, 0.0), checks.real(op, "rtol", rtol, 0.0)
    inputs = [_double(op, each) for each in (x if isinstance(x, tuple) else (x,))]
    subject = _Subject(function, inputs, backward, seed)
    rng = np.random.default_rng(seed)
    y = subject.forward()
    if not np.isfinite(y).all():
        raise ValueError(f"{op}: the output holds values that are not finite")
    dy = rng.standard_normal(y.shape)
    gradients = subject.gradients(dy)
    try:
        for name, array in subject.arrays.items():
            gradient = gradients[name]
            if gradient.shape != array.shape:
                raise GradcheckError(
                    f"{op}: the gradient of {name} has shape {gradient.shape}, but {name} has "
                    f"{array.shape}"
                )
            for _ in range(count):
                direction = rng.standard_normal(array.shape)
                _compare(subject, name, dy, gradient, direction, step, limits)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


class _Subject:
    """What is differentiated: the arrays by name, the output, and its gradients."""

    def __init__(
        self,
        function: Any,
        inputs: list[np.ndarray],
        backward: Callable[..., Any] | None,
        seed: int,
    ) -> None:
        several = len(inputs) > 1
        names = [f"x[{i}]" if several else "x" for i in range(len(inputs))]
        self.inputs, self.seed, self.back = inputs, seed, backward
        self.arrays = dict(zip(names, inputs, strict=True))
        self.layer: Layer | None = None
        if isinstance(function, Layer):
            if backward is not None:
                raise ValueError("gradcheck: backward is for functions: a layer has its own")
            self.layer = function = copy.deepcopy(function).astype(np.float64)
            for name, parameter in self.layer.named_parameters():
                if parameter.requires_grad:
                    self.arrays[name] = parameter.data
        elif not callable(function) or backward is None:
            raise TypeError(
                "gradcheck: expected a Layer, or a function with backward=: a function of dy that "
                "returns the gradient"
            )
        self.function = function

    def forward(self) -> np.ndarray:
        """The output; equal random numbers each time."""
        with random.seeded(self.seed):
            y = self.function(*self.inputs)
        if isinstance(y, tuple):
            raise TypeError("gradcheck: the function has several outputs, expected one")
        return np.array(y, dtype=np.float64)

    def gradients(self, dy: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient of each array, after a forward."""
        if self.layer is None:
            assert self.back is not None
            dxs = self.back(dy)
            parts: dict[str, Any] = {}
        else:
            self.layer.zero_grad()
            dxs = self.layer.backward(dy)
            parts = {
                name: np.zeros_like(p.data) if p.grad is None else p.grad
                for name, p in self.layer.named_parameters()
            }
        dxs = dxs if isinstance(dxs, tuple) else (dxs,)
        if len(dxs) != len(self.inputs):
            raise GradcheckError(
                f"gradcheck: backward returned {len(dxs)} gradients for {len(self.inputs)} inputs"
            )
        found = dict(zip(self.arrays, dxs, strict=False)) | parts
        return {name: np.array(found[name], dtype=np.float64) for name in self.arrays}

    def value(self, name: str, move: np.ndarray, dy: np.ndarray) -> float:
        """sum(dy * f) with one array moved, which is restored."""
        array = self.arrays[name]
        before = array.copy()
        array += move
        try:
            return float(np.sum(dy * self.forward()))
        finally:
            array[...] = before


def _compare(
    subject: _Subject,
    name: str,
    dy: np.ndarray,
    gradient: np.ndarray,
    direction: np.ndarray,
    step: float,
    limits: tuple[float, float],
) -> None:
    """GradcheckError if the slope along a direction is not that of the gradient."""
    analytic = float(np.sum(gradient * direction))
    zero = np.zeros_like(direction)
    outputs = float(np.sum(np.abs(dy * subject.forward())))
    size = float(np.sum(np.abs(gradient * direction))) + outputs
    here = subject.value(name, zero, dy)
    slopes, bends = [], []
    for factor in _SMALLER:
        width = step * factor
        there, back = (subject.value(name, sign * width * direction, dy) for sign in (1, -1))
        slopes.append((there - back) / (2 * width))
        bends.append(abs(there - 2 * here + back) / width)
        limit = limits[0] + limits[1] * size + _ROUNDING * outputs / width * (factor < 1)
        error = abs(slopes[-1] - analytic)
        # A wrong gradient stays as wrong with a smaller step; a bend that is left out does not.
        if error <= limit and (factor == 1 or error <= abs(slopes[0] - analytic) / 10):
            return
    rounding = _ROUNDING * outputs / (step * _SMALLER[-1])
    if bends[-1] > max(bends[0] / 10, 10 * rounding):
        raise GradcheckError(
            f"gradcheck: {name} lies on a bend, where the slopes on both sides differ by "
            f"{bends[-1]:.6g}, so that there is no gradient to check: move x a little, for "
            "instance off 0 for ReLU, off ties for max pooling"
        )
    raise GradcheckError(
        f"gradcheck: along a random direction of {name} forward has the slope {slopes[0]:.10g}, "
        f"but backward says {analytic:.10g} (difference {abs(slopes[0] - analytic):.3g}, allowed "
        f"{limits[0] + limits[1] * size:.3g})"
    )


def _double(op: str, x: Any) -> np.ndarray:
    array = checks.from_anything(op, "x", x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: x has dtype {array.dtype}, expected real numbers")
    return np.array(array, dtype=np.float64, order="C")
