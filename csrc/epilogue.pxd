"""The epilogue of a convolution or a matrix product (epilogue.pyx)."""

from kernels cimport Ending, real

cdef Ending ending(activation) except *
cdef void finish_rows(
    Py_ssize_t rows, Py_ssize_t row_stride, Py_ssize_t n, const real *add, Ending activation, real *y
) noexcept nogil
cdef int finish_array(y, add, activation) except -1
