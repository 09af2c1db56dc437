"""Whether a step computes each sample by itself."""

from __future__ import annotations

import numpy as np

from cnnx.engine.lower import ELEMENTWISE
from cnnx.engine.record import Recorded, same_memory

__all__ = ["by_sample"]

_BY_SAMPLE = {
    *("conv2d", "conv_transpose2d", "linear", "group_norm", "layer_norm", "local_response_norm"),
    *("max_pool2d", "relu_max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"),
    *("zero_pad2d", "interpolate", "batch_norm", "concat", "softmax", "log_softmax", *ELEMENTWISE),
}


def by_sample(recorded: Recorded, batch: int) -> bool:
    """Whether a step computes each sample of its output from the same sample of its inputs.

    batch  at least 2: of a single sample, no sum over samples is known as such
    """
    shapes = [*[x.shape for x in recorded.reads], recorded.shape]
    if any(shape[:1] != (batch,) for shape in shapes):
        return False
    if recorded.view_of is not None:
        return True
    if recorded.view is not None:
        (x,), view = recorded.reads, recorded.view
        size, inner = x.size // batch, zip(view.shape[1:], view.strides[1:], strict=True)
        ends = [(n - 1) * stride for n, stride in inner]
        least, most = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
        within = 0 <= view.offset + least <= view.offset + most < size
        return view.shape[0] == batch and view.strides[0] == size and within
    call = recorded.call
    if call is None or call.op not in _BY_SAMPLE:
        return False
    if call.op in ("add", "binary", "multiply") and len(recorded.reads) == 1:
        rank = len(recorded.shape)  # a constant may have numbers of its own for each sample
        operands = [x for x in call.arguments if isinstance(x, np.ndarray) and x.ndim == rank]
        return all(len(x) == 1 or same_memory(x, recorded.reads[0]) for x in operands)
    if call.op in ("softmax", "log_softmax"):  # of the second of three axes
        return len(call.arguments[0]) % batch == 0
    if call.op == "concat":
        arrays, axis = call.arguments
        return axis % arrays[0].ndim != 0
    if call.op == "batch_norm" and call.arguments[5]:  # by the statistics of x
        x, weight = call.arguments[:2]
        return weight is None and len(x) == 1 and x.shape[1] % batch == 0  # of planes: InstanceNorm
    return True
