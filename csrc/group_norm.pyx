"""Normalisation of groups: group_norm, and layer_norm, which is that of one group of channels of one element.

# Design:
# x is (n, groups, k, l): k channels of l elements in a group, whose mean and variance are taken over its k*l numbers,
# a row that lies in one piece of memory, with the care of batch normalisation (norm_tasks.pyx). A task of forward is
# one row: its statistics, then the normalisation while it is in the cache.
# Weight and bias belong to a channel, and there are two ways to take them. A long plane has one weight, as in batch
# normalisation. Short planes, those of layer_norm have one element, are not taken one by one: weight and bias are made
# as wide as the row, so that vectors need not know where a plane ends.
# Backward is the same for dx, but the sums for dweight and dbias run across rows. Of long planes, the task of a row
# leaves two sums for each plane, which are then added in the order of the images. Of short ones, a task has some rows
# of a group, and leaves two sums for each element, those of all tasks being added in order: so that x and dy are read
# from memory once, and no result depends on the number of threads.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.math cimport sqrt
from libc.string cimport memset

from arrays cimport data_of, is_single, itemsize_of, shape_of
from kernels cimport CNNX_MAX_LANES, CNNX_MEAN, CNNX_NORM_PARAMETERS, CNNX_OFFSET, CNNX_SCALE, CNNX_SHIFT, CNNX_SLOPE
from kernels cimport NO_ACTIVATION, kernels_for, real
from .jobs cimport Job
from .memory cimport Block, empty, empty_like, take
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team
from .sums cimport PIECE

cdef double FORWARD_NANOSECONDS = 0.5       # an element
cdef double BACKWARD_NANOSECONDS = 1.0

cdef enum:
    SHORT_PLANE = 128           # elements: longer planes fill enough vectors by themselves
    ROW_TASKS = 16              # of the backward of short planes, about: each has sums as wide as a row
    ROWS_TO_FOLD = 256          # of such a task, summed in the type of x: floats stay exact to a few bits
    # Scratch memory of a task: two vectors of partial sums, then the parameters.
    PARTIAL = 0
    PARAMETERS = PARTIAL + 2 * CNNX_MAX_LANES
    SCRATCH = PARAMETERS + CNNX_NORM_PARAMETERS

cdef struct Groups:
    Py_ssize_t n, groups, channels, length      # channels of a group, elements of a channel
    bint short
    double eps
    const void *x               # IN   (n, groups, channels, length)
    const void *dy              # IN   as x
    const void *weight          # IN   (groups, channels), or NULL: ones; of short planes: (groups, channels, length)
    const void *bias            # IN   the same, or NULL: zeros
    void *y                     # OUT  as x; backward: dx
    void *mean                  # OUT  (n, groups); backward: IN
    void *inv_std               # OUT  (n, groups); backward: IN
    Py_ssize_t rows             # of a task of the backward of short planes
    void *sums                  # OUT  backward of long planes: two doubles for each, (n, groups, channels, 2)
                                #      of short ones: two rows for each task, (tasks, 2, channels, length)


def group_norm(x, num_groups, weight, bias, eps):
    cdef const Py_ssize_t *shape = shape_of(x)
    y, mean, inv_std = empty_like(x), empty((shape[0], num_groups), x), empty((shape[0], num_groups), x)
    cdef Groups b = groups_of(x, num_groups, y, mean, inv_std)
    cdef Block weights = widened(&b, weight, &b.weight), biases = widened(&b, bias, &b.bias)
    b.eps = eps
    run_tasks(
        <Task>forward_task[float] if is_single(x) else <Task>forward_task[double], &b, b.n * b.groups, EVENLY,
        FORWARD_NANOSECONDS * b.n * b.groups * b.channels * b.length, SCRATCH * sizeof(double),
    )
    return y, mean, inv_std


def group_norm_backward(dy, x, num_groups, weight, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    dx, dweight, dbias = empty_like(x), empty((shape[1],), x), empty((shape[1],), x)
    cdef Groups b = groups_of(x, num_groups, dx, mean, inv_std)
    cdef Block weights = widened(&b, weight, &b.weight)
    b.dy = data_of(dy)
    if is_single(x):
        run_backward(&b, <float *>data_of(dweight), <float *>data_of(dbias))
    else:
        run_backward(&b, <double *>data_of(dweight), <double *>data_of(dbias))
    return dx, dweight, dbias


def layer_norm(x, normalized_shape, weight, bias, eps):
    cdef const Py_ssize_t *shape = shape_of(x)
    y, mean, inv_std = group_norm(x.reshape(shape[0], shape[1], 1), 1, weight, bias, eps)
    return y.reshape(x.shape), mean.reshape(shape[0]), inv_std.reshape(shape[0])


def layer_norm_backward(dy, x, normalized_shape, weight, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    flat = shape[0], shape[1], 1
    dx, dweight, dbias = group_norm_backward(dy.reshape(flat), x.reshape(flat), 1, weight, mean, inv_std)
    return dx.reshape(x.shape), dweight, dbias


cdef Groups groups_of(x, Py_ssize_t groups, y, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    return Groups(
        shape[0], groups, shape[1] // groups, shape[2], 0 < shape[2] < SHORT_PLANE, 0, data_of(x), NULL, NULL, NULL,
        data_of(y), data_of(mean), data_of(inv_std), 0, NULL,
    )


cdef Block widened(const Groups *b, values, const void **address):
    """One value per channel where the tasks read it; of short planes: to one per element, in a block that is theirs."""
    address[0] = data_of(values)
    if values is None or not b.short or b.length == 1:
        return None
    cdef Block block = take(bytes_of_wide(b, itemsize_of(values)))
    widen(b, is_single(values), address[0], block.data)
    address[0] = block.data
    return block


cdef size_t bytes_of_wide(const Groups *b, size_t item) noexcept:
    return (b.groups * b.channels * b.length + CNNX_MAX_LANES) * item


cdef void widen(const Groups *b, bint single, const void *values, void *wide) noexcept nogil:
    cdef Py_ssize_t channels = b.groups * b.channels
    if single:
        kernels_for(<float *>NULL).widen(channels, b.length, <const float *>values, <float *>wide)
    else:
        kernels_for(<double *>NULL).widen(channels, b.length, <const double *>values, <double *>wide)


# ------------------------------------------------------------------------------------------------------ forward


cdef void forward_task(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t elements = b.channels * b.length, first = row % b.groups * elements, at = row * elements
    cdef const real *x = <const real *>b.x
    cdef const real *weight = <const real *>b.weight
    cdef const real *bias = <const real *>b.bias
    cdef real *mean = <real *>b.mean + row
    cdef real *inv_std = <real *>b.inv_std + row
    if elements == 0:
        mean[0], inv_std[0] = 0, <real>(1 / sqrt(b.eps))
        return
    kernels_for(x).row_statistics(elements, x + at, b.eps, mean, inv_std)
    if not b.short:
        normalise_planes(b, row, scratch)
        return
    kernels_for(x).layer_norm(
        elements, x + at, weight + first if weight != NULL else NULL, bias + first if bias != NULL else NULL, mean[0],
        inv_std[0], <real *>b.y + at
    )


cdef void normalise_planes(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = row % b.groups * b.channels, channel, at
    cdef const real *x = <const real *>b.x
    cdef const real *weight = <const real *>b.weight
    cdef const real *bias = <const real *>b.bias
    cdef real *y = <real *>b.y
    cdef real inv_std = (<const real *>b.inv_std)[row]
    cdef real *own = scratch + PARAMETERS
    own[CNNX_MEAN] = (<const real *>b.mean)[row]
    for channel in range(b.channels):
        at = (row * b.channels + channel) * b.length
        own[CNNX_SCALE] = inv_std * weight[first + channel] if weight != NULL else inv_std
        own[CNNX_SHIFT] = bias[first + channel] if bias != NULL else 0
        kernels_for(x).normalise(b.length, x + at, own, <const real *>NULL, NO_ACTIVATION, <Py_ssize_t>0, y + at)


# ----------------------------------------------------------------------------------------------------- backward


cdef int run_backward(Groups *b, real *dweight, real *dbias) except -1:
    cdef Py_ssize_t channels = b.groups * b.channels, blocks
    cdef double cost = BACKWARD_NANOSECONDS * b.n * channels * b.length
    cdef Block sums
    if not b.short:
        sums = take((2 * b.n * channels + 1) * sizeof(double))
        b.sums = sums.data
        run_tasks(<Task>planes_task[real], b, b.n * b.groups, EVENLY, cost, SCRATCH * sizeof(real))
        add_planes(b, <const real *>b.inv_std, dweight, dbias)
        return 0
    blocks = ceil_div(ROW_TASKS, b.groups)
    b.rows = max(<Py_ssize_t>1, min(<Py_ssize_t>ROWS_TO_FOLD, ceil_div(b.n, blocks)))
    blocks = ceil_div(b.n, b.rows)
    sums = take((2 * blocks * channels * b.length + 1) * sizeof(real))
    b.sums = sums.data
    run_tasks(<Task>rows_task[real], b, blocks * b.groups, EVENLY, cost)
    add_rows(b, blocks, dweight, dbias)
    return 0


cdef void rows_task(const Groups *b, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of a group of short planes."""
    cdef Py_ssize_t group = task % b.groups, first = task // b.groups * b.rows, row = b.channels * b.length, i, j
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef const real *weight = <const real *>b.weight
    cdef const real *mean = <const real *>b.mean
    cdef const real *inv_std = <const real *>b.inv_std
    cdef real *dx = <real *>b.y
    cdef real *sums = <real *>b.sums + 2 * task * row
    memset(sums, 0, 2 * row * sizeof(real))
    if weight != NULL:
        weight += group * row
    for i in range(first, min(b.n, first + b.rows)):
        j = i * b.groups + group
        kernels_for(x).layer_norm_backward(
            row, dy + j * row, x + j * row, weight, mean[j], inv_std[j], dx + j * row, sums
        )


