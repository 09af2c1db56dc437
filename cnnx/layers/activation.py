"""Activations: elementwise functions, and softmax along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from cnnx import checks, ops
from cnnx.layers.base import Layer, builtin

__all__ = [
    "Activation",
    "Hardsigmoid",
    "Hardswish",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "ReLU6",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class Elementwise(Layer):
    """Base of the elementwise activations: y = f(x), for x of any shape.

    saves     what backward takes: "output", y; or "input", x, if y does not determine the slope
    op        the name of f as the `activation` argument of `ops.conv2d`, `ops.linear` and
              `ops.batch_norm`; None if they do not accept it
    """

    _function: ClassVar[Callable[..., np.ndarray]]  # the op: y = f(x)
    _gradient: ClassVar[Callable[..., np.ndarray]]  # its backward: dx, from dy and what is saved
    saves: ClassVar[Literal["input", "output"]] = "output"
    op: ClassVar[str | None] = None
    _settings: Any = ()  # the arguments of both ops besides the arrays

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = self._function(x, *self._settings)
        self._save(x if self.saves == "input" else y)
        return y

    def backward(self, dy: Any) -> Any:
        (saved,) = self._saved()
        return self._gradient(self._float(dy, saved.dtype), saved, *self._settings)


class PermitsInplace(Elementwise):
    """An activation that accepts PyTorch's `inplace`; see `ReLU`."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = checks.flag(type(self).__name__, "inplace", inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


@builtin
class ReLU(PermitsInplace):
    """y = max(x, 0), for x of any shape.

    inplace  accepted so that PyTorch code runs unchanged, but has no effect: x is never
             overwritten. The memory it saves in PyTorch is saved here anyway: a `Sequential` fuses
             an activation with the layer before it, and stores one array for the two.

    V. Nair, G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.

    Example: ``ReLU()(np.array([-1.0, 2.0]))`` is ``[0., 2.]``.
    """

    _function = staticmethod(ops.relu)
    _gradient = staticmethod(ops.relu_backward)
    op = "relu"


@builtin
class ReLU6(PermitsInplace):
    """y = min(max(x, 0), 6), for x of any shape: the activation of MobileNetV2.

    inplace  has no effect, see `ReLU`

    A. Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010.

    Example: ``ReLU6()(np.array([-1.0, 2.0, 7.0]))`` is ``[0., 2., 6.]``.
    """

    _function = staticmethod(ops.relu6)
    _gradient = staticmethod(ops.relu6_backward)
    op = "relu6"


@builtin
class Hardsigmoid(PermitsInplace):
    """y = min(max(x + 3, 0), 6) / 6, for x of any shape: a piecewise linear sigmoid.

    inplace  has no effect, see `ReLU`

    It gates the channels of MobileNetV3: A. Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Example: ``Hardsigmoid()(np.array([-4.0, 0.0, 4.0]))`` is ``[0., 0.5, 1.]``.
    """

    _function = staticmethod(ops.hardsigmoid)
    _gradient = staticmethod(ops.hardsigmoid_backward)
    op = "hardsigmoid"


@builtin
class Hardswish(PermitsInplace):
    """y = x * hardsigmoid(x) = x * min(max(x + 3, 0), 6) / 6, for x of any shape.

    inplace  has no effect, see `ReLU`

    Backward needs x, as y does not determine the slope: two x between -3 and 0 have the same y.

    A. Howard et al., "Searching for MobileNetV3", ICCV 2019.

    Example: ``Hardswish()(np.array([-4.0, 1.5, 4.0]))`` is ``[0., 1.125, 4.]``.
    """

    _function = staticmethod(ops.hardswish)
    _gradient = staticmethod(ops.hardswish_backward)
    saves = "input"
    op = "hardswish"


@builtin
class LeakyReLU(PermitsInplace):
    """y = x where x > 0, else negative_slope * x.

    inplace  has no effect, see `ReLU`

    A. Maas, A. Hannun, A. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models",
    ICML 2013.

    Example: ``LeakyReLU(0.1)(np.array([-1.0, 2.0]))`` is ``[-0.1, 2.]``.
    """

    _function = staticmethod(ops.leaky_relu)
    _gradient = staticmethod(ops.leaky_relu_backward)
    saves = "input"

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = checks.real("LeakyReLU", "negative_slope", negative_slope)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (self.negative_slope,)

    def extra_repr(self) -> str:
        permitted = ", inplace=True" if self.inplace else ""
        return f"negative_slope={self.negative_slope}{permitted}"


