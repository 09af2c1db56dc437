# Sums of long rows: pieces in vector lanes of their own type, the pieces in double.

cdef enum:
    PIECE = 4096            # elements: short enough that float lanes stay exact to a few bits


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


def _channel_sums(
    const real[:, :, ::1] x,        # IN   (n, c, l)
    real[::1] sums,                 # OUT  (c,)
):
    """Sum of every channel over all samples and positions."""
    cdef Py_ssize_t c
    cdef int threads = threads_for(0.1 * x.shape[0] * x.shape[1] * x.shape[2])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for c in prange(x.shape[1], schedule="static"):
            sums[c] = <real>channel_sum(x.shape[0], x.shape[1], x.shape[2], &x[0, c, 0])
        restore_denormals()


cdef double channel_sum(Py_ssize_t n, Py_ssize_t c, Py_ssize_t length, const real *x) noexcept nogil:
    """Sum of one channel; x is its first element."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += row_sum(length, x + i * c * length)
    return total