cdef int add_rows(const Groups *b, Py_ssize_t blocks, real *dweight, real *dbias) except -1:
    """dweight and dbias from the sums of the tasks."""
    cdef Py_ssize_t channels = b.groups * b.channels, row = b.channels * b.length, task, i
    cdef Block block = take((2 * channels + 1) * sizeof(double))
    cdef double *totals = <double *>block.data
    cdef double *own
    cdef real *sums = <real *>b.sums
    memset(totals, 0, 2 * channels * sizeof(double))
    for task in range(blocks * b.groups):
        own = totals + task % b.groups * b.channels
        kernels_for(dweight).fold_columns(b.channels, b.length, sums + 2 * task * row, own)
        kernels_for(dweight).fold_columns(b.channels, b.length, sums + (2 * task + 1) * row, own + channels)
    for i in range(channels):
        dweight[i], dbias[i] = <real>totals[i], <real>totals[channels + i]
    return 0


cdef void planes_task(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    """dx of a row of long planes. g = dy * weight; dx = inv_std * (g - mean(g) - xhat * mean(g * xhat))."""
    cdef Py_ssize_t elements = b.channels * b.length
    cdef real *own = scratch + PARAMETERS
    cdef real inv_std = (<const real *>b.inv_std)[row]
    cdef double total = 0, products = 0         # of g, and of g * (x - mean)
    if elements == 0:
        return
    memset(scratch + PARTIAL, 0, 2 * CNNX_MAX_LANES * sizeof(real))
    own[CNNX_MEAN], own[CNNX_SCALE], own[CNNX_SHIFT] = (<const real *>b.mean)[row], inv_std, 0
    add_plane_sums(b, row, scratch, &total, &products)
    own[CNNX_SLOPE] = <real>(-products / elements * inv_std * inv_std * inv_std)
    own[CNNX_OFFSET] = <real>(-total / elements * inv_std)
    planes_backward(b, row, scratch)


cdef void add_plane_sums(
    const Groups *b, Py_ssize_t row, real *scratch, double *total, double *products
) noexcept nogil:
    """The sums of each plane, and those of the row, of which a plane has the share of its weight."""
    cdef Py_ssize_t channel, piece, at, plane
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef const real *weight = <const real *>b.weight
    cdef double *sums
    cdef double share = 1
    for channel in range(b.channels):
        plane = row * b.channels + channel
        sums = <double *>b.sums + 2 * plane
        sums[0] = sums[1] = 0
        for piece in range(ceil_div(b.length, PIECE)):
            at = plane * b.length + piece * PIECE
            kernels_for(x).plane_comoments(
                min(<Py_ssize_t>PIECE, b.length - piece * PIECE), dy + at, x + at, scratch + PARAMETERS, NO_ACTIVATION,
                <Py_ssize_t>0, scratch + PARTIAL
            )
            kernels_for(x).fold(scratch + PARTIAL, sums, sums + 1)
        if weight != NULL:
            share = weight[row % b.groups * b.channels + channel]
        total[0] += share * sums[0]
        products[0] += share * sums[1]


cdef void planes_backward(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t channel, at
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef const real *weight = <const real *>b.weight
    cdef real *dx = <real *>b.y
    cdef real *own = scratch + PARAMETERS
    cdef real inv_std = own[CNNX_SCALE]
    for channel in range(b.channels):
        at = (row * b.channels + channel) * b.length
        if weight != NULL:
            own[CNNX_SCALE] = inv_std * weight[row % b.groups * b.channels + channel]
        kernels_for(x).normalise_backward(
            b.length, dy + at, x + at, own, NO_ACTIVATION, 1, <Py_ssize_t>0, dx + at
        )


cdef void add_planes(const Groups *b, const real *inv_std, real *dweight, real *dbias) noexcept nogil:
    """dweight and dbias from the sums of the planes."""
    cdef const double *sums = <const double *>b.sums
    cdef Py_ssize_t channels = b.groups * b.channels, channel, i
    cdef double first, second
    for channel in range(channels):
        first = second = 0
        for i in range(b.n if b.length else 0):
            first += sums[2 * (i * channels + channel)]
            second += sums[2 * (i * channels + channel) + 1] * inv_std[i * b.groups + channel // b.channels]
        dbias[channel], dweight[channel] = <real>first, <real>second


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_group_norm(tuple x_shape, dtype, num_groups, eps, bint weight, bint bias):
    """The job of `group_norm`: job.run(x, weight, bias, y, mean, inv_std), x (n, c, l), without weight or bias if there
    is none. That of `layer_norm` has x (n, c, 1) and one group."""
    return Forward(x_shape, np.dtype(dtype), num_groups, eps, weight, bias)


@cython.final
cdef class Forward(Job):
    cdef Groups groups                  # with NULL for the arrays
    cdef Task task
    cdef bint single
    cdef int weight, bias, y            # their numbers in the arrays; -1: there is none

    def __init__(self, tuple x_shape, dtype, Py_ssize_t num_groups, double eps, bint weight, bint bias):
        n, c, length = x_shape
        self.single = dtype == np.float32
        self.groups = Groups(
            n, num_groups, c // num_groups, length, 0 < length < SHORT_PLANE, eps, NULL, NULL, NULL, NULL, NULL, NULL,
            NULL, 0, NULL,
        )
        self.task = <Task>forward_task[float] if self.single else <Task>forward_task[double]
        self.weight, self.bias, self.y = 1 if weight else -1, 1 + weight if bias else -1, 1 + weight + bias
        self.name, self.cost = "group_norm", FORWARD_NANOSECONDS * n * c * length
        self.scratch = SCRATCH * sizeof(double)
        if self.groups.short and length > 1:
            self.packed = bytes_of_wide(&self.groups, dtype.itemsize)
        given = [("weight", "weight", (c,))] * weight + [("bias", "weight", (c,))] * bias
        statistics = [(name, "out", (n, num_groups)) for name in ("mean", "inv_std")]
        self.arrays = tuple([
            Array(name, role, shape, dtype)
            for name, role, shape in [("x", "in", x_shape), *given, ("y", "out", x_shape), *statistics]
        ])

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        widen(&self.groups, self.single, weight, packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Groups b = self.groups
        b.x, b.y, b.mean, b.inv_std = arrays[0], arrays[self.y], arrays[self.y + 1], arrays[self.y + 2]
        b.weight = arrays[self.weight] if self.weight > 0 else NULL
        b.bias = arrays[self.bias] if self.bias > 0 else NULL
        run_team(team, self.task, &b, b.n * b.groups, EVENLY)
