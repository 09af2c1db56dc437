"""Rows of a matrix by their numbers, and the gradient of the matrix.

# Design:
# A task of forward is some rows of y. Backward adds up rows of dy that have the same number: a task is some columns,
# through all rows in order, so that neither repeated numbers nor the number of threads change a bit.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from arrays cimport data_of, is_single, shape_of
from costs cimport ELEMENTS_PER_TASK, MEMORY_NANOSECONDS
from kernels cimport kernels_for, real
from .memory cimport empty, zeros
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef enum:
    COLUMNS = 64                # of a task of backward: whole cache lines, so no two threads write to one

cdef struct Rows:
    Py_ssize_t n, width         # rows of y, elements of a row
    Py_ssize_t rows             # of a task of forward
    int64_t padding             # a number that gets no gradient; -1: none
    const int64_t *indices      # IN   (n,)
    const void *x               # IN   forward: weight; backward: dy
    void *y                     # OUT  forward: y; backward: dweight


def embedding(indices, weight):
    cdef Py_ssize_t n = shape_of(indices)[0], width = shape_of(weight)[1]
    cdef Py_ssize_t share = max(1, ELEMENTS_PER_TASK // max(1, width))
    y = empty((n, width), weight)
    cdef Rows job = Rows(n, width, share, -1, <const int64_t *>data_of(indices), data_of(weight), data_of(y))
    run_tasks(
        <Task>rows_task[float] if is_single(weight) else <Task>rows_task[double], &job, ceil_div(n, share), EVENLY,
        MEMORY_NANOSECONDS * n * width,
    )
    return y


def embedding_backward(dy, indices, num_embeddings, padding_idx):
    cdef Py_ssize_t n = shape_of(dy)[0], width = shape_of(dy)[1]
    dweight = zeros((num_embeddings, width), dy)
    cdef Rows job = Rows(
        n, width, 0, -1 if padding_idx is None else padding_idx, <const int64_t *>data_of(indices), data_of(dy),
        data_of(dweight),
    )
    run_tasks(
        <Task>columns_task[float] if is_single(dy) else <Task>columns_task[double], &job, ceil_div(width, COLUMNS),
        EVENLY, 2 * MEMORY_NANOSECONDS * n * width,
    )
    return dweight


cdef void rows_task(const Rows *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = task * job.rows, i
    cdef const real *weight = <const real *>job.x
    cdef real *y = <real *>job.y
    for i in range(first, min(job.n, first + job.rows)):
        memcpy(y + i * job.width, weight + job.indices[i] * job.width, job.width * sizeof(real))


cdef void columns_task(const Rows *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = task * COLUMNS, n = min(<Py_ssize_t>COLUMNS, job.width - first), i
    cdef const real *dy = <const real *>job.x + first
    cdef real *dweight = <real *>job.y + first
    for i in range(job.n):
        if job.indices[i] != job.padding:
            kernels_for(dy).add(n, dy + i * job.width, dweight + job.indices[i] * job.width)
