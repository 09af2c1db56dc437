"""`Conv2D` and `ConvTranspose2D`: convolution over images, and its transpose."""

from __future__ import annotations

from typing import Any, ClassVar

from cnnx import checks, init, ops, windows
from cnnx.layers.base import builtin
from cnnx.layers.linear import Weighted
from cnnx.layers.views import OverImages, viewed

__all__ = ["Conv2D", "ConvTranspose2D"]

Pair = int | tuple[int, int]


class _Conv(OverImages, Weighted):
    """Base of both, and of those of signals. One image (c, h, w) gives (oc, oh, ow).

    shown  options that the repr shows if they differ from these defaults
    """

    shown: ClassVar[dict[str, Any]]
    forward = viewed(Weighted.forward)
    backward = viewed(Weighted.backward)

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair,
        padding: Any,
        dilation: Pair,
        groups: int,
    ) -> None:
        name = type(self).__name__
        self.in_channels = checks.integer(name, "in_channels", in_channels, least=1)
        self.out_channels = checks.integer(name, "out_channels", out_channels, least=1)
        self.kernel_size: tuple[int, ...] = checks.pair(name, "kernel_size", kernel_size)
        self.stride: tuple[int, ...] = checks.pair(name, "stride", stride)
        self.dilation: tuple[int, ...] = checks.pair(name, "dilation", dilation)
        geometry: Any = (self.kernel_size, self.stride, self.dilation)
        self.padding = windows.kept_padding(name, padding, *geometry)
        self.groups = checks.integer(name, "groups", groups, least=1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{name}: groups={self.groups} must divide in_channels={self.in_channels} and "
                f"out_channels={self.out_channels}"
            )

    def _weights(self, first: int, second: int, bias: bool) -> None:
        shape = (first, second // self.groups, *self.kernel_size)
        self._draw(shape, self.out_channels, init.fans(shape)[0], bias)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        for name, default in self.shown.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text if self.bias is not None else f"{text}, bias=False"


@builtin
class Conv2D(_Conv):
    """2-D cross-correlation with learned filters, plus a bias. (n, c, h, w) -> (n, oc, oh, ow)

    y[n, o, i, j] = bias[o] + sum over (c, u, v) of
                    weight[o, c, u, v] * x[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw]
    oh = floor((h + 2*ph - dh*(kh - 1) - 1) / sh) + 1; ow likewise.

    in_channels, out_channels  c and oc, both multiples of groups
    kernel_size, stride, dilation  a number, or a pair (height, width)
    padding   zeros around x: a number, a pair, ((top, bottom), (left, right)), "valid" (none), or
              "same" (oh = h at stride 1)
    groups    the channels are split into independent groups; groups=in_channels is depthwise
    bias      False leaves it out

    weight (oc, c/groups, kh, kw) and bias (oc,) are float32, from U(-b, b) with
    b = 1/sqrt(c/groups * kh * kw), as in PyTorch. x is cast to the weight's dtype.

    ValueError for channels that groups does not divide; shapes that do not match are detected by
    `ops.conv2d` at the first call.

    Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

    Example::

        layer = Conv2D(3, 16, 5, stride=2, padding=2)
        layer(np.zeros((8, 3, 32, 32), np.float32)).shape      # (8, 16, 16, 16)
    """

    shown: ClassVar[dict[str, Any]] = {"padding": 0, "dilation": (1, 1), "groups": 1}
    _function = staticmethod(ops.conv2d)
    _gradient = staticmethod(ops.conv2d_backward)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Any = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._weights(self.out_channels, self.in_channels, bias)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups

    def macs(self, *input_shapes: Any) -> int:
        oh, ow = self.output_shape(*input_shapes)[1:]
        return self.weight.size * oh * ow


@builtin
class ConvTranspose2D(_Conv):
    """Transposed 2-D convolution with learned filters, plus a bias. (n, c, h, w) -> (n, oc, oh, ow)

    y[n, o, i*sh + u*dh - ph, j*sw + v*dw - pw] += sum over c of weight[c, o, u, v] * x[n, c, i, j]
    oh = (h - 1)*sh - 2*ph + dh*(kh - 1) + output_padding + 1; ow likewise.

    The adjoint of `Conv2D`. It enlarges images by the stride: kernel 4, stride 2 and padding 1
    double their size.

    in_channels, out_channels  c and oc, both multiples of groups
    kernel_size, stride, dilation  a number, or a pair (height, width)
    padding   rows and columns removed from y on every side; given as in `Conv2D`
    output_padding  rows at the bottom and columns at the right added to y: a number, or a pair,
              less than the stride or the dilation
    groups    the channels are split into independent groups
    bias      False leaves it out

    weight (c, oc/groups, kh, kw) and bias (oc,) are float32, from U(-b, b) with
    b = 1/sqrt(oc/groups * kh * kw), as in PyTorch. x is cast to the weight's dtype.

    ValueError for channels that groups does not divide; shapes that do not match are detected by
    `ops.conv_transpose2d` at the first call.

    M. D. Zeiler et al., "Deconvolutional Networks", CVPR 2010.

    Example::

        layer = ConvTranspose2D(16, 3, 4, stride=2, padding=1)
        layer(np.zeros((8, 16, 16, 16), np.float32)).shape      # (8, 3, 32, 32)
    """

    shown: ClassVar[dict[str, Any]] = {
        "padding": 0,
        "output_padding": (0, 0),
        "groups": 1,
        "dilation": (1, 1),
    }
    _function = staticmethod(ops.conv_transpose2d)
    _gradient = staticmethod(ops.conv_transpose2d_backward)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Any = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
    ) -> None:
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = checks.pair("ConvTranspose2D", "output_padding", output_padding, 0)
        self._weights(self.in_channels, self.out_channels, bias)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation

    def macs(self, *input_shapes: Any) -> int:
        h, w = input_shapes[0][-2:]
        return self.weight.size * h * w
