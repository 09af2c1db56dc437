"""`Conv2D` and `ConvTranspose2D`: convolution over images, and its transpose."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from cnnx import checks, init, ops, windows
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["Conv2D", "ConvTranspose2D"]


@builtin
class Conv2D(Layer):
    """2-D cross-correlation with learnt filters, plus a bias. (n, c, h, w) -> (n, oc, oh, ow)

    y[n, o, i, j] = bias[o] + sum over (c, u, v) of
                    weight[o, c, u, v] * x[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw]
    oh = floor((h + 2*ph - dh*(kh - 1) - 1) / sh) + 1, and ow alike.

    in_channels, out_channels  c and oc, both multiples of groups
    kernel_size, stride, dilation  a number, or a pair (height, width)
    padding   zeros around x: a number, a pair, ((top, bottom), (left, right)), "valid" (none), or
              "same" (oh = h at stride 1)
    groups    the channels are split into groups that do not mix; groups=in_channels is depthwise
    bias      False leaves it out

    weight (oc, c/groups, kh, kw) and bias (oc,) are float32, from U(-b, b) with
    b = 1/sqrt(c/groups * kh * kw), as in PyTorch. x is cast to the weight's dtype.

    ValueError for channels that groups does not divide; shapes that do not fit are found by
    `ops.conv2d` at the first call.

    Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

    Example::

        layer = Conv2D(3, 16, 5, stride=2, padding=2)
        layer(np.zeros((8, 3, 32, 32), np.float32)).shape      # (8, 16, 16, 16)
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        self.in_channels = checks.integer("Conv2D", "in_channels", in_channels, least=1)
        self.out_channels = checks.integer("Conv2D", "out_channels", out_channels, least=1)
        self.kernel_size = checks.pair("Conv2D", "kernel_size", kernel_size)
        self.stride = checks.pair("Conv2D", "stride", stride)
        self.dilation = checks.pair("Conv2D", "dilation", dilation)
        geometry = self.kernel_size, self.stride, self.dilation
        self.padding = windows.kept_padding("Conv2D", padding, *geometry)
        self.groups = checks.integer("Conv2D", "groups", groups, least=1)
        _check_groups("Conv2D", self.groups, self.in_channels, self.out_channels)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        checks.array_size("Conv2D", shape, 8, "weight")  # drawn in float64
        bound = 1.0 / math.sqrt(init.fans(shape)[0])
        self.weight = Parameter(init.uniform(shape, -bound, bound), "weight")
        self.bias = None
        if checks.flag("Conv2D", "bias", bias):
            self.bias = Parameter(init.uniform(self.out_channels, -bound, bound), "bias")

    def forward(self, x: Any) -> Any:
        y, values = self.compute(x)
        self._save(*values)
        return y

    def compute(self, x: Any, **epilogue: Any) -> tuple[Any, tuple[Any, ...]]:
        """y, and what backward needs. epilogue: what else `ops.conv2d` does (graph/fused.py)."""
        x = self._float(x, self.weight.dtype)
        bias = None if self.bias is None else self.bias.data
        return ops.conv2d(x, self.weight.data, bias, *self._geometry(), **epilogue), (x,)

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        (x,) = self._saved()
        dy = self._float(dy, x.dtype)
        dx, dweight, dbias = ops.conv2d_backward(
            dy, x, self.weight.data, *self._geometry(), need_dx=need_dx
        )
        self.weight.accumulate(dweight)
        if self.bias is not None:
            self.bias.accumulate(dbias)
        return dx

    def _geometry(self) -> tuple[Any, Any, Any, int]:
        return self.stride, self.padding, self.dilation, self.groups

    def config(self) -> dict[str, Any]:
        config = super().config()
        return config | {"bias": self.bias is not None} if "bias" in config else config

    def macs(self, input_shape: Any) -> int:
        oh, ow = self.output_shape(input_shape)[1:]
        return self.weight.size * oh * ow

    def extra_repr(self) -> str:
        return _repr(self, (("padding", 0), ("dilation", (1, 1)), ("groups", 1)))


