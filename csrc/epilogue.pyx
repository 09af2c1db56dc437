"""The epilogue of a convolution or a matrix product: y = activation(y + add), while that part of y is in the cache.

# Design:
# Whoever owns a part of y (a band of rows of a convolution, a task of the GEMM) calls `finish_rows` on it once, after
# its last sum. The order, sum with the bias, then `add`, then the activation, is that of separate ops: the same bits.
"""

from arrays cimport data_of, is_single, size_of
from kernels cimport NO_ACTIVATION, Ending, cnnx_ending_name, kernels_for, real

cdef dict ENDINGS = {None: NO_ACTIVATION}      # name of an op: its Ending
while cnnx_ending_name(len(ENDINGS)) != NULL:
    ENDINGS[(<bytes>cnnx_ending_name(len(ENDINGS))).decode()] = len(ENDINGS)


cdef Ending ending(activation) except *:
    """The activation that has this name."""
    return <Ending><int>ENDINGS[activation]


cdef void finish_rows(
    Py_ssize_t rows,
    Py_ssize_t row_stride,      # elements, of y and add
    Py_ssize_t n,               # elements of a row
    const real *add,            # IN   as y, or NULL
    Ending activation,
    real *y,                    # INOUT
) noexcept nogil:
    cdef Py_ssize_t i
    if add == NULL and activation == NO_ACTIVATION:
        return
    for i in range(rows):
        if add != NULL:
            kernels_for(y).add(n, add + i * row_stride, y + i * row_stride)
        if activation != NO_ACTIVATION:
            kernels_for(y).activate(activation, n, y + i * row_stride, y + i * row_stride)


cdef int finish_array(y, add, activation) except -1:
    """All of y, where there were no sums to compute; add is an array like y, or None."""
    if is_single(y):
        finish_rows(1, 0, size_of(y), <const float *>data_of(add), ending(activation), <float *>data_of(y))
    else:
        finish_rows(1, 0, size_of(y), <const double *>data_of(add), ending(activation), <double *>data_of(y))
    return 0
