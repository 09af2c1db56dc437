"""Convolution, its transpose and their gradients: from arrays to the job that computes them.

# Design:
# choose.py names the algorithm for a geometry, and TABLE has the function that prepares its job, for each direction.
# Jobs are cached under the shapes and settings, so a call with known ones finds its job by one look-up.
# The four ops have the reference's signatures; from there on, `windows` is the layer's (stride, (top, left), dilation).
# A transposed convolution is made of the same three directions, with x and y exchanged: its y is what convolution calls
# dx, its x is what that calls dy.
#
#                          y                 dx                dweight
#     conv2d               FORWARD           BACKWARD_DATA     BACKWARD_WEIGHT
#     conv_transpose2d     BACKWARD_DATA     FORWARD           BACKWARD_WEIGHT
"""

import numpy as np

from cnnx.backends.choose import DIRECTIONS, choose, choose_channels_last, wanted_algorithm
from cnnx.backends.choose import Convolution as Choice

from cpython.contextvars cimport get_value

from arrays cimport data_of, is_single, shape_of, size_of
from kernels cimport Ending
from ..epilogue cimport ending, finish_array
from ..jobs cimport MOST_ARRAYS, Job, find, keep
from ..memory cimport Block, new_array, zeros
from ..sums cimport channel_sums
from .columns_panels cimport prepare_columns_by_panels
from .depthwise cimport prepare_depthwise, prepare_depthwise_dx
from .depthwise_last cimport prepare_depthwise_last
from .direct cimport prepare_direct
from .direct_dweight cimport prepare_direct_dweight
from .direct_dx cimport prepare_direct_dx, prepare_implicit_gemm_dx
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DBIAS, ARG_DWEIGHT, ARG_DX, ARG_DY, ARG_WEIGHT, ARG_WINDOWS, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, BACKWARD_WEIGHT, FORWARD, Convolution, Direction, Geometry, Prepare
from .grouped cimport prepare_grouped, prepare_grouped_dweight, prepare_grouped_dx
from .im2col cimport prepare_columns, prepare_columns_dweight, prepare_columns_dx
from .pixels_panels cimport prepare_pixels_by_panels
from .pointwise cimport prepare_pointwise, prepare_pointwise_dweight, prepare_pointwise_dx
from .pointwise_panels cimport prepare_pointwise_by_panels
from .winograd cimport prepare_winograd, prepare_winograd_dx
from .winograd cimport prepare_winograd_by_filters, prepare_winograd_dx_by_filters
from .winograd_dweight cimport prepare_winograd_dweight, prepare_winograd_dweight_by_strips
from .winograd_panels cimport prepare_winograd_by_panels, prepare_winograd_channels_last


cdef struct Row:
    const char *algorithm
    Direction direction
    Prepare prepare

cdef Row[27] TABLE = [
    Row(b"columns", FORWARD, prepare_columns),
    Row(b"columns", BACKWARD_DATA, prepare_columns_dx),
    Row(b"columns", BACKWARD_WEIGHT, prepare_columns_dweight),
    Row(b"columns_by_panels", FORWARD, prepare_columns_by_panels),
    Row(b"winograd", FORWARD, prepare_winograd),
    Row(b"winograd", BACKWARD_DATA, prepare_winograd_dx),
    Row(b"winograd", BACKWARD_WEIGHT, prepare_winograd_dweight),
    Row(b"winograd_by_filters", FORWARD, prepare_winograd_by_filters),
    Row(b"winograd_by_filters", BACKWARD_DATA, prepare_winograd_dx_by_filters),
    Row(b"winograd_by_strips", BACKWARD_WEIGHT, prepare_winograd_dweight_by_strips),
    Row(b"winograd_by_panels", FORWARD, prepare_winograd_by_panels),
    Row(b"winograd_channels_last", FORWARD, prepare_winograd_channels_last),
    Row(b"depthwise_by_planes", FORWARD, prepare_depthwise),
    Row(b"depthwise_by_planes", BACKWARD_DATA, prepare_depthwise_dx),
    Row(b"depthwise_channels_last", FORWARD, prepare_depthwise_last),
    Row(b"depthwise", FORWARD, prepare_grouped),
    Row(b"depthwise", BACKWARD_DATA, prepare_grouped_dx),
    Row(b"depthwise", BACKWARD_WEIGHT, prepare_grouped_dweight),
    Row(b"pointwise_by_panels", FORWARD, prepare_pointwise_by_panels),
    Row(b"pointwise", FORWARD, prepare_pointwise),
    Row(b"pointwise", BACKWARD_DATA, prepare_pointwise_dx),
    Row(b"pointwise", BACKWARD_WEIGHT, prepare_pointwise_dweight),
    Row(b"pixels_by_panels", FORWARD, prepare_pixels_by_panels),
    Row(b"implicit_gemm", BACKWARD_DATA, prepare_implicit_gemm_dx),
    Row(b"direct", FORWARD, prepare_direct),
    Row(b"direct", BACKWARD_DATA, prepare_direct_dx),
    Row(b"direct", BACKWARD_WEIGHT, prepare_direct_dweight),
]


