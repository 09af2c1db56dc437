"""Sums, products, ... of two arrays, which may be broadcast along axes of each other.

# Design:
# Adjacent axes that are broadcast alike are merged into one: gates (n, c, 1, 1) and images (n, c, h, w) are a matrix
# (n*c, h*w) with one factor per row, and arrays of one shape are a single row. So there are few axes, and along the
# last one an operand is either a row of numbers or one number. A task is a piece of the result: some rows, or a part of
# a long one.
# If an operand of a product has the shape of the result, its gradient is a product. That of a broadcast one is a sum of
# products per element; each is computed by one thread, in the order in which the products lie in memory. If the last
# axis is summed, a row is a dot product in vector lanes (sums.pyx), and rows are added in double. If it is not, the
# sums of a piece of it lie side by side: ROWS_TOGETHER rows are added in their own type, and these sums in double. Both
# gradients are made in the same pass, so dy is read from memory once.
# If both operands are broadcast, as in an outer product, backward first copies the other one to its full size.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memset

from arrays cimport NPY_MAXDIMS, data_of, is_single, ndim_of, shape_of, size_of
from costs cimport ELEMENTS_PER_TASK, MEMORY_NANOSECONDS
from kernels cimport ADD, DIVIDE, MAXIMUM, MINIMUM, MULTIPLY, SUBTRACT, Binary, kernels_for, real
from .jobs cimport Job
from .memory cimport empty, empty_like, zeros
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team
from .sums cimport row_dot

cdef enum:
    SUMS_SIDE_BY_SIDE = 1024        # elements: 12 kB of floats and doubles, which stay in the first cache
    ROWS_TOGETHER = 64              # few enough that a sum of floats stays exact to a few bits


cdef double NANOSECONDS = 1.5 * MEMORY_NANOSECONDS      # an element of the result: two are read

cdef dict FUNCTIONS = {
    "add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY, "divide": DIVIDE, "maximum": MAXIMUM, "minimum": MINIMUM,
}


cdef struct Axes:                   # at least one
    int ndim
    Py_ssize_t sizes[NPY_MAXDIMS]
    Py_ssize_t x_strides[NPY_MAXDIMS]       # elements; 0: x is broadcast
    Py_ssize_t y_strides[NPY_MAXDIMS]


cdef struct Pairs:                  # z = function(x, y)
    Binary function
    Axes axes
    Py_ssize_t rows                 # of all axes but the last
    Py_ssize_t rows_per_task
    Py_ssize_t pieces               # of a row
    Py_ssize_t tasks
    double cost                     # nanoseconds
    const void *x
    const void *y
    void *z


cdef void merge_axes(int ndim, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape, Axes *axes) noexcept:
    """The axes of the result, none of which is of size 0."""
    cdef Py_ssize_t size, x_stride = 1, y_stride = 1
    cdef bint x_varies, y_varies, x_varied = False, y_varied = False
    cdef int d
    axes.ndim = 0
    for d in range(ndim):
        size, x_varies, y_varies = max(x_shape[d], y_shape[d]), x_shape[d] > 1, y_shape[d] > 1
        if size == 1:
            continue
        if axes.ndim == 0 or x_varies != x_varied or y_varies != y_varied:
            axes.sizes[axes.ndim], axes.x_strides[axes.ndim], axes.y_strides[axes.ndim] = 1, x_varies, y_varies
            axes.ndim += 1
        axes.sizes[axes.ndim - 1] *= size
        x_varied, y_varied = x_varies, y_varies
    if axes.ndim == 0:
        axes.ndim, axes.sizes[0], axes.x_strides[0], axes.y_strides[0] = 1, 1, 1, 1
    for d in range(axes.ndim - 1, -1, -1):
        if axes.x_strides[d]:
            axes.x_strides[d] = x_stride
            x_stride *= axes.sizes[d]
        if axes.y_strides[d]:
            axes.y_strides[d] = y_stride
            y_stride *= axes.sizes[d]


cdef Py_ssize_t rows_of(const Axes *axes) noexcept nogil:
    """How often all axes but the last are passed through."""
    cdef Py_ssize_t rows = 1
    cdef int d
    for d in range(axes.ndim - 1):
        rows *= axes.sizes[d]
    return rows


cdef inline Py_ssize_t row_start(const Axes *axes, const Py_ssize_t *strides, Py_ssize_t row) noexcept nogil:
    """Where a row begins in the operand with these strides."""
    cdef Py_ssize_t start = 0
    cdef int d
    for d in range(axes.ndim - 2, 0, -1):
        start += row % axes.sizes[d] * strides[d]
        row //= axes.sizes[d]
    return start + row * strides[0] if axes.ndim > 1 else 0


def binary(x, y, function):
    return combined(FUNCTIONS[function], x, y)


def add(x, y):
    return combined(ADD, x, y)


def multiply(x, y):
    return combined(MULTIPLY, x, y)


cdef object combined(Binary function, x, y):
    cdef Pairs job
    if x.shape == y.shape:
        z = empty_like(x)
    else:
        z = empty(broadcast(x.shape, y.shape), x)
    if not size_of(z):
        return z
    set_pairs(&job, function, ndim_of(x), shape_of(x), shape_of(y))
    job.x, job.y, job.z = data_of(x), data_of(y), data_of(z)
    run_tasks(<Task>pairs_task[float] if is_single(x) else <Task>pairs_task[double], &job, job.tasks, EVENLY, job.cost)
    return z


cdef tuple broadcast(tuple x_shape, tuple y_shape):
    return tuple([n if m == 1 else m for m, n in zip(x_shape, y_shape)])


cdef void set_pairs(
    Pairs *job, Binary function, int ndim, const Py_ssize_t *x_shape, const Py_ssize_t *y_shape
) noexcept:
    """All but the arrays, none of which is empty."""
    merge_axes(ndim, x_shape, y_shape, &job.axes)
    cdef Py_ssize_t n = job.axes.sizes[job.axes.ndim - 1]
    job.function, job.rows = function, rows_of(&job.axes)
    job.rows_per_task, job.pieces = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // n), ceil_div(n, ELEMENTS_PER_TASK)
    job.tasks, job.cost = ceil_div(job.rows, job.rows_per_task) * job.pieces, NANOSECONDS * n * job.rows


cdef void pairs_task(const Pairs *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows, or a piece of one."""
    cdef const Axes *axes = &job.axes
    cdef int last = axes.ndim - 1
    cdef Py_ssize_t first = task // job.pieces * job.rows_per_task, start = task % job.pieces * ELEMENTS_PER_TASK
    cdef Py_ssize_t n = min(<Py_ssize_t>ELEMENTS_PER_TASK, axes.sizes[last] - start), row
    cdef Py_ssize_t x_step = axes.x_strides[last], y_step = axes.y_strides[last]
    cdef const real *x
    cdef const real *y
    cdef real *z
    for row in range(first, min(job.rows, first + job.rows_per_task)):
        x = <const real *>job.x + row_start(axes, axes.x_strides, row) + start * x_step
        y = <const real *>job.y + row_start(axes, axes.y_strides, row) + start * y_step
        z = <real *>job.z + row * axes.sizes[last] + start
        kernels_for(x).binary(job.function, n, x, x_step, y, y_step, z)


