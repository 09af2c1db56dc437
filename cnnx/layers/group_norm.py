"""Normalisation within a sample: of groups of channels, and of the last axes."""

from __future__ import annotations

from typing import Any, ClassVar

from cnnx import checks, init, ops
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm"]


class _RowNorm(Layer):
    """Base of both classes: y = (x - mean) / sqrt(var + eps) * weight + bias."""

    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")
    weight: Parameter | None
    bias: Parameter | None
    _function: ClassVar[Any]
    _gradient: ClassVar[Any]
    _over: Any  # the setting of the ops that says what is normalised together
    eps: float

    def forward(self, x: Any) -> Any:
        x = self._float(x, None if self.weight is None else self.weight.dtype)
        weight = None if self.weight is None else self.weight.data
        bias = None if self.bias is None else self.bias.data
        y, mean, inv_std = self._function(x, self._over, weight, bias, self.eps)
        self._save(x, mean, inv_std)
        return y

    def backward(self, dy: Any) -> Any:
        x, mean, inv_std = self._saved()
        weight = None if self.weight is None else self.weight.data
        dy = self._float(dy, x.dtype)
        dx, dweight, dbias = self._gradient(dy, x, self._over, weight, mean, inv_std)
        if self.weight is not None:
            self.weight.accumulate(dweight)
        if self.bias is not None:
            self.bias.accumulate(dbias)
        return dx


@builtin
class GroupNorm(_RowNorm):
    """Normalise groups of channels of each image. (n, c, ...) -> the same

    y = (x - mean) / sqrt(var + eps) * weight + bias; mean and (biased) variance of each group of
    c / num_groups channels of a sample, weight and bias per channel. The batch does not matter, so
    train and eval mode are the same: for batches that are too small for `BatchNorm2D`.

    num_groups, num_channels  the first divides the second
    affine                    False: no weight and bias

    weight starts as ones, bias as zeros. ValueError for x with other channels.

    Y. Wu, K. He, "Group Normalization", ECCV 2018.

    Example: ``Sequential(Conv2D(3, 16, 3, bias=False), GroupNorm(4, 16), ReLU())``
    """

    _function = staticmethod(ops.group_norm)
    _gradient = staticmethod(ops.group_norm_backward)

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        name = "GroupNorm"
        self.num_groups = checks.integer(name, "num_groups", num_groups, least=1)
        self.num_channels = c = checks.integer(name, "num_channels", num_channels, least=1)
        if c % self.num_groups:
            raise ValueError(
                f"{name}: num_channels={c}, but a multiple of num_groups={self.num_groups} is "
                "expected"
            )
        checks.array_size(name, (c,), "weight")
        self.eps = checks.real(name, "eps", eps, 0.0)
        self.affine = checks.flag(name, "affine", affine)
        self._over = self.num_groups
        self.weight = Parameter(init.ones(c), "weight") if self.affine else None
        self.bias = Parameter(init.zeros(c), "bias") if self.affine else None

    def forward(self, x: Any) -> Any:
        x = self._float(x, None if self.weight is None else self.weight.dtype)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: x has shape {x.shape}, expected (n, c, ...) with c = "
                f"{self.num_channels}"
            )
        return super().forward(x)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


@builtin
class LayerNorm(_RowNorm):
    """Normalise over the last axes. (..., *normalized_shape) -> the same

    y = (x - mean) / sqrt(var + eps) * weight + bias; mean and (biased) variance of all elements of
    the last axes together, weight and bias per element. Train and eval mode are the same.

    normalized_shape    sizes of the last axes, an integer for one
    elementwise_affine  False: no weight and bias
    bias                False: no bias

    weight starts as ones, bias as zeros. ValueError for x with other last axes.

    J. Ba, J. Kiros, G. Hinton, "Layer Normalization", 2016.

    Example: ``Sequential(Linear(784, 128), LayerNorm(128), GELU())``
    """

    _function = staticmethod(ops.layer_norm)
    _gradient = staticmethod(ops.layer_norm_backward)

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        name = "LayerNorm"
        sizes = (
            tuple(normalized_shape) if checks.is_sequence(normalized_shape) else (normalized_shape,)
        )
        if not sizes:
            raise ValueError(f"{name}: normalized_shape is empty, but a size is expected")
        self.normalized_shape = tuple(
            checks.integer(name, "normalized_shape", size, least=1) for size in sizes
        )
        checks.array_size(name, self.normalized_shape, "weight")
        self.eps = checks.real(name, "eps", eps, 0.0)
        self.elementwise_affine = checks.flag(name, "elementwise_affine", elementwise_affine)
        self._over = self.normalized_shape
        self.weight = self.bias = None
        if self.elementwise_affine:
            self.weight = Parameter(init.ones(self.normalized_shape), "weight")
        if checks.flag(name, "bias", bias) and self.elementwise_affine:
            self.bias = Parameter(init.zeros(self.normalized_shape), "bias")

    def config(self) -> dict[str, Any]:
        return super().config() | {"bias": self.bias is not None}

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )
