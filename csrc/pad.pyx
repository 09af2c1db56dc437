"""Zeros around images. A task is one plane: a copy of its rows, with zeros between the end of one and the next."""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memcpy, memset

from arrays cimport data_of, is_single, shape_of, size_of
from costs cimport MEMORY_NANOSECONDS
from kernels cimport real
from .jobs cimport Job
from .memory cimport empty, zeros
from .parallel cimport EVENLY, Task, Team, run_tasks, run_team

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


# --------------------------------------------------------------------------------------------------------- jobs


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
