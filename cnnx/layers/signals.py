"""Convolution, pooling and padding of signals (n, c, l): the layers of images, of a single row."""

from __future__ import annotations

from typing import Any, ClassVar

from cnnx import checks, ops
from cnnx.layers.base import builtin
from cnnx.layers.conv import _Conv
from cnnx.layers.pad import ZeroPad2D
from cnnx.layers.pool import AdaptiveAvgPool2D, AvgPool2D, GlobalAvgPool2D, MaxPool2D
from cnnx.layers.views import single
from cnnx.ops.pad import sides

__all__ = [
    "AdaptiveAvgPool1D",
    "AvgPool1D",
    "Conv1D",
    "ConvTranspose1D",
    "GlobalAvgPool1D",
    "MaxPool1D",
    "ZeroPad1D",
]


def _along(op: Any) -> Any:
    """A convolution with a weight (..., k) instead of (..., 1, k)."""

    def function(x: Any, weight: Any, *arguments: Any) -> Any:
        return op(x, weight[:, :, None], *arguments)

    return staticmethod(function)


def _along_backward(op: Any) -> Any:
    def gradient(dy: Any, x: Any, weight: Any, *settings: Any, need_dx: bool) -> Any:
        dx, dweight, dbias = op(dy, x, weight[:, :, None], *settings, need_dx=need_dx)
        return dx, dweight[:, :, 0], dbias

    return staticmethod(gradient)


class _Conv1D(_Conv):
    """Base of both."""

    axes: ClassVar[int] = 1

    def _set_up_signals(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        name = type(self).__name__
        kernel = single(name, "kernel_size", kernel_size)
        stride, dilation = single(name, "stride", stride), single(name, "dilation", dilation)
        if not isinstance(padding, str):
            padding = single(name, "padding", padding, 0)
        geometry = (1, kernel), (1, stride), padding, (1, dilation)
        self._set_up(in_channels, out_channels, *geometry, groups)
        self.kernel_size, self.stride, self.dilation = (kernel,), (stride,), (dilation,)

    def _row(self) -> tuple[Any, Any, Any]:
        """Stride, padding and dilation of images of one row."""
        padding = self.padding if isinstance(self.padding, str) else (0, self.padding)
        return (1, *self.stride), padding, (1, *self.dilation)


@builtin
class Conv1D(_Conv1D):
    """1-D cross-correlation with learned filters, plus a bias. (n, c, l) -> (n, oc, ol)

    y[n, o, j] = bias[o] + sum over (c, v) of
                 weight[o, c, v] * x[n, c, j*stride + v*dilation - padding]
    ol = floor((l + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1

    Arguments, initialisation and errors as in `Conv2D`, with numbers in place of pairs; padding
    also "same" (ol = l at stride 1) or "valid". weight is (oc, c/groups, kernel_size). One signal
    (c, l) gives (oc, ol).

    A. Waibel et al., "Phoneme Recognition Using Time-Delay Neural Networks", IEEE TASSP 1989.

    Example: ``Conv1D(2, 8, 5, padding="same")(np.zeros((4, 2, 100))).shape`` is ``(4, 8, 100)``.
    """

    shown: ClassVar[dict[str, Any]] = {"padding": 0, "dilation": (1,), "groups": 1}
    _function = _along(ops.conv2d)
    _gradient = _along_backward(ops.conv2d_backward)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        geometry = kernel_size, stride, padding, dilation
        self._set_up_signals(in_channels, out_channels, *geometry, groups)
        self._weights(self.out_channels, self.in_channels, bias)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return *self._row(), self.groups

    def macs(self, *input_shapes: Any) -> int:
        return self.weight.size * int(self.output_shape(*input_shapes)[1])


@builtin
class ConvTranspose1D(_Conv1D):
    """Transposed 1-D convolution with learned filters, plus a bias. (n, c, l) -> (n, oc, ol)

    y[n, o, j*stride + v*dilation - padding] += sum over c of weight[c, o, v] * x[n, c, j]
    ol = (l - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1

    Arguments, initialisation, errors and source as in `ConvTranspose2D`, with numbers in place of
    pairs. weight is (c, oc/groups, kernel_size). One signal (c, l) gives (oc, ol).

    Example: ``ConvTranspose1D(8, 2, 4, 2, 1)(np.zeros((4, 8, 50))).shape`` is ``(4, 2, 100)``.
    """

    shown: ClassVar[dict[str, Any]] = {
        "padding": 0,
        "output_padding": (0,),
        "groups": 1,
        "dilation": (1,),
    }
    _function = _along(ops.conv_transpose2d)
    _gradient = _along_backward(ops.conv_transpose2d_backward)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] = 0,
        output_padding: int | tuple[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int] = 1,
    ) -> None:
        geometry = kernel_size, stride, padding, dilation
        self._set_up_signals(in_channels, out_channels, *geometry, groups)
        self.output_padding = (single("ConvTranspose1D", "output_padding", output_padding, 0),)
        self._weights(self.in_channels, self.out_channels, bias)

    @property
    def _settings(self) -> tuple[Any, ...]:
        stride, padding, dilation = self._row()
        return stride, padding, (0, *self.output_padding), self.groups, dilation

    def macs(self, *input_shapes: Any) -> int:
        return self.weight.size * int(input_shapes[0][-1])


