"""Arrays joined along an axis, and split again.

# Design:
# An array of shape (outer, size, inner) is `outer` runs of size * inner elements, each contiguous. A row of the joined
# array is one run of each array. A task is a piece of the joined array, whatever runs lie in it: many short ones, or a
# part of one. Only bytes are copied, so there is one function for both types and both directions; denormal numbers
# stay.
"""

from libc.string cimport memcpy

from arrays cimport data_of, itemsize_of, shape_of, size_of
from costs cimport MEMORY_NANOSECONDS
from .memory cimport Block, empty, take
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef enum:
    BYTES_PER_TASK = 1 << 16        # enough to be worth a call, few enough to share out

cdef struct Part:
    char *data                      # the array's
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
