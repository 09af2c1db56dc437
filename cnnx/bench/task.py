"""`Workload`, a call to be timed, and `Task`, the same call with its arguments."""

# Design:
# A workload is a size and two functions of it: the arguments of the call, and its FLOPs. A size can
# be reduced to a few hundred numbers, so that the same workload runs in a test.
# FLOPs are those of the textbook formula, whatever the algorithm: GFLOP/s therefore compare times,
# and a convolution with fewer multiplications (Winograd) may exceed the machine's peak. Comparison,
# addition, multiplication, division, root, logarithm and exponential count as one each.
# Bytes are the minimum that any implementation moves: each input array is read once, each output
# array is written once, and an array changed in place counts twice. They are counted from the
# arrays themselves, including argmax with its one byte per element.

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from cnnx import ops
from cnnx.layers import no_grad

__all__ = ["IN_PLACE", "Arguments", "Draw", "Task", "Workload", "arrays_in"]

Arguments = dict[str, Any]

# The arrays that an op changes in place.
IN_PLACE = {
    "batch_norm": ("running_mean", "running_var"),
    "sgd_step": ("params", "velocity"),
    "rmsprop_step": ("params", "square_avg"),
    "adagrad_step": ("params", "sum_sq"),
    "adam_step": ("params", "exp_avg", "exp_avg_sq"),
    "nadam_step": ("params", "exp_avg", "exp_avg_sq"),
    "ema_step": ("averages",),
}


def train_step(model: Any, optimizer: Any, loss_fn: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Forward, loss, backward and optimiser, as in a training loop."""
    optimizer.zero_grad()
    return accumulate_step(model, optimizer, loss_fn, x, y)


def accumulate_step(
    model: Any, optimizer: Any, loss_fn: Any, x: np.ndarray, y: np.ndarray
) -> float:
    """The same with accumulating gradients."""
    loss = loss_fn(model(x), y)
    model.backward(loss_fn.backward(), need_dx=False)
    optimizer.step()
    return loss


def predict_step(model: Any, x: np.ndarray) -> np.ndarray:
    """One batch of inference."""
    with no_grad():
        return model(x)


_STEPS: dict[str, Callable[..., Any]] = {
    "train": train_step,
    "accumulate": accumulate_step,
    "predict": predict_step,
}


@dataclass(frozen=True)
class Workload:
    """A call to be timed: an op (or "train", "predict"), its size, and its cost.

    op      name in `cnnx.ops`; "train" is forward, loss, backward, optimiser; "predict" is forward
    size    shapes and options; its text is part of the name
    matrix  whether it is limited by arithmetic (a matrix product) rather than memory: selects the
            rate to show
    """

    op: str
    size: Any
    flops_of: Callable[[Any], float]
    arguments_of: Callable[[Draw, Any], Arguments]
    matrix: bool = False

    @property
    def name(self) -> str:
        """Op and size: ``conv2d 64,16,14,14->32 3x3``."""
        return f"{self.op} {self.size}"

    @property
    def flops(self) -> float:
        """Floating-point operations of one call, by the textbook formula."""
        return float(self.flops_of(self.size))

    def reduced(self) -> Workload:
        """The same workload at a size for tests."""
        return replace(self, size=self.size.small())

    def prepare(self, rng: np.random.Generator, dtype: Any = np.float32) -> Task:
        """The call with its arguments, drawn from rng, with all floats in one dtype."""
        function = _STEPS.get(self.op) or getattr(ops, self.op)
        return Task(self.op, function, self.arguments_of(Draw(rng, np.dtype(dtype)), self.size))


@dataclass(frozen=True)
class Task:
    """A call with its arguments, to be made on the backend in use."""

    op: str
    function: Callable[..., Any]
    arguments: Arguments

    def run(self) -> Any:
        """Make the call once."""
        return self.function(**self.arguments)

    def arrays(self, result: Any) -> list[np.ndarray]:
        """All numbers that a call returned or changed, as arrays in a fixed order."""
        if self.op in ("train", "accumulate"):
            return [np.asarray(result), *(p.grad for p in self.arguments["model"].parameters())]
        results = result if isinstance(result, tuple) else (result,)
        given = [value for value in results if value is not None]
        changed = [self.arguments[name] for name in IN_PLACE.get(self.op, ())]
        return [*map(np.asarray, given), *arrays_in(changed)]

    def bytes(self, result: Any) -> int | None:
        """Minimum bytes moved: each input and output array once. None for complete steps."""
        if self.op in _STEPS:
            return None
        given = arrays_in(self.arguments.values())
        return sum(array.nbytes for array in [*given, *self.arrays(result)])


def arrays_in(values: Iterable[Any]) -> list[np.ndarray]:
    """The arrays among values, including those in lists."""
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    return [value for value in flat if isinstance(value, np.ndarray)]


class Draw(NamedTuple):
    """Random numbers of one dtype."""

    rng: np.random.Generator
    dtype: np.dtype[Any]

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def uniform(self, *shape: int) -> np.ndarray:
        """Strictly between 0 and 1."""
        return self.rng.uniform(0.01, 0.99, shape).astype(self.dtype)

    def zeros(self, *shape: int) -> np.ndarray:
        return np.zeros(shape, self.dtype)

    def labels(self, n: int, classes: int) -> np.ndarray:
        return self.rng.integers(0, classes, n)
