"""Max, average, adaptive and global pooling. All take one image (c, h, w) too."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops, windows
from cnnx.layers.base import builtin
from cnnx.layers.views import OverImages, viewed
from cnnx.ops.adaptive_pool import adaptive_size

__all__ = ["AdaptiveAvgPool2D", "AvgPool2D", "GlobalAvgPool2D", "MaxPool2D"]

Pair = int | tuple[int, int]


@builtin
class MaxPool2D(OverImages):
    """Maximum over sliding windows. (n, c, h, w) -> (n, c, oh, ow)

    oh = floor((h + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1; ow likewise.

    kernel_size  a number, or a pair (height, width)
    stride       the same; None: kernel_size
    padding      border that is never the maximum, at most half of kernel_size: a number, a pair,
                 "valid" (none), or "same", as in Keras: oh = ceil(h / stride)
    ceil_mode    round the output size up: the last window may extend beyond the border
    dilation     distance between the pixels of a window: a number, or a pair

    Backward adds each window's gradient to the pixel of its first maximum. ValueError for a larger
    padding; an image of the wrong size is detected by `ops.max_pool2d`.

    Example: ``MaxPool2D(2)(np.zeros((8, 6, 28, 28))).shape`` is ``(8, 6, 14, 14)``.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        dilation: Pair = 1,
    ) -> None:
        name = type(self).__name__
        self.dilation = checks.kept_pair(name, "dilation", dilation)
        self.kernel_size, self.stride, self.padding = _kept(name, kernel_size, stride, padding)
        self.ceil_mode = checks.flag(name, "ceil_mode", ceil_mode)

    @viewed
    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y, argmax = ops.max_pool2d(x, **self._geometry())
        self._save(argmax, x.shape, x.dtype)
        return y

    @viewed
    def backward(self, dy: Any) -> Any:
        argmax, x_shape, dtype = self._saved()
        return ops.max_pool2d_backward(self._float(dy, dtype), argmax, x_shape, **self._geometry())

    def _geometry(self) -> dict[str, Any]:
        """The arguments of the ops besides the arrays."""
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "dilation": self.dilation,
        }

    def extra_repr(self) -> str:
        text = (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}, "
            f"ceil_mode={self.ceil_mode}"
        )
        return text if self.dilation == 1 else f"{text}, dilation={self.dilation}"


@builtin
class AvgPool2D(OverImages):
    """Mean over sliding windows. (n, c, h, w) -> (n, c, oh, ow), sizes as in `MaxPool2D`.

    kernel_size, stride, padding, ceil_mode  as in `MaxPool2D`; the border holds zeros
    count_include_pad  True: divide by the window's size; False, and with padding="same", as in
                       Keras: by the pixels of x inside it
    divisor_override   a positive integer to divide by instead

    ValueError for a padding of more than half of the kernel; an image of the wrong size is detected
    by `ops.avg_pool2d`.

    Example: ``AvgPool2D(2)(np.zeros((8, 6, 28, 28))).shape`` is ``(8, 6, 14, 14)``.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        name = type(self).__name__
        self.kernel_size, self.stride, self.padding = _kept(name, kernel_size, stride, padding)
        self.ceil_mode = checks.flag(name, "ceil_mode", ceil_mode)
        self.count_include_pad = checks.flag(name, "count_include_pad", count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = checks.integer(
                name, "divisor_override", divisor_override, least=1
            )

    @viewed
    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.avg_pool2d(x, **self._geometry())
        self._save(x.shape, x.dtype)
        return y

    @viewed
    def backward(self, dy: Any) -> Any:
        x_shape, dtype = self._saved()
        return ops.avg_pool2d_backward(self._float(dy, dtype), x_shape, **self._geometry())

    def _geometry(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
            "divisor_override": self.divisor_override,
        }

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"


@builtin
class AdaptiveAvgPool2D(OverImages):
    """Mean over oh x ow windows that cover the image. (n, c, h, w) -> (n, c, oh, ow)

    output_size  (oh, ow): a number or a pair; None, alone or in the pair, keeps the size of x

    The output size does not depend on the image size. Window i of oh covers the rows from
    floor(i*h/oh) to ceil((i+1)*h/oh); output size 1 is the same as `GlobalAvgPool2D`.

    Example: ``AdaptiveAvgPool2D((7, None))(np.zeros((8, 6, 9, 5))).shape`` is ``(8, 6, 7, 5)``.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        rows, columns = adaptive_size("AdaptiveAvgPool2D", output_size)
        self.output_size = (rows, columns) if checks.is_sequence(output_size) else rows

    @viewed
    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.adaptive_avg_pool2d(x, self._size())
        self._save(x.shape, x.dtype)
        return y

    @viewed
    def backward(self, dy: Any) -> Any:
        x_shape, dtype = self._saved()
        return ops.adaptive_avg_pool2d_backward(self._float(dy, dtype), x_shape)

    def _size(self) -> Any:
        """output_size, as the op takes it."""
        return self.output_size

    def extra_repr(self) -> str:
        return f"{self.output_size}"


@builtin
class GlobalAvgPool2D(OverImages):
    """Mean of each channel over the whole image. (n, c, h, w) -> (n, c, 1, 1)

    M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014.

    Example: ``Sequential(GlobalAvgPool2D(), Flatten(), Linear(512, 10))`` is a head for images
    of any size.
    """

    @viewed
    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.global_avg_pool2d(x)
        self._save(x.shape, x.dtype)
        return y

    @viewed
    def backward(self, dy: Any) -> Any:
        x_shape, dtype = self._saved()
        return ops.global_avg_pool2d_backward(self._float(dy, dtype), x_shape)


def _kept(name: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Pair, Any]:
    """kernel_size, stride and padding as given, after they were checked."""
    kernel = checks.kept_pair(name, "kernel_size", kernel_size)
    windows.pool_border(name, padding, checks.pair(name, "kernel_size", kernel))
    return (
        kernel,
        kernel if stride is None else checks.kept_pair(name, "stride", stride),
        padding if isinstance(padding, str) else checks.kept_pair(name, "padding", padding, 0),
    )
