"""Leaky ReLU with a trainable slope for each channel.

# Design:
# x is (n, c, l), and a task is a plane (image, channel) or a piece of a long one. In backward each task also leaves
# its sum for the gradient of the slope; those of a channel are then added in order, so that the number of threads does
# not matter. A single slope is that of one channel: all of x is one plane.
"""

from arrays cimport data_of, is_single, shape_of
from costs cimport MEMORY_NANOSECONDS
from kernels cimport kernels_for, real
from .memory cimport Block, empty, empty_like, take
from .parallel cimport EVENLY, Task, ceil_div, run_tasks
from .sums cimport PIECE

cdef struct Planes:
    Py_ssize_t n, channels, length
    Py_ssize_t pieces               # of a plane
    const void *x                   # IN   (n, channels, length)
    const void *dy                  # IN   as x; NULL: forward
    const void *weight              # IN   (channels,)
    void *y                         # OUT  as x; backward: dx
    double *sums                    # OUT  (n, channels, pieces)
    void *dweight                   # OUT  (channels,)


def prelu(x, weight):
    y = empty_like(x)
    cdef Planes job = planes_of(x, None, weight, y, None)
    run(&job, <Task>plane_task[float] if is_single(x) else <Task>plane_task[double])
    return y


def prelu_backward(dy, x, weight):
    dx, dweight = empty_like(x), empty((len(weight),), x)
    cdef Planes job = planes_of(x, dy, weight, dx, dweight)
    cdef Block sums = take((job.n * job.channels * job.pieces + 1) * sizeof(double))
    job.sums = <double *>sums.data
    run(&job, <Task>plane_task[float] if is_single(x) else <Task>plane_task[double])
    if is_single(x):
        add_up(&job, <float *>job.dweight)
    else:
        add_up(&job, <double *>job.dweight)
    return dx, dweight


cdef Planes planes_of(x, dy, weight, y, dweight):
    cdef const Py_ssize_t *shape = shape_of(x)
    return Planes(
        shape[0], shape[1], shape[2], ceil_div(shape[2], PIECE), data_of(x), data_of(dy), data_of(weight), data_of(y),
        NULL, data_of(dweight),
    )


cdef int run(const Planes *job, Task task) except -1:
    return run_tasks(
        task, job, job.n * job.channels * job.pieces, EVENLY, MEMORY_NANOSECONDS * job.n * job.channels * job.length
    )


cdef void plane_task(const Planes *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t plane = task // job.pieces, first = task % job.pieces * PIECE
    cdef Py_ssize_t at = plane * job.length + first, n = min(<Py_ssize_t>PIECE, job.length - first)
    cdef const real *x = <const real *>job.x + at
    cdef real *y = <real *>job.y + at
    cdef real slope = (<const real *>job.weight)[plane % job.channels]
    if job.dy == NULL:
        kernels_for(x).leaky_relu(n, x, slope, y)
    else:
        job.sums[task] = kernels_for(x).prelu_backward(n, <const real *>job.dy + at, x, slope, y)


cdef void add_up(const Planes *job, real *dweight) noexcept nogil:
    cdef Py_ssize_t channel, i, piece
    cdef double sum
    for channel in range(job.channels):
        sum = 0
        for i in range(job.n):
            for piece in range(job.pieces):
                sum += job.sums[(i * job.channels + channel) * job.pieces + piece]
        dweight[channel] = <real>sum