def conv2d(x, weight, bias, stride, padding, dilation, groups, activation, add):
    cdef Py_ssize_t top = padding[0][0], bottom = padding[0][1], left = padding[1][0], right = padding[1][1]
    cdef Py_ssize_t sh = stride[0], sw = stride[1], dh = dilation[0], dw = dilation[1]
    cdef const Py_ssize_t *size = shape_of(x)
    cdef const Py_ssize_t *kernel = shape_of(weight)
    cdef Py_ssize_t oh = (size[2] + top + bottom - dh * (kernel[2] - 1) - 1) // sh + 1
    cdef Py_ssize_t ow = (size[3] + left + right - dw * (kernel[3] - 1) - 1) // sw + 1
    return forward(
        x, weight, bias, add, (size[0], kernel[0], oh, ow), (stride, (top, left), dilation), activation
    )


def conv2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    windows = (stride, (padding[0][0], padding[1][0]), dilation)
    # The weights' gradient first: its sums are the most scratch there is, and gone when dx is made.
    dweight, dbias = backward_weight(dy, x, weight.shape, windows)
    dx = backward_data(dy, weight, None, x.shape, windows) if need_dx else None
    return dx, dweight, dbias


def conv_transpose2d(x, weight, bias, stride, padding, output_padding, dilation, groups):
    (top, bottom), (left, right) = padding
    oh = (x.shape[2] - 1) * stride[0] + dilation[0] * (weight.shape[2] - 1) + 1 + output_padding[0] - top - bottom
    ow = (x.shape[3] - 1) * stride[1] + dilation[1] * (weight.shape[3] - 1) + 1 + output_padding[1] - left - right
    y_shape = (x.shape[0], weight.shape[1] * groups, oh, ow)
    return backward_data(x, weight, bias, y_shape, (stride, (top, left), dilation))


def conv_transpose2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    windows = (stride, (padding[0][0], padding[1][0]), dilation)
    dx = forward(dy, weight, None, None, x.shape, windows, None) if need_dx else None
    dweight, _ = backward_weight(x, dy, weight.shape, windows)
    dbias = zeros((dy.shape[1],), dy)
    if size_of(dy):
        channel_sums(dy, dbias)
    return dx, dweight, dbias


cdef object forward(x, weight, bias, add, tuple y_shape, tuple windows, activation):
    cdef void *arrays[MOST_ARRAYS]
    y = new_array(y_shape, x.dtype)
    if not size_of(x) or not size_of(y):
        y[...] = 0 if bias is None else bias[:, None, None]
        finish_array(y, add, activation)
        return y
    cdef Job job = job_for(FORWARD, x.shape, weight.shape, y_shape, windows, activation, is_single(x))
    arrays[ARG_X], arrays[ARG_BIAS] = data_of(x), data_of(bias)
    arrays[ARG_ADD], arrays[ARG_Y] = data_of(add), data_of(y)
    multiply(job, weight, arrays)
    return y


cdef object backward_data(dy, weight, bias, tuple x_shape, tuple windows):
    cdef void *arrays[MOST_ARRAYS]
    dx = new_array(x_shape, dy.dtype)
    if not size_of(dy) or not size_of(dx):
        dx[...] = 0 if bias is None else bias[:, None, None]
        return dx
    cdef Job job = job_for(BACKWARD_DATA, x_shape, weight.shape, dy.shape, windows, None, is_single(dy))
    arrays[ARG_DY], arrays[ARG_BIAS], arrays[ARG_DX] = data_of(dy), data_of(bias), data_of(dx)
    multiply(job, weight, arrays)
    return dx


cdef int multiply(Job job, weight, void **arrays) except -1:
    """Compute with weights that are packed for this call."""
    cdef Block packed = None
    arrays[ARG_WEIGHT] = data_of(weight)
    if job.packed:
        packed = job.packed_weight(arrays[ARG_WEIGHT])
        arrays[ARG_WEIGHT] = packed.data
    return job.start(arrays)


cdef tuple backward_weight(dy, x, tuple weight_shape, tuple windows):
    cdef void *arrays[MOST_ARRAYS]
    dweight, dbias = new_array(weight_shape, x.dtype), new_array(weight_shape[:1], x.dtype)
    if not size_of(dy) or not size_of(x):
        dweight[...] = 0
        dbias[...] = dy.sum(axis=(0, 2, 3))
        return dweight, dbias
    cdef Job job = job_for(BACKWARD_WEIGHT, x.shape, weight_shape, dy.shape, windows, None, is_single(x))
    arrays[ARG_DY], arrays[ARG_WINDOWS], arrays[ARG_DWEIGHT], arrays[ARG_DBIAS] = (
        data_of(dy), data_of(x), data_of(dweight), data_of(dbias)
    )
    job.start(arrays)
    return dweight, dbias


