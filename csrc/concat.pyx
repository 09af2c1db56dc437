"""Arrays joined along an axis, and split again.

# Design:
# An array of shape (outer, size, inner) is `outer` runs of size * inner elements, each contiguous. A row of the joined
# array is one run of each array. A task is a piece of the joined array, whatever runs lie in it: many short ones, or a
# part of one. Only bytes are copied, so there is one function for both types and both directions; denormal numbers
# stay.
# The job of a plan skips the arrays that are in their places already.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memcpy

from arrays cimport data_of, itemsize_of, shape_of, size_of
from costs cimport MEMORY_NANOSECONDS
from .jobs cimport MOST_ARRAYS, Job
from .memory cimport Block, empty, take
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef enum:
    BYTES_PER_TASK = 1 << 16        # enough to be worth a call, few enough to share out

cdef struct Part:
    char *data                      # the array's; NULL: it is in its place
    Py_ssize_t size                 # bytes of a run
    Py_ssize_t start                # where it begins in a row

cdef struct Copy:
    bint joins                      # the parts into the joined array; else back
    Py_ssize_t count
    const Part *parts
    Py_ssize_t row                  # bytes
    Py_ssize_t total                # bytes
    char *joined


def concat(arrays, int axis):
    first = arrays[0]
    cdef Py_ssize_t total = 0
    for x in arrays:
        total += shape_of(x)[axis]
    y = empty((*first.shape[:axis], total, *first.shape[axis + 1:]), first)
    copy_runs(y, arrays, axis, True)
    return y


def split(x, sizes, int axis):
    arrays = [empty((*x.shape[:axis], size, *x.shape[axis + 1:]), x) for size in sizes]
    copy_runs(x, arrays, axis, False)
    return tuple(arrays)


cdef int copy_runs(joined, list arrays, int axis, bint joins) except -1:
    """Between the joined array and the others."""
    cdef Py_ssize_t outer = 1, size, i
    cdef int d
    cdef Block block = take(len(arrays) * sizeof(Part))
    cdef Part *parts = <Part *>block.data
    cdef Copy job = Copy(
        joins, len(arrays), parts, 0, size_of(joined) * itemsize_of(joined), <char *>data_of(joined)
    )
    if not job.total:
        return 0
    for d in range(axis):
        outer *= shape_of(joined)[d]
    for i in range(job.count):
        size = size_of(arrays[i]) // outer * itemsize_of(joined)
        parts[i] = Part(<char *>data_of(arrays[i]), size, job.row)
        job.row += parts[i].size
    return run_tasks(
        <Task>copy_task, &job, ceil_div(job.total, BYTES_PER_TASK), EVENLY,
        MEMORY_NANOSECONDS / sizeof(float) * job.total,
    )


cdef void copy_task(const Copy *job, Py_ssize_t task, void *scratch) noexcept nogil:
    cdef Py_ssize_t at = task * BYTES_PER_TASK, end = min(job.total, at + BYTES_PER_TASK), size
    cdef Py_ssize_t number = at // job.row, place = at % job.row, i = 0     # row, byte in it, part
    cdef const Part *parts = job.parts
    cdef char *other
    while parts[i].start + parts[i].size <= place:
        i += 1
    while at < end:
        size = min(parts[i].start + parts[i].size - place, end - at)
        if parts[i].data != NULL:
            other = parts[i].data + number * parts[i].size + place - parts[i].start
            if job.joins:
                memcpy(job.joined + at, other, size)
            else:
                memcpy(other, job.joined + at, size)
        at += size
        place += size
        i += 1
        if i == job.count:
            number, place, i = number + 1, 0, 0


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_concat(list shapes, dtype, int axis):
    """The job of `concat`, or None if there are too many arrays for one: job.run(*arrays, y).

    None for an array says that y has it in its place.
    """
    return Concat(shapes, np.dtype(dtype), axis) if len(shapes) < MOST_ARRAYS else None


@cython.final
cdef class Concat(Job):
    cdef Copy copy                      # with NULL for the arrays
    cdef Part parts[MOST_ARRAYS]

    def __init__(self, list shapes, dtype, int axis):
        cdef Py_ssize_t i
        before, behind = shapes[0][:axis], shapes[0][axis + 1:]
        y_shape = *before, sum(shape[axis] for shape in shapes), *behind
        self.copy.joins, self.copy.count, self.copy.total = True, len(shapes), prod(y_shape) * dtype.itemsize
        for i in range(self.copy.count):
            self.parts[i] = Part(NULL, shapes[i][axis] * prod(behind) * dtype.itemsize, self.copy.row)
            self.copy.row += self.parts[i].size
        self.name, self.cost = "concat", MEMORY_NANOSECONDS / sizeof(float) * self.copy.total
        arrays = [Array(f"arrays[{i}]", "optional", shape, dtype) for i, shape in enumerate(shapes)]
        self.arrays = *arrays, Array("y", "out", y_shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Copy copy = self.copy
        cdef Part parts[MOST_ARRAYS]
        cdef Py_ssize_t i
        for i in range(copy.count):
            parts[i] = self.parts[i]
            parts[i].data = <char *>arrays[i]
        copy.parts, copy.joined = parts, <char *>arrays[copy.count]
        run_team(team, <Task>copy_task, &copy, ceil_div(copy.total, BYTES_PER_TASK), EVENLY)
