"""Borders: zeros around images, and any border of any axes.

# Design:
# zero_pad2d: a task is one plane, a copy of its rows, with zeros between the end of one and the next.
# pad: for each place of an axis of y a table has the place of x that it reads, or -1. A task is some rows of y, along
# the last axis: the part of a row that is a piece of x is copied at once.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memcpy, memset

from arrays cimport NPY_MAXDIMS, data_of, is_single, shape_of, size_of
from costs cimport ELEMENTS_PER_TASK, MEMORY_NANOSECONDS
from kernels cimport real
from .jobs cimport Job
from .memory cimport Block, empty, take, zeros
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef enum:
    SHORT_RUN = 64                  # elements: to clear so few takes less time than to call memset

cdef struct Padding:
    Py_ssize_t h, w, oh, ow
    Py_ssize_t top, left            # row and column of y where x begins: < 0 where it is cropped
    const void *x                   # IN   (planes, h, w)
    void *y                         # OUT  (planes, oh, ow)


def zero_pad2d(x, padding):
    cdef Py_ssize_t top, bottom, left, right, planes
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef Padding job
    (top, bottom), (left, right) = padding
    job.top, job.left = top, left
    job.h, job.w, job.oh, job.ow = shape[2], shape[3], shape[2] + top + bottom, shape[3] + left + right
    planes = shape[0] * shape[1]
    result = (shape[0], shape[1], job.oh, job.ow)
    if not size_of(x):
        return zeros(result, x)
    y = empty(result, x)
    if job.oh and job.ow:
        job.x, job.y = data_of(x), data_of(y)
        run_tasks(
            <Task>plane_task[float] if is_single(x) else <Task>plane_task[double], &job, planes, EVENLY,
            MEMORY_NANOSECONDS * planes * job.oh * job.ow,
        )
    return y


cdef void plane_task(const Padding *job, Py_ssize_t plane, real *scratch) noexcept nogil:
    """Row by row, each after the zeros from the end of the one before."""
    cdef Py_ssize_t w = job.w, ow = job.ow, i, done = 0
    cdef Py_ssize_t begin = max(<Py_ssize_t>0, job.left), end = min(ow, w + job.left)
    cdef const real *x = <const real *>job.x + plane * job.h * w
    cdef real *y = <real *>job.y + plane * job.oh * ow
    for i in range(max(<Py_ssize_t>0, job.top), min(job.oh, job.h + job.top)):
        clear(i * ow + begin - done, y + done)
        memcpy(y + i * ow + begin, x + (i - job.top) * w + begin - job.left, (end - begin) * sizeof(real))
        done = i * ow + end
    clear(job.oh * ow - done, y + done)


cdef inline void clear(Py_ssize_t n, real *y) noexcept nogil:
    cdef Py_ssize_t i
    if n > SHORT_RUN:
        memset(y, 0, n * sizeof(real))
    else:
        for i in range(n):
            y[i] = 0


# -------------------------------------------------------------------------------------------- any border, any axes


cdef enum Mode:
    CONSTANT, EDGE, REFLECT, WRAP

cdef dict MODES = {"constant": CONSTANT, "edge": EDGE, "reflect": REFLECT, "wrap": WRAP}

cdef struct Borders:
    int ndim
    Py_ssize_t strides[NPY_MAXDIMS]     # of x
    Py_ssize_t sizes[NPY_MAXDIMS]       # of y
    const Py_ssize_t *last              # what y reads along the last axis, behind those of all others; -1: the value
    Py_ssize_t begin, count             # the part of a row of y that is copied at once
    Py_ssize_t rows, rows_per_task
    double value
    const void *x
    void *y


def pad(x, padding, mode, value):
    cdef Borders job
    cdef Block places
    y = empty(padded(x.shape, padding), x)
    if not size_of(y):
        return y
    places = set_borders(&job, x.shape, padding, MODES[mode], value)
    job.x, job.y = data_of(x), data_of(y)
    run_tasks(
        <Task>border_task[float] if is_single(x) else <Task>border_task[double], &job,
        ceil_div(job.rows, job.rows_per_task), EVENLY, MEMORY_NANOSECONDS * size_of(y),
    )
    return y


cdef tuple padded(tuple shape, padding):
    return tuple([n + before + after for n, (before, after) in zip(shape, padding)])


cdef Py_ssize_t place_of(Mode mode, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Which of n > 0 elements is read at place i, which may be outside; -1: none."""
    cdef Py_ssize_t period = 2 * (n - 1)
    if 0 <= i < n:
        return i
    if mode == CONSTANT:
        return -1
    if mode == EDGE or n == 1:
        return 0 if i < 0 else n - 1
    if mode == WRAP:
        return (i % n + n) % n
    i = (i % period + period) % period
    return i if i < n else period - i


