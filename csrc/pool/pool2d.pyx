"""The pooling ops: a call finds the job of its geometry, and starts it with empty outputs."""

import numpy as np

from arrays cimport is_single
from ..jobs cimport find, keep
from .adaptive cimport plan_adaptive
from .dilated cimport plan_dilated
from .global_average cimport plan_global_average
from .pairs cimport are_pairs, plan_pairs
from .pooling cimport BACKWARD, BACKWARD_TO_TIES, FORWARD, MAXIMUM, MEAN, RELU_MAXIMUM, Direction, Kind, Pool, Pooling
from .ties cimport plan_ties
from .windows cimport plan_windows, set_shares


cdef tuple DENSE = (1, 1)               # dilation of most windows


def max_pool2d(x, kernel, stride, padding, dilation=(1, 1)):
    return sliding(MAXIMUM, FORWARD, x.shape, is_single(x), kernel, stride, padding, dilation).forward(x)


def relu_max_pool2d(x, kernel, stride, padding, dilation=(1, 1)):
    return sliding(RELU_MAXIMUM, FORWARD, x.shape, is_single(x), kernel, stride, padding, dilation).forward(x)


def avg_pool2d(x, kernel, stride, padding, counted, divisor=None):
    return sliding(MEAN, FORWARD, x.shape, is_single(x), kernel, stride, padding, DENSE, counted, divisor).forward(x)


def adaptive_avg_pool2d(x, size):
    return covering(FORWARD, x.shape, is_single(x), size).forward(x)


def global_avg_pool2d(x):
    return covering(FORWARD, x.shape, is_single(x), (1, 1)).forward(x)


def max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding, x=None, dilation=(1, 1)):
    cdef Direction direction = BACKWARD if x is None else BACKWARD_TO_TIES
    cdef bint single = is_single(dy)
    return sliding(MAXIMUM, direction, x_shape, single, kernel, stride, padding, dilation).back(dy, argmax, x)


def relu_max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding, dilation=(1, 1)):
    cdef bint single = is_single(dy)
    return sliding(RELU_MAXIMUM, BACKWARD, x_shape, single, kernel, stride, padding, dilation).back(dy, argmax, None)


def avg_pool2d_backward(dy, x_shape, kernel, stride, padding, counted, divisor=None):
    cdef bint single = is_single(dy)
    job = sliding(MEAN, BACKWARD, x_shape, single, kernel, stride, padding, DENSE, counted, divisor)
    return (<Pooling>job).back(dy, None, None)


def adaptive_avg_pool2d_backward(dy, x_shape):
    return covering(BACKWARD, x_shape, is_single(dy), dy.shape[2:]).back(dy, None, None)


def global_avg_pool2d_backward(dy, x_shape):
    return covering(BACKWARD, x_shape, is_single(dy), (1, 1)).back(dy, None, None)


def prepare_max_pool2d(
    x_shape, dtype, kernel, stride, padding, dilation=(1, 1), relu=False, backward=False, ties=False
):
    """The job of max_pool2d, or of relu_max_pool2d: job.run(x, y, argmax). backward: job.run(dy, argmax, dx), to all
    ties job.run(dy, argmax, x, dx)."""
    kind = RELU_MAXIMUM if relu else MAXIMUM
    direction = BACKWARD_TO_TIES if ties else BACKWARD if backward else FORWARD
    return sliding(kind, direction, x_shape, np.dtype(dtype) == np.float32, kernel, stride, padding, dilation)


def prepare_avg_pool2d(x_shape, dtype, kernel, stride, padding, counted, divisor=None, backward=False):
    """The job of avg_pool2d: job.run(x, y). backward: job.run(dy, dx)."""
    direction = BACKWARD if backward else FORWARD
    single = np.dtype(dtype) == np.float32
    return sliding(MEAN, direction, x_shape, single, kernel, stride, padding, DENSE, counted, divisor)


def prepare_adaptive_avg_pool2d(x_shape, dtype, size, backward=False):
    """The same of adaptive_avg_pool2d; size (1, 1): of global_avg_pool2d."""
    return covering(BACKWARD if backward else FORWARD, x_shape, np.dtype(dtype) == np.float32, size)


cdef Pooling sliding(
    Kind kind, Direction direction, x_shape, bint single, kernel, stride, padding, dilation, counted=None, divisor=None
):
    """The job of windows that all have one size; counted, divisor: for a mean."""
    cdef tuple key = (
        "pool2d", kind, direction, x_shape, single, kernel, stride, padding, dilation, counted, divisor
    )
    cdef Pooling job = find(key)
    cdef Pool *p
    if job is not None:
        return job
    job = Pooling()
    p = &job.pool
    (p.kh, p.kw), (p.sh, p.sw), (p.dh, p.dw) = kernel, stride, dilation
    (p.top, bottom), (p.left, right) = padding
    oh = (x_shape[2] + p.top + bottom - p.dh * (p.kh - 1) - 1) // p.sh + 1
    ow = (x_shape[3] + p.left + right - p.dw * (p.kw - 1) - 1) // p.sw + 1
    job.set_up(kind, direction, x_shape, (oh, ow), single)
    if direction == BACKWARD_TO_TIES:
        plan_ties(job)
    elif dilation != DENSE:
        plan_dilated(job)
    elif divisor is None and are_pairs(job, kernel, stride, padding):
        plan_pairs(job)
    else:
        plan_windows(job)
        if kind == MEAN:
            set_shares(job, padding, counted, divisor)
    return keep(key, job)


cdef Pooling covering(Direction direction, x_shape, bint single, size):
    """The job of the mean over windows that cover the image, as many as `size` says."""
    cdef tuple key = ("adaptive_avg_pool2d", direction, x_shape, single, size)
    cdef Pooling job = find(key)
    if job is not None:
        return job
    if size != (1, 1) and x_shape[2:] == (2 * size[0], 2 * size[1]):
        none = (0, 0), (0, 0)
        return keep(key, sliding(MEAN, direction, x_shape, single, (2, 2), (2, 2), none, DENSE, none))
    job = Pooling()
    job.set_up(MEAN, direction, x_shape, size, single)
    if size == (1, 1):
        plan_global_average(job)
    else:
        plan_adaptive(job)
    return keep(key, job)