# ---------------------------------------------------------------------------------------- gradients of products


cdef struct Gradients:              # of an operand `full`, of dy's shape, and of a broadcast one, `factor`
    Axes kept, summed               # of dy, all but the last: those of the factor, and the others; y_strides: dy's
    Py_ssize_t n                    # elements of the last axis
    Py_ssize_t pieces               # of these, where the factor has them
    const void *dy                  # IN
    const void *full                # IN   as dy
    const void *factor              # IN
    void *dfull                     # OUT  as dy, or NULL
    void *dfactor                   # OUT  as factor


def multiply_backward(dy, x, y):
    if not size_of(dy):
        return zeros(x.shape, dy), zeros(y.shape, dy)
    if size_of(x) == size_of(dy) == size_of(y):
        return multiply(dy, y), multiply(dy, x)
    if size_of(x) == size_of(dy):
        return gradients(dy, x, y, True)
    if size_of(y) == size_of(dy):
        of_y, dx = gradients(dy, y, x, True)
        return dx, of_y
    return (
        gradients(dy, np.ascontiguousarray(np.broadcast_to(y, dy.shape)), x, False)[1],
        gradients(dy, np.ascontiguousarray(np.broadcast_to(x, dy.shape)), y, False)[1],
    )


cdef object gradients(dy, full, factor, bint need_full):
    """Of an operand that has the shape of dy, unless it is not needed, and of one that is broadcast."""
    cdef bint single = is_single(dy), across
    cdef Gradients job
    cdef Task task
    cdef Axes axes                  # x: factor, y: dy
    cdef Py_ssize_t rows
    dfull, dfactor = empty_like(dy) if need_full else None, empty_like(factor)
    merge_axes(ndim_of(dy), shape_of(factor), shape_of(dy), &axes)
    rows = split_axes(&axes, &job.kept, &job.summed)
    job.n, across = axes.sizes[axes.ndim - 1], axes.x_strides[axes.ndim - 1] != 0
    job.pieces = ceil_div(job.n, SUMS_SIDE_BY_SIDE) if across else 1
    job.dy, job.full, job.factor = data_of(dy), data_of(full), data_of(factor)
    job.dfull, job.dfactor = data_of(dfull), data_of(dfactor)
    if across:
        task = <Task>sums_across_task[float] if single else <Task>sums_across_task[double]
    else:
        task = <Task>row_sums_task[float] if single else <Task>row_sums_task[double]
    run_tasks(task, &job, rows * job.pieces, EVENLY, 2 * MEMORY_NANOSECONDS * size_of(dy))
    return dfull, dfactor


