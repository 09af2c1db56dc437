"""`PReLU`: leaky ReLU with trainable slopes."""

from __future__ import annotations

from typing import Any, ClassVar

from cnnx import checks, ops
from cnnx import init as initial
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["PReLU"]


@builtin
class PReLU(Layer):
    """y = x where x > 0, else weight * x, with trainable slopes `weight`.

    num_parameters  1: one slope for all of x, of any shape; c: a slope for each channel of x
                    (n, c, ...)
    init            the value that the slopes start with

    ValueError if x has another number of channels. Weight decay would pull the slopes to 0, which
    makes a ReLU: exclude them from it.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing Human-Level
    Performance on ImageNet Classification", ICCV 2015.

    Example: ``PReLU()(np.array([-4.0, 2.0]))`` is ``[-1., 2.]``.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = checks.integer("PReLU", "num_parameters", num_parameters, least=1)
        checks.array_size("PReLU", (self.num_parameters,), "weight")
        self.init = checks.real("PReLU", "init", init)
        self.weight = Parameter(initial.constant(self.num_parameters, self.init), "weight")

    def forward(self, x: Any) -> Any:
        x = self._float(x, self.weight.dtype)
        y = ops.prelu(x, self.weight.data)
        self._save(x)
        return y

    def backward(self, dy: Any) -> Any:
        (x,) = self._saved()
        dx, dweight = ops.prelu_backward(self._float(dy, x.dtype), x, self.weight.data)
        self.weight.accumulate(dweight)
        return dx

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
