# Batch normalisation of plain features, x (n, c): a row is side by side in memory, a channel is not. So sums are made
# by tasks of a few columns, and the normalisation goes row by row.

cdef enum:
    FEATURES_PER_TASK = 16          # a cache line of floats


def _normalise_features(
    const real[:, ::1] x,           # IN   (n, c)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    activation,
    const real[:, ::1] add,         # IN   as x, or None
    real[:, ::1] y,                 # OUT  (n, c)
):
    cdef Py_ssize_t i, j, c = x.shape[1]
    cdef Ending last = ending(activation)
    cdef Block block = take(2 * c * sizeof(real))
    cdef real *scale = <real *>block.data
    cdef real *shift = scale + c
    affine_of(c, 0, weight, bias, inv_std, scale, shift)
    cdef int threads = threads_for(0.3 * x.shape[0] * c)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for i in prange(x.shape[0], schedule="static"):
            for j in range(c):
                y[i, j] = (x[i, j] - mean[j]) * scale[j] + shift[j]
            finish_rows(1, 0, c, &add[i, 0] if add is not None else NULL, last, &y[i, 0])
        restore_denormals()


def _feature_statistics(
    const real[:, ::1] x,           # IN   (n, c)
    real[::1] running_mean,         # INOUT (c,), or None
    real[::1] running_var,          # INOUT (c,), or None
    double momentum,
    double eps,
    real[::1] mean,                 # OUT  (c,)
    real[::1] inv_std,              # OUT  (c,)
):
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1], task
    cdef int threads = threads_for(0.5 * n * c)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(c, FEATURES_PER_TASK), schedule="static"):
            feature_statistics(
                x, task * FEATURES_PER_TASK, min(c, (task + 1) * FEATURES_PER_TASK), running_mean, running_var,
                momentum, eps, mean, inv_std,
            )
        restore_denormals()


cdef void feature_statistics(
    const real[:, ::1] x, Py_ssize_t first, Py_ssize_t last, real[::1] running_mean, real[::1] running_var,
    double momentum, double eps, real[::1] mean, real[::1] inv_std,
) noexcept nogil:
    """A few columns, twice: their means, then their variances about them."""
    cdef double[FEATURES_PER_TASK] totals
    cdef double[FEATURES_PER_TASK] squares
    cdef double d, m = x.shape[0]
    cdef Py_ssize_t i, j
    memset(totals, 0, sizeof(totals))
    for i in range(x.shape[0]):
        for j in range(first, last):
            totals[j - first] += x[i, j]
    for j in range(first, last):
        mean[j] = <real>(totals[j - first] / m)
    memset(totals, 0, sizeof(totals))
    memset(squares, 0, sizeof(squares))
    for i in range(x.shape[0]):
        for j in range(first, last):
            d = x[i, j] - mean[j]
            totals[j - first] += d
            squares[j - first] += d * d
    for j in range(first, last):
        inv_std[j] = finish_channel(
            (squares[j - first] - totals[j - first] * totals[j - first] / m) / m, m, mean[j], eps, momentum,
            &running_mean[j] if running_mean is not None else NULL,
            &running_var[j] if running_var is not None else NULL,
        )


def _features_backward(
    const real[:, ::1] dy,          # IN   (n, c)
    const real[:, ::1] x,           # IN   (n, c)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    bint training,
    activation,
    real[:, ::1] dx,                # OUT  (n, c)
    real[::1] dweight,              # OUT  (c,)
    real[::1] dbias,                # OUT  (c,)
):
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1], task
    cdef Ending ended = ending(activation)
    cdef int threads = threads_for(0.5 * n * c)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(c, FEATURES_PER_TASK), schedule="static"):
            features_backward(
                dy, x, task * FEATURES_PER_TASK, min(c, (task + 1) * FEATURES_PER_TASK), weight, bias, mean, inv_std,
                training, ended, dx, dweight, dbias,
            )
        restore_denormals()


cdef void features_backward(
    const real[:, ::1] dy, const real[:, ::1] x, Py_ssize_t first, Py_ssize_t last, const real[::1] weight,
    const real[::1] bias, const real[::1] mean, const real[::1] inv_std, bint training, Ending activation,
    real[:, ::1] dx, real[::1] dweight, real[::1] dbias,
) noexcept nogil:
    """A few columns, row by row as channels of one pixel: the two sums, then dx."""
    cdef double[FEATURES_PER_TASK] totals
    cdef double[FEATURES_PER_TASK] products
    cdef real[FEATURES_PER_TASK] scale
    cdef real[FEATURES_PER_TASK] shift
    cdef real[FEATURES_PER_TASK] slope
    cdef real[FEATURES_PER_TASK] offset
    cdef real g
    cdef double m = x.shape[0]
    cdef Py_ssize_t i, j, k
    memset(totals, 0, sizeof(totals))
    memset(products, 0, sizeof(products))
    affine_of(last - first, first, weight, bias, inv_std, scale, shift)
    for i in range(x.shape[0]):
        for j in range(first, last):
            k = j - first
            g = let_through(activation, (x[i, j] - mean[j]) * scale[k] + shift[k], dy[i, j])
            totals[k] += g
            products[k] += g * (x[i, j] - mean[j])
    for j in range(first, last):
        k = j - first
        dweight[j] = <real>(products[k] * inv_std[j])
        dbias[j] = <real>totals[k]
        slope[k] = <real>(-scale[k] * inv_std[j] * inv_std[j] * products[k] / m)
        offset[k] = <real>(-scale[k] * totals[k] / m)
    for i in range(x.shape[0]):
        for j in range(first, last):
            k = j - first
            g = scale[k] * let_through(activation, (x[i, j] - mean[j]) * scale[k] + shift[k], dy[i, j])
            dx[i, j] = g + ((x[i, j] - mean[j]) * slope[k] + offset[k]) if training else g


cdef inline real let_through(Ending activation, real y, real dy) noexcept nogil:
    """dy where the activation gave on what it was given, y; 0 elsewhere."""
    if activation == NO_ACTIVATION:
        return dy
    return 0 if y <= 0 or (activation == END_IN_RELU6 and y >= 6) else dy
