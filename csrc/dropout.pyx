"""Dropout. The mask is a function of (seed, call, index), so a task is any piece of the flat array; the formula is in
cnnx/backends/reference/dropout.py."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from arrays cimport data_of, is_single, itemsize_of, size_of
from costs cimport DROPOUT_NANOSECONDS, ELEMENTS_PER_TASK
from kernels cimport kernels_for, real
from .memory cimport empty_like
from .parallel cimport EVENLY, Task, ceil_div, run_tasks

cdef struct Dropout:
    Py_ssize_t n
    double p
    uint64_t seed, call
    const void *x                   # IN
    void *y                         # OUT  as x


def dropout(x, p, seed, call):
    y = empty_like(x)
    cdef Dropout job = Dropout(size_of(x), p, seed, call, data_of(x), data_of(y))
    if job.p == 1:
        memset(job.y, 0, job.n * itemsize_of(y))
        return y
    run_tasks(
        <Task>dropout_task[float] if is_single(x) else <Task>dropout_task[double], &job,
        ceil_div(job.n, ELEMENTS_PER_TASK), EVENLY, DROPOUT_NANOSECONDS * job.n,
    )
    return y


def dropout_backward(dy, p, seed, call):
    return dropout(dy, p, seed, call)


cdef void dropout_task(const Dropout *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """One piece. Each block of 2^32 elements has its own key: ELEMENTS_PER_TASK, a power of two, divides it."""
    cdef uint64_t first = <uint64_t>task * ELEMENTS_PER_TASK, block = first >> 32
    cdef uint64_t key = splitmix64(splitmix64(job.seed) + job.call + <uint64_t>0x9E3779B97F4A7C15 * block)
    cdef const real *x = <const real *>job.x + first
    kernels_for(x).dropout(
        min(<Py_ssize_t>ELEMENTS_PER_TASK, job.n - <Py_ssize_t>first), <uint32_t>first, <uint32_t>key,
        <uint32_t>(key >> 32), <uint32_t>(job.p * 4294967296.0), <real>(1 / (1 - job.p)), x, <real *>job.y + first,
    )


cdef uint64_t splitmix64(uint64_t z) noexcept nogil:
    z += <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)