cdef Py_ssize_t split_axes(const Axes *axes, Axes *kept, Axes *summed) noexcept:
    """All axes but the last: those that x has, and those along which it is broadcast. Returns the rows of `kept`."""
    cdef Axes *into
    cdef int d
    kept.ndim = summed.ndim = 0
    for d in range(axes.ndim - 1):
        into = kept if axes.x_strides[d] else summed
        into.sizes[into.ndim], into.y_strides[into.ndim] = axes.sizes[d], axes.y_strides[d]
        into.ndim += 1
    # rows_of and row_start leave the last axis out.
    kept.ndim += 1
    summed.ndim += 1
    return rows_of(kept)


cdef void row_sums_task(const Gradients *job, Py_ssize_t row, real *scratch) noexcept nogil:
    """One sum, over whole rows, and the gradient of the same rows."""
    cdef const real *dy = <const real *>job.dy
    cdef Py_ssize_t first = row_start(&job.kept, job.kept.y_strides, row), i, at
    cdef double total = 0
    for i in range(rows_of(&job.summed)):
        at = first + row_start(&job.summed, job.summed.y_strides, i)
        total += row_dot(job.n, dy + at, <const real *>job.full + at)
        if job.dfull != NULL:
            kernels_for(dy).scaled(job.n, dy + at, (<const real *>job.factor)[row], <real *>job.dfull + at)
    (<real *>job.dfactor)[row] = <real>total


cdef void sums_across_task(const Gradients *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Sums side by side, of a piece of a row, and the gradient of the same pieces."""
    cdef real sums[SUMS_SIDE_BY_SIDE]
    cdef double totals[SUMS_SIDE_BY_SIDE]
    cdef const real *dy = <const real *>job.dy
    cdef Py_ssize_t row = task // job.pieces, start = task % job.pieces * SUMS_SIDE_BY_SIDE, i, j, at
    cdef Py_ssize_t n = min(<Py_ssize_t>SUMS_SIDE_BY_SIDE, job.n - start), rows = rows_of(&job.summed)
    cdef const real *factor = <const real *>job.factor + row * job.n + start
    cdef real *dfactor = <real *>job.dfactor + row * job.n + start
    memset(sums, 0, n * sizeof(real))
    memset(totals, 0, n * sizeof(double))
    for i in range(rows):
        at = row_start(&job.kept, job.kept.y_strides, row) + row_start(&job.summed, job.summed.y_strides, i) + start
        kernels_for(dy).add_product(n, dy + at, <const real *>job.full + at, sums)
        if job.dfull != NULL:
            kernels_for(dy).times(n, dy + at, factor, <real *>job.dfull + at)
        if i % ROWS_TOGETHER == ROWS_TOGETHER - 1 or i == rows - 1:
            for j in range(n):
                totals[j] += sums[j]
            memset(sums, 0, n * sizeof(real))
    for j in range(n):
        dfactor[j] = <real>totals[j]


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_binary(str function, tuple x_shape, tuple y_shape, dtype):
    """The job of `binary`, `add` or `multiply`: job.run(x, y, z), none of them empty. In a plan, z may be x or y of its
    shape."""
    return PairsJob(function, x_shape, y_shape, np.dtype(dtype))


@cython.final
cdef class PairsJob(Job):
    cdef Task task
    cdef Pairs pairs                # with undefined arrays

    def __init__(self, str function, tuple x_shape, tuple y_shape, dtype):
        cdef Py_ssize_t x_sizes[NPY_MAXDIMS]
        cdef Py_ssize_t y_sizes[NPY_MAXDIMS]
        cdef int d
        for d in range(len(x_shape)):
            x_sizes[d], y_sizes[d] = x_shape[d], y_shape[d]
        set_pairs(&self.pairs, FUNCTIONS[function], len(x_shape), x_sizes, y_sizes)
        self.name, self.cost = function, self.pairs.cost
        self.task = <Task>pairs_task[float] if dtype == np.float32 else <Task>pairs_task[double]
        self.arrays = (
            Array("x", "in", x_shape, dtype), Array("y", "in", y_shape, dtype),
            Array("z", "out", broadcast(x_shape, y_shape), dtype),
        )

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Pairs pairs = self.pairs
        pairs.x, pairs.y, pairs.z = arrays[0], arrays[1], arrays[2]
        run_team(team, self.task, &pairs, pairs.tasks, EVENLY)