cdef Block set_borders(Borders *job, tuple shape, padding, Mode mode, double value):
    """All but the arrays; returns the memory of the tables. An axis that is cropped is so before it gets a border."""
    cdef Block memory = take(max(1, sum(padded(shape, padding))) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *places = <Py_ssize_t *>memory.data
    cdef Py_ssize_t stride = 1, before, after, cut, n, rest, size, i
    cdef int d
    job.ndim, job.last, job.value, job.rows = len(shape), places, value, 1
    for d in range(job.ndim):
        n, before, after = shape[d], padding[d][0], padding[d][1]
        size, cut, rest = n + before + after, max(<Py_ssize_t>0, -before), n + min(before, 0) + min(after, 0)
        for i in range(size):
            places[i] = place_of(mode, i - max(<Py_ssize_t>0, before), rest) if rest else -1
            if places[i] >= 0:
                places[i] += cut
        job.sizes[d], job.last, job.begin, job.count = size, places, max(<Py_ssize_t>0, before), rest
        job.rows *= size if d < job.ndim - 1 else 1
        places += size
    for d in range(job.ndim - 1, -1, -1):
        job.strides[d] = stride
        stride *= shape[d]
    job.rows_per_task = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // max(<Py_ssize_t>1, job.sizes[job.ndim - 1]))
    return memory


cdef void border_task(const Borders *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t n = job.sizes[job.ndim - 1], row, start, j
    cdef real value = <real>job.value
    cdef const real *x
    cdef real *y
    for row in range(task * job.rows_per_task, min(job.rows, (task + 1) * job.rows_per_task)):
        y = <real *>job.y + row * n
        start = start_of(job, row)
        if start < 0:
            for j in range(n):
                y[j] = value
            continue
        x = <const real *>job.x + start
        for j in range(job.begin):
            y[j] = x[job.last[j]] if job.last[j] >= 0 else value
        if job.count:
            memcpy(y + job.begin, x + job.last[job.begin], job.count * sizeof(real))
        for j in range(job.begin + job.count, n):
            y[j] = x[job.last[j]] if job.last[j] >= 0 else value


cdef Py_ssize_t start_of(const Borders *job, Py_ssize_t row) noexcept nogil:
    """Where the row of x begins that a row of y reads; -1: none."""
    cdef const Py_ssize_t *places = job.last
    cdef Py_ssize_t start = 0, place
    cdef int d
    for d in range(job.ndim - 2, -1, -1):
        places -= job.sizes[d]
        place = places[row % job.sizes[d]]
        if place < 0:
            return -1
        start += place * job.strides[d]
        row //= job.sizes[d]
    return start


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_pad(tuple x_shape, dtype, padding, str mode, double value):
    """The job of `pad`, of a y that is not empty: job.run(x, y)."""
    return Pad(x_shape, np.dtype(dtype), padding, mode, value)


@cython.final
cdef class Pad(Job):
    cdef Borders borders                # with undefined arrays
    cdef Block places
    cdef Task task

    def __init__(self, tuple x_shape, dtype, padding, str mode, double value):
        y_shape = padded(x_shape, padding)
        self.places = set_borders(&self.borders, x_shape, padding, MODES[mode], value)
        self.task = <Task>border_task[float] if dtype == np.float32 else <Task>border_task[double]
        self.name, self.cost = "pad", MEMORY_NANOSECONDS * prod(y_shape)
        self.arrays = Array("x", "in", x_shape, dtype), Array("y", "out", y_shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Borders borders = self.borders
        borders.x, borders.y = arrays[0], arrays[1]
        run_team(team, self.task, &borders, ceil_div(borders.rows, borders.rows_per_task), EVENLY)


def prepare_zero_pad2d(tuple x_shape, dtype, padding):
    """The job of `zero_pad2d`: job.run(x, y)."""
    return ZeroPad(x_shape, np.dtype(dtype), padding)


@cython.final
cdef class ZeroPad(Job):
    cdef Padding padding                # with NULL for the arrays
    cdef Task task
    cdef Py_ssize_t planes

    def __init__(self, tuple x_shape, dtype, padding):
        n, c, h, w = x_shape
        (top, bottom), (left, right) = padding
        self.padding = Padding(h, w, h + top + bottom, w + left + right, top, left, NULL, NULL)
        y_shape = n, c, self.padding.oh, self.padding.ow
        self.planes = n * c if self.padding.oh and self.padding.ow else 0
        self.task = <Task>plane_task[float] if dtype == np.float32 else <Task>plane_task[double]
        self.name, self.cost = "zero_pad", MEMORY_NANOSECONDS * self.planes * self.padding.oh * self.padding.ow
        self.arrays = Array("x", "in", x_shape, dtype), Array("y", "out", y_shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Padding padding = self.padding
        padding.x, padding.y = arrays[0], arrays[1]
        run_team(team, self.task, &padding, self.planes, EVENLY)
