"""Windows of an image as a matrix (gather.pyx)."""

from kernels cimport real

from .geometry cimport Geometry

cdef void gather_windows(
    const Geometry *geometry, Py_ssize_t first, Py_ssize_t count, Py_ssize_t term, Py_ssize_t k, const real *x,
    real *windows, Py_ssize_t width
) noexcept nogil
