"""Sums of long rows: pieces in vector lanes of their own type, the pieces in double."""

from libc.string cimport memset

from arrays cimport data_of, is_single, shape_of
from kernels cimport kernels_for, real
from .parallel cimport EVENLY, Task, ceil_div, run_tasks


cdef double row_sum(Py_ssize_t n, const real *x) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t piece, i
    for piece in range(ceil_div(n, PIECE)):
        i = piece * PIECE
        total += kernels_for(x).sum(min(<Py_ssize_t>PIECE, n - i), x + i)
    return total


cdef double row_dot(Py_ssize_t n, const real *x, const real *y) noexcept nogil:
    """The sum of the products of two rows."""
    cdef double total = 0
    cdef Py_ssize_t piece, i
    for piece in range(ceil_div(n, PIECE)):
        i = piece * PIECE
        total += kernels_for(x).dot(min(<Py_ssize_t>PIECE, n - i), x + i, y + i)
    return total


cdef void row_sums(Py_ssize_t rows, Py_ssize_t n, const real *x, double *sums) noexcept nogil:
    """The same of rows that follow each other."""
    cdef Py_ssize_t piece, i
    memset(sums, 0, rows * sizeof(double))
    for piece in range(ceil_div(n, PIECE)):
        i = piece * PIECE
        kernels_for(x).row_sums(rows, min(<Py_ssize_t>PIECE, n - i), x + i, n, sums)


cdef struct Channels:           # of x (n, channels, length), to be summed
    Py_ssize_t n, channels, length
    const void *x
    void *sums                  # (channels,)


cdef int channel_sums(x, sums) except -1:
    """sums (c,) = the sum of every channel of x (n, c, ...), over all samples and positions."""
    cdef Channels job
    job.n, job.channels = shape_of(x)[0], shape_of(x)[1]
    job.length = x[0, 0].size if x.size else 0
    job.x, job.sums = data_of(x), data_of(sums)
    return run_tasks(
        <Task>channel_task[float] if is_single(x) else <Task>channel_task[double], &job, job.channels, EVENLY,
        0.1 * job.n * job.channels * job.length,
    )


cdef void channel_task(const Channels *job, Py_ssize_t channel, real *scratch) noexcept nogil:
    cdef const real *x = <const real *>job.x + channel * job.length
    cdef real *sums = <real *>job.sums
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(job.n):
        total += row_sum(job.length, x + i * job.channels * job.length)
    sums[channel] = <real>total