@builtin
class ConvTranspose2D(Layer):
    """Transposed 2-D convolution with learnt filters, plus a bias. (n, c, h, w) -> (n, oc, oh, ow)

    y[n, o, i*sh + u*dh - ph, j*sw + v*dw - pw] += sum over c of weight[c, o, u, v] * x[n, c, i, j]
    oh = (h - 1)*sh - 2*ph + dh*(kh - 1) + output_padding + 1, and ow alike.

    It is the adjoint of a `Conv2D`, and enlarges images by its stride: kernel 4, stride 2, padding
    1 doubles them.

    in_channels, out_channels  c and oc, both multiples of groups
    kernel_size, stride, dilation  a number, or a pair (height, width)
    padding   rows and columns taken off y on every side; written as in `Conv2D`
    output_padding  rows at the bottom and columns at the right added to y: a number, or a pair,
              less than the stride or the dilation
    groups    the channels are split into groups that do not mix
    bias      False leaves it out

    weight (c, oc/groups, kh, kw) and bias (oc,) are float32, from U(-b, b) with
    b = 1/sqrt(oc/groups * kh * kw), as in PyTorch. x is cast to the weight's dtype.

    ValueError for channels that groups does not divide; shapes that do not fit are found by
    `ops.conv_transpose2d` at the first call.

    M. D. Zeiler et al., "Deconvolutional Networks", CVPR 2010.

    Example::

        layer = ConvTranspose2D(16, 3, 4, stride=2, padding=1)
        layer(np.zeros((8, 16, 16, 16), np.float32)).shape      # (8, 3, 32, 32)
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Any = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        name = "ConvTranspose2D"
        self.in_channels = checks.integer(name, "in_channels", in_channels, least=1)
        self.out_channels = checks.integer(name, "out_channels", out_channels, least=1)
        self.kernel_size = checks.pair(name, "kernel_size", kernel_size)
        self.stride = checks.pair(name, "stride", stride)
        self.dilation = checks.pair(name, "dilation", dilation)
        geometry = self.kernel_size, self.stride, self.dilation
        self.padding = windows.kept_padding(name, padding, *geometry)
        self.output_padding = checks.pair(name, "output_padding", output_padding, least=0)
        self.groups = checks.integer(name, "groups", groups, least=1)
        _check_groups(name, self.groups, self.in_channels, self.out_channels)
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        checks.array_size(name, shape, 8, "weight")  # drawn in float64
        bound = 1.0 / math.sqrt(init.fans(shape)[0])
        self.weight = Parameter(init.uniform(shape, -bound, bound), "weight")
        self.bias = None
        if checks.flag(name, "bias", bias):
            self.bias = Parameter(init.uniform(self.out_channels, -bound, bound), "bias")

    def forward(self, x: Any) -> Any:
        x = self._float(x, self.weight.dtype)
        bias = None if self.bias is None else self.bias.data
        y = ops.conv_transpose2d(x, self.weight.data, bias, *self._geometry())
        self._save(x)
        return y

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        (x,) = self._saved()
        dy = self._float(dy, x.dtype)
        dx, dweight, dbias = ops.conv_transpose2d_backward(
            dy, x, self.weight.data, *self._geometry(), need_dx=need_dx
        )
        self.weight.accumulate(dweight)
        if self.bias is not None:
            self.bias.accumulate(dbias)
        return dx

    def _geometry(self) -> tuple[Any, Any, Any, int, Any]:
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation

    def config(self) -> dict[str, Any]:
        config = super().config()
        return config | {"bias": self.bias is not None} if "bias" in config else config

    def macs(self, input_shape: Any) -> int:
        h, w = input_shape[-2:]
        return self.weight.size * h * w

    def extra_repr(self) -> str:
        return _repr(
            self, (("padding", 0), ("output_padding", (0, 0)), ("groups", 1), ("dilation", (1, 1)))
        )


def _check_groups(name: str, groups: int, in_channels: int, out_channels: int) -> None:
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{name}: groups={groups} must divide in_channels={in_channels} and "
            f"out_channels={out_channels}"
        )


def _repr(layer: Any, options: Any) -> str:
    """The arguments that every convolution has, and those that are not at their defaults."""
    text = (
        f"{layer.in_channels}, {layer.out_channels}, kernel_size={layer.kernel_size}, "
        f"stride={layer.stride}"
    )
    for name, default in options:
        if getattr(layer, name) != default:
            text += f", {name}={getattr(layer, name)!r}"
    return text if layer.bias is not None else f"{text}, bias=False"
