"""Batch normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cnnx import checks, init, ops
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["BatchNorm1D", "BatchNorm2D"]


class _BatchNorm(Layer):
    """Base of both classes: y = (x - mean) / sqrt(var + eps) * weight + bias per channel."""

    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")
    buffer_names: ClassVar[tuple[str, ...]] = (
        "running_mean",
        "running_var",
        "num_batches_tracked",
    )
    _shapes: ClassVar[dict[int, str]]
    sync: Any = None  # set by cnnx.distributed.sync_batch_norm: train mode over several processes

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        name = type(self).__name__
        self.num_features = c = checks.integer(name, "num_features", num_features, least=1)
        checks.array_size(name, (c,), "weight")
        self.eps = checks.real(name, "eps", eps, 0.0)
        self.momentum = (
            momentum if momentum is None else checks.real(name, "momentum", momentum, 0.0, 1.0)
        )
        self.affine = checks.flag(name, "affine", affine)
        self.track_running_stats = checks.flag(name, "track_running_stats", track_running_stats)
        self.weight = Parameter(init.ones(c), "weight") if affine else None
        self.bias = Parameter(init.zeros(c), "bias") if affine else None
        self.running_mean = init.zeros(c) if track_running_stats else None
        self.running_var = init.ones(c) if track_running_stats else None
        self.num_batches_tracked = np.zeros((), np.int64) if track_running_stats else None

    def forward(self, x: Any) -> Any:
        y, values = self._compute(x)
        self._save(*values)
        return y

    def backward(self, dy: Any) -> Any:
        return self._gradient(dy, *self._saved())

    def _compute(self, x: Any, **epilogue: Any) -> tuple[Any, tuple[Any, ...]]:
        """y, and the values to save. epilogue: further arguments of the op (graph/fused.py)."""
        x = self._float(x, self._dtype())
        self._check_shape(x.shape)
        weight = None if self.weight is None else self.weight.data
        bias = None if self.bias is None else self.bias.data
        training = self.training
        batch_statistics: Any = training or self.running_mean is None
        if training and self.sync is not None:
            y, mean, inv_std, batch_statistics = self.sync.forward(
                self, x, weight, bias, **epilogue
            )
        else:
            y, mean, inv_std = ops.batch_norm(
                x,
                weight,
                bias,
                self.running_mean,
                self.running_var,
                training=batch_statistics,
                momentum=self._momentum(),
                eps=self.eps,
                **epilogue,
            )
        if training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        return y, (x, mean, inv_std, batch_statistics)

    def _gradient(
        self,
        dy: Any,
        x: Any,
        mean: Any,
        inv_std: Any,
        batch_statistics: Any,
        activation: str | None = None,
    ) -> Any:
        """dx, from the values that `_compute` returned, and with the same activation."""
        weight = None if self.weight is None else self.weight.data
        shared = not isinstance(batch_statistics, bool)
        dx, dweight, dbias = ops.batch_norm_backward(
            self._float(dy, x.dtype),
            x,
            weight,
            mean,
            inv_std,
            training=batch_statistics and not shared,
            bias=None if self.bias is None else self.bias.data,
            activation=activation,
        )
        if shared:
            batch_statistics.complete(dx, x, weight, mean, inv_std, dweight, dbias)
        if self.weight is not None and self.bias is not None:
            self.weight.accumulate(dweight)
            self.bias.accumulate(dbias)
        return dx

    def _dtype(self) -> Any:
        given = self.weight if self.weight is not None else self.running_mean
        return None if given is None else given.dtype

    def _momentum(self) -> float:
        """The weight of this batch in the running statistics; None: the mean over all batches."""
        if self.momentum is None and self.num_batches_tracked is not None:
            return 1.0 / (int(self.num_batches_tracked) + 1)
        return 0.0 if self.momentum is None else self.momentum

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        # The op accepts all ranks.
        if len(shape) not in self._shapes or shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: x has shape {shape}, expected "
                f"{' or '.join(self._shapes.values())} with c = {self.num_features}"
                f"{self._advice(shape)}"
            )

    def _advice(self, shape: tuple[int, ...]) -> str:
        """Advice for images with the channels last, or without a batch axis."""
        if 4 not in self._shapes:
            return ""
        last = checks.channels_last("x", shape, self.num_features)
        return last if len(shape) == 4 else checks.missing_axes("x", shape)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


@builtin
class BatchNorm2D(_BatchNorm):
    """Normalise each channel of images over the batch and all pixels. (n, c, h, w) -> the same

    y = (x - mean) / sqrt(var + eps) * weight + bias, all per channel.

    Train mode: mean and (biased) variance of the batch; the running statistics are updated by
    running = (1 - momentum) * running + momentum * batch (unbiased variance, as in PyTorch).
    Eval mode: the running statistics.

    num_features  c                       eps       added to the variance
    momentum      0.1; None: the running statistics are the plain mean over all batches
    affine        False: no weight and bias
    track_running_stats  False: no running statistics; eval mode also uses the batch's

    weight starts as ones, bias as zeros. ValueError for another rank or number of channels, and in
    train mode for a batch with one value per channel (its variance is zero).

    S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift", ICML 2015.

    Example: ``Sequential(Conv2D(3, 16, 3, bias=False), BatchNorm2D(16), ReLU())``
    """

    _shapes: ClassVar[dict[int, str]] = {4: "(n, c, h, w)"}


@builtin
class BatchNorm1D(_BatchNorm):
    """Normalise each feature over the batch. (n, c) or (n, c, l) -> the same

    Formula, arguments, errors and source as in `BatchNorm2D`.

    Example: ``Sequential(Linear(784, 128, bias=False), BatchNorm1D(128), ReLU())``
    """

    _shapes: ClassVar[dict[int, str]] = {2: "(n, c)", 3: "(n, c, l)"}