@builtin
class MaxPool1D(MaxPool2D):
    """Maximum over sliding windows. (n, c, l) -> (n, c, ol)

    ol = floor((l + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1

    Arguments and errors as in `MaxPool2D`, with numbers in place of pairs. One signal (c, l) gives
    (c, ol).

    Example: ``MaxPool1D(2)(np.zeros((8, 6, 28))).shape`` is ``(8, 6, 14)``.
    """

    axes: ClassVar[int] = 1

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] | str = 0,
        ceil_mode: bool = False,
        dilation: int | tuple[int] = 1,
    ) -> None:
        super().__init__(
            *_singles("MaxPool1D", kernel_size, stride, padding),
            ceil_mode,
            single("MaxPool1D", "dilation", dilation),
        )

    def _geometry(self) -> dict[str, Any]:
        return super()._geometry() | _row(self) | {"dilation": (1, self.dilation)}


@builtin
class AvgPool1D(AvgPool2D):
    """Mean over sliding windows. (n, c, l) -> (n, c, ol), sizes as in `MaxPool1D`.

    Arguments and errors as in `AvgPool2D`, with numbers in place of pairs, and without
    divisor_override, as in PyTorch. One signal (c, l) gives (c, ol).

    Example: ``AvgPool1D(2)(np.zeros((8, 6, 28))).shape`` is ``(8, 6, 14)``.
    """

    axes: ClassVar[int] = 1

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] | str = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        sizes = _singles("AvgPool1D", kernel_size, stride, padding)
        super().__init__(*sizes, ceil_mode, count_include_pad)

    def _geometry(self) -> dict[str, Any]:
        return super()._geometry() | _row(self)


@builtin
class AdaptiveAvgPool1D(AdaptiveAvgPool2D):
    """Mean over ol windows that cover the signal. (n, c, l) -> (n, c, ol)

    output_size  ol; None keeps the length of x. Windows as in `AdaptiveAvgPool2D`.

    Example: ``AdaptiveAvgPool1D(7)(np.zeros((8, 6, 30))).shape`` is ``(8, 6, 7)``.
    """

    axes: ClassVar[int] = 1

    def __init__(self, output_size: int | tuple[int] | None) -> None:
        if output_size is not None:
            output_size = single("AdaptiveAvgPool1D", "output_size", output_size)
        super().__init__(output_size)

    def _size(self) -> Any:
        return 1, self.output_size


@builtin
class GlobalAvgPool1D(GlobalAvgPool2D):
    """Mean of each channel over the whole signal. (n, c, l) -> (n, c, 1)

    Example: ``Sequential(GlobalAvgPool1D(), Flatten(), Linear(64, 10))`` is a head for signals of
    any length.
    """

    axes: ClassVar[int] = 1


@builtin
class ZeroPad1D(ZeroPad2D):
    """Pad signals with zeros. (n, c, l) -> (n, c, l + left + right)

    padding  a number for both sides, or (left, right); negative numbers crop. ValueError if more is
             cropped than the signal has.

    Example: ``ZeroPad1D((1, 2))(np.zeros((8, 6, 7))).shape`` is ``(8, 6, 10)``.
    """

    axes: ClassVar[int] = 1

    def __init__(self, padding: int | tuple[int, int]) -> None:
        given: Any = padding
        ends = tuple(given) if checks.is_sequence(given) else (given, given)
        if len(ends) != 2:
            raise ValueError(
                f"ZeroPad1D: padding={padding!r}, but one number, or (left, right), is expected"
            )
        super().__init__((*ends, 0, 0))
        self._ends: Any = sides("ZeroPad1D", (*ends, 0, 0))
        self.padding: Any = self._ends[:2] if checks.is_sequence(given) else self._ends[0]

    def _sides(self) -> Any:
        return self._ends


def _singles(name: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[int, int, Any]:
    kernel = single(name, "kernel_size", kernel_size)
    return (
        kernel,
        kernel if stride is None else single(name, "stride", stride),
        padding if isinstance(padding, str) else single(name, "padding", padding, 0),
    )


def _row(pool: Any) -> dict[str, Any]:
    """kernel_size, stride and padding of images of one row."""
    padding = pool.padding if isinstance(pool.padding, str) else (0, pool.padding)
    return {"kernel_size": (1, pool.kernel_size), "stride": (1, pool.stride), "padding": padding}
