# The end of a convolution or a matrix product: y = activation(y + add), while that part of y is in the cache.
#
# Design:
# Whoever owns a part of y (a band of rows of a convolution, a task of the GEMM) calls `finish_rows` on it once, after
# its last sum. The order, sum with the bias, then `add`, then the activation, is that of separate ops: the same bits.

cdef dict ENDINGS = {None: NO_ACTIVATION}      # name of an op: its Ending
while cnnx_ending_name(len(ENDINGS)) != NULL:
    ENDINGS[(<bytes>cnnx_ending_name(len(ENDINGS))).decode()] = len(ENDINGS)


cdef Ending ending(activation) except *:
    """The activation that has this name."""
    return <Ending><int>ENDINGS[activation]


cdef void finish_rows(
    Py_ssize_t rows,
    Py_ssize_t row_step,        # elements from one row of y, or add, to the next
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
            kernels_for(y).add(n, add + i * row_step, y + i * row_step)
        if activation != NO_ACTIVATION:
            kernels_for(y).activate(activation, n, y + i * row_step, y + i * row_step)


def _finish(
    real[::1] y,                    # INOUT
    const real[::1] add,            # IN   as y, or None
    activation,
):
    """All of y, where there were no sums to make. (y is first: by it the function for its type is chosen.)"""
    if y.shape[0]:
        finish_rows(1, 0, y.shape[0], &add[0] if add is not None else NULL, ending(activation), &y[0])