@builtin
class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x)), between 0 and 1.

    Before a binary cross-entropy prefer `BCEWithLogitsLoss`, which includes it and is accurate for
    large x.

    Example: ``Sigmoid()(np.array([0.0]))`` is ``[0.5]``.
    """

    _function = staticmethod(ops.sigmoid)
    _gradient = staticmethod(ops.sigmoid_backward)


@builtin
class Tanh(Elementwise):
    """y = tanh(x), between -1 and 1.

    Example: ``Tanh()(np.array([0.0]))`` is ``[0.]``.
    """

    _function = staticmethod(ops.tanh)
    _gradient = staticmethod(ops.tanh_backward)


class _AlongAxis(Layer):
    """Base of softmax and its logarithm: functions of the vectors along one axis."""

    _function: ClassVar[Callable[..., np.ndarray]]
    _gradient: ClassVar[Callable[..., np.ndarray]]

    def __init__(self, axis: int | None = None, *, dim: int | None = None) -> None:
        name = type(self).__name__
        if axis is not None and dim is not None:
            raise TypeError(f"{name}: axis={axis} and dim={dim} are the same argument: pass one")
        given = ("axis", 1 if axis is None else axis) if dim is None else ("dim", dim)
        self.axis = checks.integer(name, *given, least=-(2**31))

    def forward(self, x: Any) -> Any:
        y = self._function(self._float(x), self.axis)
        self._save(y)
        return y

    def backward(self, dy: Any) -> Any:
        (y,) = self._saved()
        return self._gradient(self._float(dy, y.dtype), y, self.axis)

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis}

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


@builtin
class Softmax(_AlongAxis):
    """y_k = exp(x_k) / sum over j of exp(x_j) along `axis`: positive numbers that sum to 1.

    axis  the classes' axis; `dim` is PyTorch's name for it

    Do not use it before `CrossEntropyLoss`, which includes it and takes logits.

    Example: ``Softmax()(np.zeros((1, 4)))`` is ``[[0.25, 0.25, 0.25, 0.25]]``.
    """

    _function = staticmethod(ops.softmax)
    _gradient = staticmethod(ops.softmax_backward)


@builtin
class LogSoftmax(_AlongAxis):
    """y_k = x_k - log(sum over j of exp(x_j)) along `axis`: the logarithm of `Softmax`, accurate
    where that is near 0.

    axis  the classes' axis; `dim` is PyTorch's name for it

    Example: ``LogSoftmax()(np.zeros((1, 4)))`` is four times ``-log(4)``.
    """

    _function = staticmethod(ops.log_softmax)
    _gradient = staticmethod(ops.log_softmax_backward)


@builtin
class Activation(Layer):
    """y = f(x) with a user-defined function and its derivative, both elementwise on arrays.

    f, f_prime  functions of an array that return an array of the same shape

    ValueError if they return another shape. Results are cast to x's dtype. `save` does not work for
    a model with it, since a file cannot hold Python functions (`state_dict` works; for `save`,
    write the activation as a `Layer` subclass, see `cnnx.load`).

    Example: ``Activation(np.sin, np.cos)``
    """

    def __init__(self, f: Callable[[Any], Any], f_prime: Callable[[Any], Any]) -> None:
        self.f = f
        self.f_prime = f_prime

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = self._apply("f", x)
        self._save(x)
        return y

    def backward(self, dy: Any) -> Any:
        (x,) = self._saved()
        return self._float(dy, x.dtype) * self._apply("f_prime", x)

    def _apply(self, name: str, x: Any) -> Any:
        y = self._float(getattr(self, name)(x), x.dtype)
        if y.shape != x.shape:
            raise ValueError(
                f"Activation: {name} returned shape {y.shape} for {x.shape}, expected the same"
            )
        return y

    def config(self) -> dict[str, Any]:
        raise TypeError(
            "save: Activation holds Python functions, which a file cannot describe: save "
            "model.state_dict() with cnnx.io.save_npz, or write the activation as a Layer class"
        )

    def extra_repr(self) -> str:
        return ", ".join(getattr(g, "__name__", repr(g)) for g in (self.f, self.f_prime))
