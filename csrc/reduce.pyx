"""One number for all elements along adjacent axes: sums, means, extremes, ...

# Design:
# x is (outer, length, inner), and the middle axis is reduced; y is (outer, inner).
# If inner is 1, an element of y is made of a row: in vector lanes, and a long row in pieces whose sums are added in
# double (sums.pyx). A task is some rows. Otherwise the elements of y lie side by side, and x is read row by row: a task
# is a piece of y. ROWS_TOGETHER rows are added in their own type, and these sums in double.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.math cimport sqrt
from libc.string cimport memcpy, memset

from arrays cimport data_of, is_single, shape_of, size_of
from costs cimport ELEMENTS_PER_TASK, MEMORY_NANOSECONDS
from kernels cimport MAXIMUM, MINIMUM, kernels_for, real
from .jobs cimport Job
from .memory cimport empty
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team
from .sums cimport row_dot, row_sum

cdef enum:
    SIDE_BY_SIDE = 512              # elements of y: 6 kB of floats and doubles, which stay in the first cache
    ROWS_TOGETHER = 64              # few enough that a sum of floats stays exact to a few bits

cdef enum Function:
    SUM, MEAN, MAX, MIN, SUM_SQUARE, L2

cdef dict FUNCTIONS = {"sum": SUM, "mean": MEAN, "max": MAX, "min": MIN, "sum_square": SUM_SQUARE, "l2": L2}

cdef struct Reduction:
    Function function
    Py_ssize_t outer, length, inner
    Py_ssize_t rows                 # of a task, if inner is 1
    Py_ssize_t pieces               # of a row of y, otherwise
    Py_ssize_t tasks
    const void *x                   # IN   (outer, length, inner)
    void *y                         # OUT  (outer, inner)


def reduce(x, function):
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef Reduction job = reduction_of(FUNCTIONS[function], shape[0], shape[1], shape[2])
    y = empty((shape[0], shape[2]), x)
    job.x, job.y = data_of(x), data_of(y)
    run_tasks(task_of(&job, is_single(x)), &job, job.tasks, EVENLY, MEMORY_NANOSECONDS * size_of(x))
    return y


cdef Reduction reduction_of(Function function, Py_ssize_t outer, Py_ssize_t length, Py_ssize_t inner) noexcept:
    """All but the arrays."""
    cdef Reduction job
    job.function, job.outer, job.length, job.inner, job.x, job.y = function, outer, length, inner, NULL, NULL
    job.rows = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // max(<Py_ssize_t>1, length))
    job.pieces = ceil_div(inner, SIDE_BY_SIDE)
    job.tasks = ceil_div(outer, job.rows) if inner == 1 else outer * job.pieces
    return job


cdef Task task_of(const Reduction *job, bint single) noexcept:
    if job.inner == 1:
        return <Task>rows_task[float] if single else <Task>rows_task[double]
    return <Task>columns_task[float] if single else <Task>columns_task[double]


cdef inline double finished(const Reduction *job, double total) noexcept nogil:
    """The result from the sum."""
    if job.function == MEAN:
        return total / job.length
    return sqrt(total) if job.function == L2 else total


cdef void rows_task(const Reduction *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t n = job.length, row
    cdef const real *x
    cdef real *y = <real *>job.y
    for row in range(task * job.rows, min(job.outer, (task + 1) * job.rows)):
        x = <const real *>job.x + row * n
        if job.function == MAX or job.function == MIN:
            y[row] = <real>kernels_for(x).extreme(n, x, job.function == MIN)
        elif job.function == SUM or job.function == MEAN:
            y[row] = <real>finished(job, row_sum(n, x))
        else:
            y[row] = <real>finished(job, row_dot(n, x, x))


cdef void columns_task(const Reduction *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """A piece of y, of one row."""
    cdef Py_ssize_t row = task // job.pieces, start = task % job.pieces * SIDE_BY_SIDE
    cdef Py_ssize_t n = min(<Py_ssize_t>SIDE_BY_SIDE, job.inner - start)
    cdef const real *x = <const real *>job.x + row * job.length * job.inner + start
    cdef real *y = <real *>job.y + row * job.inner + start
    if job.function == MAX or job.function == MIN:
        extremes(job, n, x, y)
    else:
        sums(job, n, x, y)


cdef void extremes(const Reduction *job, Py_ssize_t n, const real *x, real *y) noexcept nogil:
    """There is a first one: the gate has seen to it."""
    cdef Py_ssize_t i
    memcpy(y, x, n * sizeof(real))
    for i in range(1, job.length):
        kernels_for(x).binary(MAXIMUM if job.function == MAX else MINIMUM, n, x + i * job.inner, 1, y, 1, y)


cdef void sums(const Reduction *job, Py_ssize_t n, const real *x, real *y) noexcept nogil:
    cdef real some[SIDE_BY_SIDE]
    cdef double totals[SIDE_BY_SIDE]
    cdef bint squares = job.function == SUM_SQUARE or job.function == L2
    cdef const real *row
    cdef Py_ssize_t i, j
    memset(some, 0, n * sizeof(real))
    memset(totals, 0, n * sizeof(double))
    for i in range(job.length):
        row = x + i * job.inner
        if squares:
            kernels_for(x).add_product(n, row, row, some)
        else:
            kernels_for(x).add(n, row, some)
        if i % ROWS_TOGETHER == ROWS_TOGETHER - 1 or i == job.length - 1:
            for j in range(n):
                totals[j] += some[j]
            memset(some, 0, n * sizeof(real))
    for j in range(n):
        y[j] = <real>finished(job, totals[j])


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_reduce(tuple shape, dtype, str function):
    """The job of `reduce` for x (outer, length, inner): job.run(x, y)."""
    return ReduceJob(shape, np.dtype(dtype), function)


@cython.final
cdef class ReduceJob(Job):
    cdef Task task
    cdef Reduction reduction            # with NULL for the arrays

    def __init__(self, tuple shape, dtype, str function):
        outer, length, inner = shape
        self.reduction = reduction_of(FUNCTIONS[function], outer, length, inner)
        self.task = task_of(&self.reduction, dtype == np.float32)
        self.name, self.cost = f"reduce_{function}", MEMORY_NANOSECONDS * outer * length * inner
        self.arrays = Array("x", "in", shape, dtype), Array("y", "out", (outer, inner), dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Reduction reduction = self.reduction
        reduction.x, reduction.y = arrays[0], arrays[1]
        run_team(team, self.task, &reduction, reduction.tasks, EVENLY)
