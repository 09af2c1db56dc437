"""Pass 6: a call of the backend as a prepared Job, with the places of its arrays."""

# Design:
# TABLE has a function for each op that has a Job: from the arguments of the backend's function, in
# its order, to the Job and its arrays in the order of `Job.arrays`. Ops without one run as they do
# in the model.

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np

from cnnx.engine import channels_last
from cnnx.engine.record import Recorded, same_memory
from cnnx.tuples import NamedTuple

__all__ = ["TABLE", "JobStep", "Output", "Scratch", "Value", "lower", "packed"]


class Value(NamedTuple):
    """An operand: a value of the network, by its number."""

    number: int


class Output(NamedTuple):
    """An operand: the output of the step."""


class Scratch(NamedTuple):
    """An operand: a result that nobody reads, such as the positions of maxima."""

    size: int  # bytes


class JobStep(NamedTuple):
    """A Job and its operands: `Value`, `Output`, `Scratch`, weights (packed or not), or None.

    in_place  how many of its first operands its output may write over, if they have its size
    parts     where its first operands lie in the output, in bytes: if all it does is to copy each
              to its place, so that it need not be copied if it is computed there
    inside    where the output lies in its first operand, in bytes: if all it does is to copy it
              from there, so that it need not be copied if it can stay; else None
    channels_last   the Job of the same operands where images are (n, pixels, channels) in memory,
              or None
    """

    job: Any
    operands: tuple[Any, ...]
    in_place: int
    parts: tuple[int, ...] = ()
    inside: int | None = None
    channels_last: Any = None


Lowered = tuple[Any, tuple[Any, ...]]  # a Job, and its arrays


def lower(recorded: Recorded, jobs: Any) -> JobStep | None:
    """The Job of a step, or None if it has none. Weights are not packed yet.

    jobs  the module of the compiled backend that prepares them
    """
    call = recorded.call
    if recorded.view is not None and all(x.size for x in recorded.reads):
        return _copied(recorded, jobs)
    if call is None or call.op not in TABLE or not all(x.size for x in recorded.reads):
        return None
    found = TABLE[call.op](jobs, call.results, *call.arguments)
    if found is None:
        return None
    job, arrays = found
    operands = [_operand(recorded, array) for array in arrays]
    if any(operand is _UNKNOWN for operand in operands):
        return None
    parts = _parts(*call.arguments) if call.op == "concat" else ()
    in_place = ELEMENTWISE.get(call.op, 0)
    other = job if call.op in channels_last.SAME_JOB else None
    if call.op in channels_last.TABLE and len(recorded.shape) > 2:
        other = channels_last.TABLE[call.op](jobs, call.results, *call.arguments)
    return JobStep(job, tuple(operands), in_place, parts, channels_last=other)


def packed(step: JobStep | None) -> JobStep | None:
    """The step with its weights as its Job reads them."""
    if step is None:
        return None
    roles = [wanted.role for wanted in step.job.arrays]
    operands = [
        step.job.pack(operand) if role == "weight" else operand
        for role, operand in zip(roles, step.operands, strict=True)
    ]
    return step._replace(operands=tuple(operands))


