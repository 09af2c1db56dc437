"""The fully connected layer: three matrix products and a column sum, all on the same GEMM and the same threads.

# Design:
# For a few rows the product with the weights reads far more than it multiplies. Then each output is a dot product along
# a row of the weights, read in place; packing them for the GEMM would cost more than that.
"""

import numpy as np

from .jobs import Array

from libc.string cimport memset

from arrays cimport data_of, is_single, shape_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, kernels_for, real
from .epilogue cimport ending, finish_array, finish_rows
from .gemm cimport Matrix, Product, product_of, product_task
from .jobs cimport Job, find, keep
from .memory cimport empty, empty_like, zeros
from .parallel cimport EVENLY, ON_DEMAND, Schedule, Task, Team, ceil_div, run_team

cdef enum:
    ROWS_OF_DOTS = 4                # up to so many rows of x; each reads the weights again, from the nearest cache
    OUTPUTS_PER_TASK = 16
    COLUMNS_PER_TASK = 16           # a cache line of floats

cdef double STREAM_NANOSECONDS = 0.1        # an element of a dot product or a column sum


def linear(x, weight, bias, activation):
    cdef Py_ssize_t n = shape_of(x)[0], inputs = shape_of(x)[1], outputs = shape_of(weight)[0]
    cdef void *arrays[4]
    cdef Job job
    y = empty((n, outputs), x)
    if not (n and inputs and outputs):
        y[...] = 0 if bias is None else bias
        finish_array(y, None, activation)
        return y
    key = ("linear", n, inputs, outputs, activation, is_single(x))
    job = find(key) or keep(key, linear_forward(n, inputs, outputs, is_single(x), ending(activation)))
    arrays[0], arrays[1], arrays[2], arrays[3] = data_of(x), data_of(weight), data_of(bias), data_of(y)
    job.start(arrays)
    return y


def linear_backward(dy, x, weight, need_dx):
    cdef Py_ssize_t n = shape_of(x)[0], inputs = shape_of(x)[1], outputs = shape_of(weight)[0]
    cdef void *arrays[4]
    cdef Job job
    if not (n and inputs and outputs):
        dbias = dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
        return zeros((n, inputs), x) if need_dx else None, zeros((outputs, inputs), x), dbias
    dx, dweight, dbias = None, empty_like(weight), empty((outputs,), x)
    key = ("linear_dweight", n, inputs, outputs, is_single(x))
    job = find(key) or keep(key, linear_dweight(n, inputs, outputs, is_single(x)))
    arrays[0], arrays[1], arrays[2], arrays[3] = data_of(dy), data_of(x), data_of(dweight), data_of(dbias)
    job.start(arrays)
    if need_dx:
        dx = empty_like(x)
        key = ("linear_dx", n, inputs, outputs, is_single(x))
        job = find(key) or keep(key, linear_dx(n, inputs, outputs, is_single(x)))
        arrays[0], arrays[1], arrays[2] = data_of(dy), data_of(weight), data_of(dx)
        job.start(arrays)
    return dx, dweight, dbias


def prepare_linear(x_shape, weight_shape, dtype, activation=None):
    """The job of `linear` for arrays of these shapes, no size 0: job.run(x, weight, bias or None, y)."""
    cdef bint single = np.dtype(dtype) == np.float32
    return linear_forward(x_shape[0], x_shape[1], weight_shape[0], single, ending(activation))


cdef class LinearJob(Job):
    """A matrix product C = A * B + bias; subclasses know which arrays these are."""
    cdef Product product
    cdef Task task
    cdef Schedule schedule

    cdef int set_up(self, str name, Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, bint single, arrays) except -1:
        cdef Py_ssize_t mr = kernels_for(<float *>NULL).mr if single else kernels_for(<double *>NULL).mr
        cdef Py_ssize_t nr = kernels_for(<float *>NULL).nr if single else kernels_for(<double *>NULL).nr
        dtype = np.dtype(np.float32 if single else np.float64)
        self.name, self.arrays = name, tuple([Array(*array, dtype) for array in arrays])
        self.product = product_of(rows, cols, k, mr, nr)
        self.task = <Task>product_task[float] if single else <Task>product_task[double]
        self.schedule = ON_DEMAND
        self.scratch = self.product.scratch * dtype.itemsize
        self.cost = GEMM_NANOSECONDS * rows * cols * k
        return 0

    cdef void multiply(self, Product *product, const Team *team) noexcept nogil:
        run_team(team, self.task, product, product.tasks, self.schedule)


