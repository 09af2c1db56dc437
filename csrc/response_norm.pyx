"""Local response normalisation.

# Design:
# x is (n, c, l), and a task is a run of pixels of one image in all channels, as rows of PIXELS elements: what a window
# of channels reads stays in the cache. The squares of a window are added anew for each channel; to subtract those that
# leave it would take less time, but lose all digits next to a large one.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memset

from arrays cimport data_of, is_single, itemsize_of, shape_of
from costs cimport EXPONENTIAL_NANOSECONDS
from kernels cimport kernels_for, real
from .jobs cimport Job
from .memory cimport empty_like
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef enum:
    PIXELS = 256                # of a task: 1 kB of floats a row, long enough for vectors

cdef struct Response:
    Py_ssize_t n, channels, length
    Py_ssize_t size             # channels of a window
    double alpha, beta, k
    const void *x               # IN   (n, channels, length)
    const void *dy              # IN   as x; NULL: forward
    void *y                     # OUT  as x; backward: dx


def local_response_norm(x, size, alpha, beta, k):
    return applied(x, None, size, alpha, beta, k)


def local_response_norm_backward(dy, x, size, alpha, beta, k):
    return applied(x, dy, size, alpha, beta, k)


cdef object applied(x, dy, Py_ssize_t size, double alpha, double beta, double k):
    """y, or, with dy, dx."""
    y = empty_like(x)
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef Response job = Response(
        shape[0], shape[1], shape[2], size, alpha, beta, k, data_of(x), data_of(dy), data_of(y)
    )
    run_tasks(
        task_of(is_single(x), dy is not None), &job, tasks_of(&job), EVENLY, cost_of(&job),
        scratch_of(&job, itemsize_of(x)),
    )
    return y


cdef Py_ssize_t tasks_of(const Response *job) noexcept nogil:
    return job.n * ceil_div(job.length, PIXELS)


cdef double cost_of(const Response *job) noexcept:
    """Nanoseconds."""
    cdef Py_ssize_t reach = min(job.size, job.channels)
    return (2 * EXPONENTIAL_NANOSECONDS + 0.2 * reach) * job.n * job.channels * job.length


cdef size_t scratch_of(const Response *job, size_t item) noexcept:
    """Bytes of a thread."""
    return (job.channels + 2) * PIXELS * item


cdef Task task_of(bint single, bint backward) noexcept:
    if backward:
        return <Task>backward_task[float] if single else <Task>backward_task[double]
    return <Task>forward_task[float] if single else <Task>forward_task[double]


cdef inline Py_ssize_t place(const Response *job, Py_ssize_t task, Py_ssize_t *n) noexcept nogil:
    """Where the pixels of a task begin in x, and how many they are."""
    cdef Py_ssize_t runs = ceil_div(job.length, PIXELS), first = task % runs * PIXELS
    n[0] = min(<Py_ssize_t>PIXELS, job.length - first)
    return task // runs * job.channels * job.length + first


cdef void find_base(
    const Response *job, Py_ssize_t channel, Py_ssize_t n,
    const real *x,              # IN   the pixels of the task in channel 0
    real *base,                 # OUT  (n,) k + alpha / size * sum of the squares in the window
) noexcept nogil:
    cdef Py_ssize_t first = max(<Py_ssize_t>0, channel - job.size // 2), i
    cdef Py_ssize_t end = min(job.channels, channel + (job.size - 1) // 2 + 1)
    memset(base, 0, n * sizeof(real))
    for i in range(first, end):
        kernels_for(x).add_product(n, x + i * job.length, x + i * job.length, base)
    kernels_for(x).affine(n, base, <real>0, <real>(job.alpha / job.size), <real>job.k, base)


cdef void forward_task(const Response *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t n, at = place(job, task, &n), channel
    cdef const real *x = <const real *>job.x + at
    cdef real *y = <real *>job.y + at
    for channel in range(job.channels):
        find_base(job, channel, n, x, scratch)
        kernels_for(x).power(n, scratch, <real>-job.beta, scratch)
        kernels_for(x).times(n, x + channel * job.length, scratch, y + channel * job.length)


cdef void backward_task(const Response *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """First dy * base^-beta, and dy * x * base^(-beta - 1) of all channels; then the sums of these."""
    cdef Py_ssize_t n, at = place(job, task, &n), channel, first, end, i, other
    cdef const real *x = <const real *>job.x + at
    cdef const real *dy = <const real *>job.dy + at
    cdef real *dx = <real *>job.y + at
    cdef real *base = scratch + job.channels * PIXELS
    cdef real *factor = base + PIXELS
    cdef real *row
    for channel in range(job.channels):
        i, row = channel * job.length, scratch + channel * PIXELS
        find_base(job, channel, n, x, base)
        kernels_for(x).power(n, base, <real>-job.beta, factor)
        kernels_for(x).times(n, dy + i, factor, dx + i)
        kernels_for(x).power(n, base, <real>(-job.beta - 1), factor)
        kernels_for(x).times(n, dy + i, x + i, row)
        kernels_for(x).times(n, row, factor, row)
    for channel in range(job.channels):
        i = channel * job.length
        first = max(<Py_ssize_t>0, channel - (job.size - 1) // 2)
        end = min(job.channels, channel + job.size // 2 + 1)
        memset(base, 0, n * sizeof(real))
        for other in range(first, end):
            kernels_for(x).add(n, scratch + other * PIXELS, base)
        kernels_for(x).scaled(n, base, <real>(-2 * job.alpha * job.beta / job.size), base)
        kernels_for(x).add_product(n, x + i, base, dx + i)


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_local_response_norm(tuple x_shape, dtype, size, alpha, beta, k):
    """The job of `local_response_norm`: job.run(x, y), x (n, c, l)."""
    return Forward(x_shape, np.dtype(dtype), size, alpha, beta, k)


@cython.final
cdef class Forward(Job):
    cdef Response response              # with NULL for the arrays
    cdef Task task

    def __init__(self, tuple x_shape, dtype, size, alpha, beta, k):
        n, c, length = x_shape
        self.response = Response(n, c, length, size, alpha, beta, k, NULL, NULL, NULL)
        self.task = task_of(dtype == np.float32, False)
        self.name, self.cost = "response_norm", cost_of(&self.response)
        self.scratch = scratch_of(&self.response, dtype.itemsize)
        self.arrays = Array("x", "in", x_shape, dtype), Array("y", "out", x_shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Response response = self.response
        response.x, response.y = arrays[0], arrays[1]
        run_team(team, self.task, &response, tasks_of(&response), EVENLY)
