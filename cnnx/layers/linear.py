"""`Linear`: a linear map with a bias. `Weighted`: its base, shared with the convolutions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from cnnx import checks, init, ops
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["Linear", "Weighted"]


class Weighted(Layer):
    """Base of the layers y = op(x, weight, bias, *settings) with trainable weight and bias."""

    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")
    _function: ClassVar[Any]  # the op
    _gradient: ClassVar[Any]  # its backward
    _settings: Any = ()  # the arguments of both after the arrays

    def forward(self, x: Any) -> Any:
        y, values = self._compute(x)
        self._save(*values)
        return y

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        (x,) = self._saved()
        dy, weight = self._float(dy, x.dtype), self.weight.data
        dx, dweight, dbias = self._gradient(dy, x, weight, *self._settings, need_dx=need_dx)
        self.weight.accumulate(dweight)
        if self.bias is not None:
            self.bias.accumulate(dbias)
        return dx

    def _compute(self, x: Any, **epilogue: Any) -> tuple[Any, tuple[Any, ...]]:
        """y, and the values to save. epilogue: further arguments of the op (graph/fused.py)."""
        weight, bias = self.weight.data, None if self.bias is None else self.bias.data
        x = self._float(x, weight.dtype)
        return self._function(x, weight, bias, *self._settings, **epilogue), (x,)

    def config(self) -> dict[str, Any]:
        config = super().config()
        return config | {"bias": self.bias is not None} if "bias" in config else config

    def _draw(self, shape: tuple[int, ...], outputs: int, fan_in: int, bias: bool) -> None:
        """Weight and bias from U(-b, b) with b = 1/sqrt(fan_in), as in PyTorch."""
        name = type(self).__name__
        checks.array_size(name, shape, "weight")  # drawn in float64
        bias = checks.flag(name, "bias", bias)
        bound = 1.0 / math.sqrt(fan_in)
        self.weight = Parameter(init.uniform(shape, -bound, bound), "weight")
        self.bias = None
        if bias:
            self.bias = Parameter(init.uniform(outputs, -bound, bound), "bias")


@builtin
class Linear(Weighted):
    """y = x weight^T + bias, along the last axis. (..., in_features) -> (..., out_features)

    in_features, out_features  sizes of the last axis of x and y
    bias                       False leaves it out

    weight (out_features, in_features) and bias (out_features,) are float32, from U(-b, b) with
    b = 1/sqrt(in_features), as in PyTorch. x is cast to the weight's dtype.

    ValueError for features below 1; an x of another size is detected by `ops.linear`.

    Example::

        layer = Linear(784, 10)
        layer(np.zeros((32, 784), np.float32)).shape           # (32, 10)
    """

    _function = staticmethod(ops.linear)
    _gradient = staticmethod(ops.linear_backward)

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = checks.integer("Linear", "in_features", in_features, least=1)
        self.out_features = checks.integer("Linear", "out_features", out_features, least=1)
        shape = (self.out_features, self.in_features)
        self._draw(shape, self.out_features, self.in_features, bias)

    def macs(self, *input_shapes: Any) -> int:
        return self.weight.size * math.prod(input_shapes[0][:-1])

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
