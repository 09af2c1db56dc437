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


cdef void row_moments(Py_ssize_t n, const real *x, real center, double *total, double *squares) noexcept nogil:
    """Add the row's sums of x - center and of its square."""
    cdef double piece_sum, piece_squares
    cdef Py_ssize_t piece, i
    for piece in range(ceil_div(n, PIECE)):
        i = piece * PIECE
        kernels_for(x).moments(min(<Py_ssize_t>PIECE, n - i), x + i, center, &piece_sum, &piece_squares)
        total[0] += piece_sum
        squares[0] += piece_squares


cdef void row_comoments(
    Py_ssize_t n, const real *x, real center, const real *y, double *total, double *products
) noexcept nogil:
    """Add the row's sums of y and of y * (x - center)."""
    cdef double piece_sum, piece_products
    cdef Py_ssize_t piece, i
    for piece in range(ceil_div(n, PIECE)):
        i = piece * PIECE
        kernels_for(x).comoments(min(<Py_ssize_t>PIECE, n - i), x + i, center, y + i, &piece_sum, &piece_products)
        total[0] += piece_sum
        products[0] += piece_products


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