cdef Job job_for(
    Direction direction, tuple x_shape, tuple weight_shape, tuple y_shape, tuple windows, activation, bint single
):
    """The job for the layer's shapes: cached, or prepared."""
    cdef object wanted = get_value(wanted_algorithm)
    cdef tuple key = (direction, x_shape, weight_shape, y_shape, windows, activation, single, wanted)
    cdef Job job = find(key)
    if job is None:
        job = keep(key, prepare(direction, x_shape, weight_shape, y_shape, windows, activation, single, False, False))
    return job


cdef Job prepare(
    Direction direction, tuple x_shape, tuple weight_shape, tuple y_shape, tuple windows, activation, bint single,
    bint packed, bint channels_last
):
    """By the algorithm that choose.py names; None if that names none, where channels are last. packed: weights are
    packed once, for many calls."""
    cdef Geometry geometry
    cdef Row row
    cdef Job job
    # One column is one row in memory; and pixels side by side fill vectors.
    cdef bint turned = x_shape[3] == weight_shape[3] == y_shape[3] == 1 != weight_shape[2] and windows[1][1] == 0
    if turned:
        x_shape, weight_shape, y_shape = turn(x_shape), turn(weight_shape), turn(y_shape)
        windows = tuple([each[::-1] for each in windows])
    stride, padding, dilation = windows
    dtype = np.float32 if single else np.float64
    choice = Choice.of(DIRECTIONS[<int>direction], x_shape, weight_shape, y_shape, stride, dilation, dtype, packed)
    algorithm = (choose_channels_last if channels_last else choose)(choice)
    if algorithm is None:
        return None
    algorithm = algorithm.encode()
    geometry.n, geometry.groups = x_shape[0], x_shape[1] // weight_shape[1]
    geometry.channels, geometry.filters = weight_shape[1], weight_shape[0] // geometry.groups
    geometry.h, geometry.w, geometry.oh, geometry.ow = x_shape[2], x_shape[3], y_shape[2], y_shape[3]
    geometry.kh, geometry.kw = weight_shape[2], weight_shape[3]
    (geometry.sh, geometry.sw), (geometry.top, geometry.left), (geometry.dh, geometry.dw) = windows
    for row in TABLE:
        if row.algorithm == <bytes>algorithm and row.direction == direction:
            job = row.prepare(&geometry, single, ending(activation))
            (<Convolution>job).choice = choice
            if turned:
                job.arrays = tuple([each._replace(shape=turn(each.shape)) for each in job.arrays])
            if channels_last:
                job.arrays = tuple([each._replace(shape=channels_behind(each)) for each in job.arrays])
            return job
    raise KeyError((algorithm, direction))      # choose.py has a rule for which there is no row


cdef tuple turn(tuple shape):
    """Rows and columns exchanged, of an array that has both."""
    return (*shape[:2], shape[3], shape[2]) if len(shape) == 4 else shape


cdef tuple channels_behind(array):
    """The shape of images (n, channels, h, w) as (n, h, w, channels); weights keep theirs."""
    n, channels, *pixels = array.shape if len(array.shape) == 4 else (0, 0)
    return array.shape if array.role == "weight" or not pixels else (n, *pixels, channels)


def prepare_convolution(
    direction, x_shape, weight_shape, y_shape, stride, padding, dilation, dtype, activation=None, packed=False,
    channels_last=False,
):
    """A job for one direction of a convolution, or of a transposed one, whose y is x here.

    direction   "forward": x, weight, bias, add -> y; "backward_data": dy, weight, bias -> dx;
                "backward_weight": dy, x -> dweight, dbias
    shapes      (n, channels, h, w), (filters, channels // groups, kh, kw), (n, filters, oh, ow); no size is 0
    stride, dilation, padding   (rows, columns); padding is that at the top and on the left
    activation  of "forward" only: the name of an op, or None
    packed      choose the algorithm for weights that are packed once, for many calls; False: the eager op's, whose bits
                are the same
    channels_last   of "forward" and packed weights: x, add and y are (n, h, w, channels) in memory. Shapes are given as
                above, and so are weights. None if there is no algorithm for it

    ValueError for another direction, and for shapes that do not belong together.
    """
    # So many parameters: a geometry in the terms of the layer, and Python has no struct of it.
    cdef bint single = np.dtype(dtype) == np.float32
    if direction not in DIRECTIONS:
        raise ValueError(f"prepare_convolution: direction is {direction!r}, expected one of {', '.join(DIRECTIONS)}")
    groups, rest = divmod(x_shape[1], weight_shape[1])
    if min(*x_shape, *weight_shape, *y_shape) < 1 or rest or weight_shape[0] % groups or (
        y_shape[:2] != (x_shape[0], weight_shape[0])
    ):
        raise ValueError(f"prepare_convolution: x {x_shape}, weight {weight_shape} and y {y_shape} do not fit together")
    return prepare(
        <Direction><int>DIRECTIONS.index(direction), x_shape, weight_shape, y_shape, (stride, padding, dilation),
        activation, single, packed, channels_last,
    )
