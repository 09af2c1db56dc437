"""`sync_batch_norm`: batch norm by the statistics of the whole batch, over all ranks."""

# Design:
# The layers stay what they are, so a graph fuses them with their activation, and saving, ONNX and
# plans know them; they only ask `Synchronised` for the statistics in train mode. Each rank computes
# count, mean and squared deviations of its own values. These are merged in the order of the ranks,
# in float64 (Chan, Golub, LeVeque 1979), by which the op then normalises as in eval mode. Its
# backward is that of constant statistics; what they contribute to dx is added here, from the sums
# over the ranks. The bits are the same on all ranks, but not those of one process, which adds up
# the values of a channel in other groups.
# A rank without samples would leave the others waiting in the middle of a forward, so each needs
# some. An error of one rank reaches the others where they wait for its statistics (Comm.share).

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import ops
from cnnx.distributed.comm import Comm, init
from cnnx.layers import BatchNorm1D, BatchNorm2D, InstanceNorm2D, Layer

__all__ = ["is_synchronised", "sync_batch_norm"]


def sync_batch_norm(model: Layer, comm: Comm | None = None) -> Layer:
    """Normalise by the mean and variance of the whole batch in all `BatchNorm1D` and `BatchNorm2D`
    layers of the model, instead of each rank's own part of it. Changes the model, and returns it.

    comm  from `init`; None: of all ranks of the program

    For n_r values of a channel on rank r, with mean m_r and variance v_r, and N = sum n_r:
    mean = sum n_r m_r / N;  var = sum n_r (v_r + (m_r - mean)^2) / N
    Running statistics are those of the whole batch, too, and backward sums over it. So R ranks
    train as one process with the same batch, up to rounding; parts may differ in size. Each layer
    sends a message in forward, and one in backward, for which all ranks wait.

    Every rank needs a sample in each step: the others wait for it. `cnnx.distributed.fit` needs one
    shard for each rank; in a loop of your own, give ``zero_grad(samples=...)`` where ranks have
    different numbers. Eval mode is unchanged. `model.copy()` is synchronised as well; a file or a
    pickle is not.

    Example::

        comm = cnnx.distributed.init()
        model = cnnx.distributed.sync_batch_norm(cnnx.models.resnet20(), comm)
    """
    if not isinstance(model, Layer):
        raise TypeError(f"sync_batch_norm: model is {model!r}, expected a Layer")
    sync = Synchronised(init() if comm is None else comm)
    for layer in model.modules():
        if isinstance(layer, (BatchNorm1D, BatchNorm2D)) and not isinstance(layer, InstanceNorm2D):
            layer.sync = sync
    return model


def is_synchronised(model: Layer) -> bool:
    """Whether `sync_batch_norm` changed a layer of the model."""
    return any(getattr(layer, "sync", None) is not None for layer in model.modules())


class Synchronised:
    """Batch norm in train mode over the ranks; the attribute `sync` of a layer."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm

    def __deepcopy__(self, memo: Any) -> Synchronised:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # another process has other ranks

    def forward(
        self, layer: Any, x: np.ndarray, weight: Any, bias: Any, **epilogue: Any
    ) -> tuple[Any, ...]:
        """y, mean, inv_std, and what `_gradient` asks for the rest of dx."""
        every = self.comm.share(_moments(x, layer.eps))
        count = sum(n for n, _, _ in every)
        if count < 2:
            name = type(layer).__name__
            raise self.comm.agreed(
                ValueError(
                    f"{name}: the ranks have {count} values per channel, but in training more than "
                    "one is needed"
                )
            )
        mean, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for n, own, _ in every:
            mean += n * own / count
        for n, own, square in every:
            squares += square + n * (own - mean) ** 2
        if layer.running_mean is not None:
            momentum = layer._momentum()
            for running, new in (
                (layer.running_mean, mean),
                (layer.running_var, squares / (count - 1)),
            ):
                running[...] = (1 - momentum) * running + momentum * new
        statistics = mean.astype(x.dtype), (squares / count).astype(x.dtype)
        y, mean, inv_std = ops.batch_norm(
            x, weight, bias, *statistics, training=False, eps=layer.eps, **epilogue
        )
        return y, mean, inv_std, Shared(self.comm, count)


class Shared:
    """The statistics of a batch: how dx depends on them."""

    def __init__(self, comm: Comm, count: int) -> None:
        self._comm, self._count = comm, count

    def complete(
        self, dx: np.ndarray, x: Any, weight: Any, mean: Any, inv_std: Any, *own: np.ndarray
    ) -> None:
        """dx -= weight * inv_std * (dbias + xhat * dweight) / count, with sums over the ranks.

        own  dweight and dbias of this rank. They, and dx, are the gradients of the loss of this
             rank, which counts `comm.weight` times.
        """
        weighted = self._comm.weight * np.stack(own).astype(np.float64)
        dweight, dbias = self._comm.collect(weighted).sum(axis=0)
        shape = (1, -1, *[1] * (x.ndim - 2))
        scale = inv_std / (self._count * self._comm.weight)
        scale = scale if weight is None else scale * weight
        part = x - mean.reshape(shape)
        part *= (scale * inv_std * dweight).astype(x.dtype).reshape(shape)
        part += (scale * dbias).astype(x.dtype).reshape(shape)
        dx -= part


def _moments(x: np.ndarray, eps: float) -> tuple[int, np.ndarray, np.ndarray]:
    """(values of a channel, their mean, the sum of their squared deviations), in float64."""
    channels = x.shape[1]
    count = x.size // channels
    mean, var = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
    if count == 1:
        mean[:] = x.reshape(channels)
    if count > 1:  # the kernel computes them best; var is the unbiased one
        ops.batch_norm(x, None, None, mean, var, training=True, momentum=1.0, eps=eps)
    return count, mean.astype(np.float64), var.astype(np.float64) * max(count - 1, 0)