def _copied(recorded: Recorded, jobs: Any) -> JobStep | None:
    """The copy of a view."""
    (x,), view = recorded.reads, recorded.view
    assert view is not None
    if x.itemsize not in (1, 2, 4, 8):
        return None
    job = jobs.prepare_strided_copy(x.shape, x.dtype, *view)
    dense = _contiguous_strides(view.shape) == tuple(
        [0 if n == 1 else stride for n, stride in zip(view.shape, view.strides, strict=True)]
    )
    inside = view.offset * x.itemsize if dense else None
    return JobStep(job, (Value(recorded.step.inputs[0]), Output()), 0, inside=inside)


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of an array in C order, in elements; 0 for an axis of size 1, where it does not matter."""
    behind = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple([0 if n == 1 else stride for n, stride in zip(shape, behind, strict=True)])


_UNKNOWN = object()
_FEW_ROWS = 4  # of a linear layer, which reads its weights as they lie: ROWS_OF_DOTS in csrc


def _operand(recorded: Recorded, array: Any) -> Any:
    if array is None:
        return None
    if isinstance(array, tuple):  # weights that are packed together
        known = [_operand(recorded, one) for one in array]
        return array if all(isinstance(one, np.ndarray) for one in known) else _UNKNOWN
    assert recorded.call is not None
    results = recorded.call.results
    if array is results[0]:
        return Output()
    if any(array is other for other in results[1:]):
        return Scratch(array.nbytes)
    for number, x in zip(recorded.step.inputs, recorded.reads, strict=True):
        if same_memory(array, x):
            return Value(number)
    if any(np.may_share_memory(array, weight) for weight in recorded.weights):
        return array
    return _UNKNOWN


def _conv2d(jobs: Any, results: Any, x: Any, weight: Any, bias: Any, *settings: Any) -> Lowered:
    stride, padding, dilation, _, activation, add = settings
    shapes, first = (x.shape, weight.shape, results[0].shape), (padding[0][0], padding[1][0])
    windows = (stride, first, dilation)
    job = jobs.prepare_convolution("forward", *shapes, *windows, x.dtype, activation, packed=True)
    return job, (x, weight, bias, add, *results)


def _conv_transpose2d(
    jobs: Any, results: Any, x: Any, weight: Any, bias: Any, *settings: Any
) -> Lowered:
    """It computes what a convolution calls dx, from what that calls dy."""
    stride, padding, _, dilation, _ = settings
    shapes, first = (results[0].shape, weight.shape, x.shape), (padding[0][0], padding[1][0])
    windows = (stride, first, dilation)
    job = jobs.prepare_convolution("backward_data", *shapes, *windows, x.dtype, packed=True)
    return job, (x, weight, bias, *results)


def _linear(jobs: Any, results: Any, x: Any, weight: Any, bias: Any, activation: Any) -> Lowered:
    (n, inputs), outputs = x.shape, len(weight)
    if n > _FEW_ROWS:
        # A 1x1 convolution of n pixels, whose channels are last: its weights are packed once.
        shapes = (1, inputs, 1, n), (outputs, inputs, 1, 1), (1, outputs, 1, n)
        job = jobs.prepare_convolution(
            *("forward", *shapes, (1, 1), (0, 0), (1, 1), x.dtype, activation),
            packed=True,
            channels_last=True,
        )
        if job is not None:
            return job, (x, weight.reshape(outputs, inputs, 1, 1), bias, None, *results)
    job = jobs.prepare_linear(x.shape, weight.shape, x.dtype, activation)
    return job, (x, weight, bias, *results)


def _max_pool2d(jobs: Any, results: Any, x: Any, *windows: Any) -> Lowered:
    return jobs.prepare_max_pool2d(x.shape, x.dtype, *windows), (x, *results)


def _relu_max_pool2d(jobs: Any, results: Any, x: Any, *windows: Any) -> Lowered:
    return jobs.prepare_max_pool2d(x.shape, x.dtype, *windows, relu=True), (x, *results)


def _avg_pool2d(jobs: Any, results: Any, x: Any, *windows: Any) -> Lowered:
    return jobs.prepare_avg_pool2d(x.shape, x.dtype, *windows), (x, *results)


def _adaptive_avg_pool2d(jobs: Any, results: Any, x: Any, size: Any = (1, 1)) -> Lowered:
    return jobs.prepare_adaptive_avg_pool2d(x.shape, x.dtype, size), (x, *results)


def _batch_norm(
    jobs: Any, results: Any, x: Any, weight: Any, bias: Any, *settings: Any
) -> Lowered | None:
    mean, var, training, _, eps, activation, add = settings
    if training and mean is not None:  # it updates them
        return None
    job = jobs.prepare_batch_norm(x.shape, x.dtype, training, eps, activation)
    return job, (x, weight, bias, add, mean, var, None, *results)


def _group_norm(
    jobs: Any, results: Any, x: Any, num_groups: int, weight: Any, bias: Any, eps: float
) -> Lowered:
    given = [vector for vector in (weight, bias) if vector is not None]
    which = weight is not None, bias is not None
    job = jobs.prepare_group_norm(x.shape, x.dtype, num_groups, eps, *which)
    return job, (x, *given, *results)


def _layer_norm(
    jobs: Any, results: Any, x: Any, size: int, weight: Any, bias: Any, eps: float
) -> Lowered:
    """It is group_norm of one group, of channels of one element."""
    given = [vector for vector in (weight, bias) if vector is not None]
    which = weight is not None, bias is not None
    job = jobs.prepare_group_norm((*x.shape, 1), x.dtype, 1, eps, *which)
    return job, (x, *given, *results)


def _local_response_norm(jobs: Any, results: Any, x: Any, *settings: Any) -> Lowered:
    return jobs.prepare_local_response_norm(x.shape, x.dtype, *settings), (x, *results)


def _binary(jobs: Any, results: Any, x: Any, y: Any, function: str) -> Lowered:
    return jobs.prepare_binary(function, x.shape, y.shape, x.dtype), (x, y, *results)


def _add(jobs: Any, results: Any, x: Any, y: Any) -> Lowered:
    return _binary(jobs, results, x, y, "add")


def _multiply(jobs: Any, results: Any, x: Any, y: Any) -> Lowered:
    return _binary(jobs, results, x, y, "multiply")


def _unary(jobs: Any, results: Any, x: Any, function: str, a: float, b: float) -> Lowered:
    return jobs.prepare_unary(function, x.shape, x.dtype, a, b), (x, *results)


def _reduce(jobs: Any, results: Any, x: Any, function: str) -> Lowered:
    return jobs.prepare_reduce(x.shape, x.dtype, function), (x, *results)


def _lstm(jobs: Any, results: Any, x: Any, *others: Any) -> Lowered:
    w, r, b, h, c, direction = others
    job = jobs.prepare_lstm(x.shape, r.shape, x.dtype, direction)
    return job, (x, (w, r, b), h, c, *results)


def _prelu(jobs: Any, results: Any, x: Any, weight: Any) -> Lowered:
    return jobs.prepare_prelu(x.shape, x.dtype), (x, weight, *results)


def _zero_pad2d(jobs: Any, results: Any, x: Any, padding: Any) -> Lowered:
    return jobs.prepare_zero_pad2d(x.shape, x.dtype, padding), (x, *results)


def _pad(jobs: Any, results: Any, x: Any, *settings: Any) -> Lowered | None:
    if not results[0].size:
        return None
    return jobs.prepare_pad(x.shape, x.dtype, *settings), (x, *results)


def _interpolate(jobs: Any, results: Any, x: Any, *settings: Any) -> Lowered:
    return jobs.prepare_interpolate(x.shape, x.dtype, *settings), (x, *results)


def _curve(op: str) -> Callable[..., Lowered]:
    def lowered(jobs: Any, results: Any, x: Any, *settings: Any) -> Lowered:
        return jobs.prepare_curve(op, x.shape, x.dtype, *settings), (x, *results)

    return lowered


def _concat(jobs: Any, results: Any, arrays: Any, axis: int) -> Lowered | None:
    job = jobs.prepare_concat([x.shape for x in arrays], arrays[0].dtype, axis)
    return None if job is None else (job, (*arrays, *results))


def _parts(arrays: Any, axis: int) -> tuple[int, ...]:
    """Where arrays lie in their concatenation, if each is there in one piece; else ()."""
    if math.prod(arrays[0].shape[:axis]) != 1:
        return ()
    return tuple(accumulate((x.nbytes for x in arrays[:-1]), initial=0))


def _activation(op: str) -> Callable[..., Lowered]:
    def lowered(jobs: Any, results: Any, x: Any, setting: Any = None) -> Lowered:
        settings = {} if setting is None else {_SETTING[op]: setting}
        return jobs.prepare_activation(op, x.shape, x.dtype, **settings), (x, *results)

    return lowered


_SETTING = {"leaky_relu": "negative_slope", "softmax": "axis", "log_softmax": "axis"}
_ACTIVATIONS = ("relu", "relu6", "hardsigmoid", "hardswish", "leaky_relu", "sigmoid", "tanh")
_CURVES = ("elu", "gelu", "silu", "softplus", "mish")

# The ops that compute each element of the output from that of each operand, and how many these are.
ELEMENTWISE = {
    **dict.fromkeys(("add", "binary", "multiply"), 2),
    **dict.fromkeys((*_ACTIVATIONS, *_CURVES, "prelu", "unary"), 1),
}

TABLE: dict[str, Callable[..., Lowered | None]] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "relu_max_pool2d": _relu_max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "global_avg_pool2d": _adaptive_avg_pool2d,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "local_response_norm": _local_response_norm,
    "concat": _concat,
    "add": _add,
    "multiply": _multiply,
    "binary": _binary,
    "unary": _unary,
    "reduce": _reduce,
    "lstm": _lstm,
    "prelu": _prelu,
    "zero_pad2d": _zero_pad2d,
    "pad": _pad,
    "interpolate": _interpolate,
    **{op: _curve(op) for op in _CURVES},
    **{op: _activation(op) for op in (*_ACTIVATIONS, "softmax", "log_softmax")},
}
