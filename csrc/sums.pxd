"""Sums of long rows (sums.pyx)."""

from kernels cimport real

cdef enum:
    PIECE = 4096            # elements: short enough that float lanes stay exact to a few bits

cdef double row_sum(Py_ssize_t n, const real *x) noexcept nogil
cdef double row_dot(Py_ssize_t n, const real *x, const real *y) noexcept nogil
cdef void row_sums(Py_ssize_t rows, Py_ssize_t n, const real *x, double *sums) noexcept nogil
cdef int channel_sums(x, sums) except -1