cdef class Forward(LinearJob):
    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Product product = self.product
        product.a.data, product.b.data, product.bias, product.c = arrays[0], arrays[1], arrays[2], arrays[3]
        self.multiply(&product, team)


cdef class DataGradient(LinearJob):
    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Product product = self.product
        product.a.data, product.b.data, product.c = arrays[0], arrays[1], arrays[2]
        self.multiply(&product, team)


cdef class WeightGradient(LinearJob):
    cdef Task sums_task

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Product product = self.product
        cdef ColumnSums sums = ColumnSums(product.k, product.rows, arrays[0], arrays[3])
        product.a.data, product.b.data, product.c = arrays[0], arrays[1], arrays[2]
        run_team(team, self.sums_task, &sums, ceil_div(sums.cols, COLUMNS_PER_TASK), EVENLY)
        self.multiply(&product, team)


cdef Job linear_forward(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single, Ending activation):
    cdef Forward job = Forward()
    job.set_up("linear", n, outputs, inputs, single, [
        ("x", "in", (n, inputs)), ("weight", "weight", (outputs, inputs)), ("bias", "optional", (outputs,)),
        ("y", "out", (n, outputs)),
    ])
    job.product.a, job.product.b = Matrix(NULL, inputs, 1), Matrix(NULL, 1, inputs)
    job.product.activation = activation
    if n <= ROWS_OF_DOTS:
        job.task = <Task>dots_task[float] if single else <Task>dots_task[double]
        job.schedule, job.product.tasks = EVENLY, ceil_div(outputs, OUTPUTS_PER_TASK)
        job.scratch, job.cost = 0, STREAM_NANOSECONDS * n * inputs * outputs
    return job


cdef Job linear_dx(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single):
    cdef DataGradient job = DataGradient()
    job.set_up("linear_dx", n, inputs, outputs, single, [
        ("dy", "in", (n, outputs)), ("weight", "weight", (outputs, inputs)), ("dx", "out", (n, inputs)),
    ])
    job.product.a, job.product.b = Matrix(NULL, outputs, 1), Matrix(NULL, inputs, 1)
    return job


cdef Job linear_dweight(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single):
    cdef WeightGradient job = WeightGradient()
    job.set_up("linear_dweight", outputs, inputs, n, single, [
        ("dy", "in", (n, outputs)), ("x", "in", (n, inputs)), ("dweight", "out", (outputs, inputs)),
        ("dbias", "out", (outputs,)),
    ])
    job.product.a, job.product.b = Matrix(NULL, 1, outputs), Matrix(NULL, inputs, 1)
    job.sums_task = <Task>column_sums_task[float] if single else <Task>column_sums_task[double]
    return job


cdef void dots_task(const Product *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """A few outputs for every row of x."""
    cdef Py_ssize_t first = task * OUTPUTS_PER_TASK, end = min(p.cols, (task + 1) * OUTPUTS_PER_TASK), i, j
    cdef const real *x = <const real *>p.a.data
    cdef const real *weight = <const real *>p.b.data
    cdef const real *bias = <const real *>p.bias
    cdef real *y = <real *>p.c
    for j in range(first, end):
        for i in range(p.rows):
            y[i * p.cols + j] = <real>kernels_for(y).dot(p.k, x + i * p.k, weight + j * p.k)
            if bias != NULL:
                y[i * p.cols + j] += bias[j]
    finish_rows(p.rows, p.cols, end - first, <const real *>NULL, p.activation, y + first)


cdef struct ColumnSums:
    Py_ssize_t rows, cols
    const void *x               # IN   (rows, cols)
    void *sums                  # OUT  (cols,)


cdef void column_sums_task(const ColumnSums *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """A few columns, row by row, in double."""
    cdef double totals[COLUMNS_PER_TASK]
    cdef Py_ssize_t first = task * COLUMNS_PER_TASK, count = min(<Py_ssize_t>COLUMNS_PER_TASK, job.cols - first), i, j
    cdef const real *x = <const real *>job.x + first
    cdef real *sums = <real *>job.sums + first
    memset(totals, 0, sizeof(totals))
    for i in range(job.rows):
        for j in range(count):
            totals[j] += x[i * job.cols + j]
    for j in range(count):
        sums[j] = <real>totals[j]
