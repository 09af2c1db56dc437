"""Instance normalisation."""

# Design:
# It is batch normalisation of one image whose channels are all channels of all images: with weight,
# bias and running statistics repeated for each image, the op of batch_norm computes both
# directions. The running statistics are then the mean of those that the images would leave.

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cnnx import ops
from cnnx.layers.base import builtin
from cnnx.layers.norm import BatchNorm2D
from cnnx.layers.views import viewed

__all__ = ["InstanceNorm2D"]


@builtin
class InstanceNorm2D(BatchNorm2D):
    """Normalise each channel of each image over its pixels. (n, c, h, w) -> the same

    One image (c, h, w) may be given instead of a batch.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) variance of a channel of an
    image; weight and bias per channel.

    num_features  c                       eps       added to the variance
    momentum      of the running statistics; None leaves them as they are
    affine        True: trainable weight and bias, which start as ones and zeros
    track_running_stats  True: train mode updates running statistics by the mean of those of the
                  images (unbiased variance), and eval mode uses them. False: the modes are alike

    ValueError for another rank or number of channels, and for images of one pixel, whose variance
    is zero.

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance Normalization: The Missing Ingredient for Fast
    Stylization", 2016.

    Example: ``Sequential(Conv2D(3, 16, 3), InstanceNorm2D(16), ReLU())``
    """

    _shapes: ClassVar[dict[int, str]] = {4: "(n, c, h, w)"}
    axes: ClassVar[int] = 2  # for `viewed`

    forward = viewed(BatchNorm2D.forward)
    backward = viewed(BatchNorm2D.backward)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)

    def _compute(self, x: Any, **epilogue: Any) -> tuple[Any, tuple[Any, ...]]:
        if not self.training and self.running_mean is not None:
            return super()._compute(x, **epilogue)
        x = self._float(x, self._dtype())
        self._check_shape(x.shape)
        n, c, *pixels = x.shape
        if n and pixels == [1, 1]:
            raise ValueError(
                f"InstanceNorm2D: x has shape {x.shape}, but images of more than one pixel are "
                "expected: the variance of one is zero"
            )
        mean, var = (None if r is None else np.tile(r, n) for r in self._running())
        weight, bias = self._vectors(n)
        y, means, inv_std = ops.batch_norm(
            x.reshape(1, n * c, *pixels),
            weight,
            bias,
            mean,
            var,
            training=True,
            momentum=self._momentum(),
            eps=self.eps,
        )
        for old, new in zip(self._running(), (mean, var), strict=True):
            if old is not None and new is not None and n:
                old[...] = new.reshape(n, c).mean(0)
        return y.reshape(x.shape), (x, means, inv_std, True)

    def _momentum(self) -> float:
        # Batches are not counted, as in PyTorch, so None cannot mean the plain mean over them.
        return 0.0 if self.momentum is None else self.momentum

    def _running(self) -> tuple[Any, Any]:
        return self.running_mean, self.running_var

    def _vectors(self, n: int) -> list[Any]:
        """Weight and bias, once for each image."""
        given = (self.weight, self.bias)
        if n == 1:  # no copies
            return [None if p is None else p.data for p in given]
        return [None if p is None else np.tile(p.data, n) for p in given]

    def _gradient(
        self,
        dy: Any,
        x: Any,
        mean: Any,
        inv_std: Any,
        batch_statistics: bool,
        activation: str | None = None,
    ) -> Any:
        if not batch_statistics:
            return super()._gradient(dy, x, mean, inv_std, False, activation)
        n, c, *pixels = x.shape
        flat = (1, n * c, *pixels)
        weight, _ = self._vectors(n)
        dy = self._float(dy, x.dtype).reshape(flat)
        dx, dweight, dbias = ops.batch_norm_backward(dy, x.reshape(flat), weight, mean, inv_std)
        if self.weight is not None and self.bias is not None:
            self.weight.accumulate(dweight.reshape(n, c).sum(0))
            self.bias.accumulate(dbias.reshape(n, c).sum(0))
        return dx.reshape(x.shape)
