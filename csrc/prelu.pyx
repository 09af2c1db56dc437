"""Leaky ReLU with a trainable slope for each channel.

# Design:
# x is (n, c, l), in planes of l elements, and there are two ways to take it, as in batch normalisation
# (norm_tasks.pyx). Long planes have a task each, or several: one slope for all elements. Short planes, of plain
# features those of one element, lie side by side in a row for each image, and a task is some rows: their slopes are
# made as wide as a row, so that vectors need not know where a plane ends.
# In backward each task also leaves its sums for the gradients of the slopes; those of a channel are then added in
# order, so that the number of threads does not matter. A single slope is that of one channel: all of x is one plane.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memset

from arrays cimport data_of, is_single, shape_of
from costs cimport ELEMENTS_PER_TASK, MEMORY_NANOSECONDS
from kernels cimport CNNX_MAX_LANES, kernels_for, real
from .jobs cimport Job
from .memory cimport Block, empty, empty_like, take
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team
from .sums cimport PIECE

cdef enum:
    SHORT_PLANE = 32            # elements: shorter planes are columns, for a call for each would take longest
    BLOCKS = 16                 # tasks of backward by rows, at least: each has sums as wide as a row
    ROWS_TO_FOLD = 256          # summed in the type of x: floats stay exact to a few bits

cdef struct Planes:
    Py_ssize_t n, channels, length
    Py_ssize_t pieces               # of a long plane
    Py_ssize_t rows                 # of a task of short ones
    const void *x                   # IN   (n, channels, length)
    const void *dy                  # IN   as x; NULL: forward
    const void *weight              # IN   (channels,); of short planes: for each element of a row
    void *y                         # OUT  as x; backward: dx
    void *sums                      # OUT  long planes: double (n, channels, pieces); short: (tasks, row)


def prelu(x, weight):
    y = empty_like(x)
    run(x, None, weight, y, None)
    return y


def prelu_backward(dy, x, weight):
    dx, dweight = empty_like(x), empty((len(weight),), x)
    run(x, dy, weight, dx, dweight)
    return dx, dweight


cdef int run(x, dy, weight, y, dweight) except -1:
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef Planes job = Planes(
        shape[0], shape[1], shape[2], ceil_div(shape[2], PIECE), 0, data_of(x), data_of(dy), data_of(weight),
        data_of(y), NULL,
    )
    if 0 < job.length < SHORT_PLANE and job.channels:
        if is_single(x):
            return run_rows(&job, <const float *>job.weight, <float *>data_of(dweight))
        return run_rows(&job, <const double *>job.weight, <double *>data_of(dweight))
    if is_single(x):
        return run_planes(&job, <float *>data_of(dweight))
    return run_planes(&job, <double *>data_of(dweight))


# -------------------------------------------------------------------------------------------------- long planes


cdef int run_planes(Planes *job, real *dweight) except -1:
    cdef Py_ssize_t tasks = job.n * job.channels * job.pieces
    cdef Block sums = take((tasks + 1) * sizeof(double)) if dweight != NULL else None
    if dweight != NULL:
        job.sums = sums.data
    run_tasks(<Task>plane_task[real], job, tasks, EVENLY, MEMORY_NANOSECONDS * job.n * job.channels * job.length)
    if dweight != NULL:
        add_planes(job, dweight)
    return 0


cdef void plane_task(const Planes *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t plane = task // job.pieces, first = task % job.pieces * PIECE
    cdef Py_ssize_t at = plane * job.length + first, n = min(<Py_ssize_t>PIECE, job.length - first)
    cdef const real *x = <const real *>job.x + at
    cdef real *y = <real *>job.y + at
    cdef real slope = (<const real *>job.weight)[plane % job.channels]
    if job.dy == NULL:
        kernels_for(x).leaky_relu(n, x, slope, y)
    else:
        (<double *>job.sums)[task] = kernels_for(x).prelu_backward(n, <const real *>job.dy + at, x, slope, y)


cdef void add_planes(const Planes *job, real *dweight) noexcept nogil:
    cdef const double *sums = <const double *>job.sums
    cdef Py_ssize_t channel, i, piece
    cdef double sum
    for channel in range(job.channels):
        sum = 0
        for i in range(job.n):
            for piece in range(job.pieces):
                sum += sums[(i * job.channels + channel) * job.pieces + piece]
        dweight[channel] = <real>sum


# ------------------------------------------------------------------------------------------------- short planes


cdef int run_rows(Planes *job, const real *weight, real *dweight) except -1:
    cdef Py_ssize_t row = job.channels * job.length, tasks
    if job.dy == NULL:
        job.rows = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // row)
    else:
        job.rows = max(<Py_ssize_t>1, min(<Py_ssize_t>ROWS_TO_FOLD, ceil_div(job.n, BLOCKS)))
    tasks = ceil_div(job.n, job.rows)
    cdef Block slopes = take((row + CNNX_MAX_LANES) * sizeof(real))
    cdef Block sums = take((tasks * row + 1) * sizeof(real)) if dweight != NULL else None
    kernels_for(weight).widen(job.channels, job.length, weight, <real *>slopes.data)
    job.weight = slopes.data
    if dweight != NULL:
        job.sums = sums.data
    run_tasks(<Task>rows_task[real], job, tasks, EVENLY, MEMORY_NANOSECONDS * job.n * row)
    if dweight != NULL:
        add_rows(job, tasks, dweight)
    return 0


cdef void rows_task(const Planes *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t row = job.channels * job.length, i
    cdef const real *x = <const real *>job.x
    cdef const real *dy = <const real *>job.dy
    cdef const real *slopes = <const real *>job.weight
    cdef real *y = <real *>job.y
    cdef real *sums
    if dy != NULL:
        sums = <real *>job.sums + task * row
        memset(sums, 0, row * sizeof(real))
    for i in range(task * job.rows, min(job.n, (task + 1) * job.rows)):
        if dy == NULL:
            kernels_for(x).prelu_columns(row, x + i * row, slopes, y + i * row)
        else:
            kernels_for(x).prelu_columns_backward(row, dy + i * row, x + i * row, slopes, y + i * row, sums)


cdef int add_rows(const Planes *job, Py_ssize_t tasks, real *dweight) except -1:
    cdef Block block = take((job.channels + 1) * sizeof(double))
    cdef double *totals = <double *>block.data
    cdef real *sums = <real *>job.sums
    cdef Py_ssize_t task, channel
    memset(totals, 0, job.channels * sizeof(double))
    for task in range(tasks):
        kernels_for(dweight).fold_columns(
            job.channels, job.length, sums + task * job.channels * job.length, totals
        )
    for channel in range(job.channels):
        dweight[channel] = <real>totals[channel]
    return 0


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_prelu(tuple x_shape, dtype):
    """The job of `prelu`: job.run(x, weight, y), x (n, c, l), weight (c,). In a plan, y may be x."""
    return Forward(x_shape, np.dtype(dtype))


@cython.final
cdef class Forward(Job):
    cdef Planes planes                  # with NULL for the arrays
    cdef Task task
    cdef Py_ssize_t tasks
    cdef bint single

    def __init__(self, tuple x_shape, dtype):
        n, c, length = x_shape
        self.single = dtype == np.float32
        self.planes = Planes(n, c, length, ceil_div(length, PIECE), 0, NULL, NULL, NULL, NULL, NULL)
        if 0 < length < SHORT_PLANE and c:
            self.planes.rows = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // (c * length))
            self.task = <Task>rows_task[float] if self.single else <Task>rows_task[double]
            self.tasks = ceil_div(n, self.planes.rows)
            self.packed = (c * length + CNNX_MAX_LANES) * dtype.itemsize
        else:
            self.task = <Task>plane_task[float] if self.single else <Task>plane_task[double]
            self.tasks = n * c * self.planes.pieces
        self.name, self.cost = "prelu", MEMORY_NANOSECONDS * n * c * length
        self.arrays = (
            Array("x", "in", x_shape, dtype), Array("weight", "weight", (c,), dtype), Array("y", "out", x_shape, dtype)
        )

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        if self.single:
            kernels_for(<float *>NULL).widen(
                self.planes.channels, self.planes.length, <const float *>weight, <float *>packed
            )
        else:
            kernels_for(<double *>NULL).widen(
                self.planes.channels, self.planes.length, <const double *>weight, <double *>packed
            )

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Planes planes = self.planes
        planes.x, planes.weight, planes.y = arrays[0], arrays[1], arrays[2]
        run_team(team, self.task, &planes, self.tasks, EVENLY)
