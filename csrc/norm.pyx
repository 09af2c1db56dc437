# Batch normalisation.
#
# Design:
# A task is one channel: its sums and its normalisation follow each other while the channel is in the cache. The variance
# is taken about the mean, in a pass of its own, and freed of what rounding left in the mean: one pass over x - x[0]
# would lose all digits when x[0] is an outlier. Sums over a plane are made in vector lanes, sums over planes in double,
# always in the same order. Plain features (l = 1) are turned around first, so that a channel is a row.

from libc.math cimport sqrt


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps):
    y, mean, inv_std = empty_like(x), empty((x.shape[1],), x), empty((x.shape[1],), x)
    if not training:
        mean[...] = running_mean
        np.divide(1, np.sqrt(running_var + x.dtype.type(eps)), out=inv_std)
        if x.size and x.shape[2] == 1:
            _normalise_features(x[:, :, 0], weight, bias, mean, inv_std, y[:, :, 0])
        elif x.size:
            _normalise(x, weight, bias, mean, inv_std, y)
    elif x.size and x.shape[2] == 1:
        turned = turned_features(x)
        _batch_norm_training(turned, weight, bias, running_mean, running_var, momentum, eps, turned, mean, inv_std)
        _turn(turned[0], y[:, :, 0])
    elif x.size:
        _batch_norm_training(x, weight, bias, running_mean, running_var, momentum, eps, y, mean, inv_std)
    else:
        mean[...] = 0
        inv_std[...] = 1 / np.sqrt(x.dtype.type(eps)) if eps else np.inf
    return y, mean, inv_std


def _normalise(
    const real[:, :, ::1] x,        # IN   (n, c, l)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    real[:, :, ::1] y,              # OUT  (n, c, l)
):
    cdef Py_ssize_t c
    cdef int threads = threads_for(0.3 * x.shape[0] * x.shape[1] * x.shape[2])
    for c in prange(x.shape[1], nogil=True, schedule="static", num_threads=threads):
        normalise_channel(
            x.shape[0], x.shape[1], x.shape[2], &x[0, c, 0], mean[c],
            inv_std[c] * weight[c] if weight is not None else inv_std[c], bias[c] if bias is not None else 0,
            &y[0, c, 0],
        )


cdef void normalise_channel(
    Py_ssize_t n, Py_ssize_t c, Py_ssize_t length, const real *x, real mean, real scale, real shift, real *y
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        kernels_for(x).affine(length, x + i * c * length, mean, scale, shift, y + i * c * length)


def _batch_norm_training(
    const real[:, :, ::1] x,        # IN   (n, c, l)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    real[::1] running_mean,         # INOUT (c,), or None
    real[::1] running_var,          # INOUT (c,), or None
    double momentum,
    double eps,
    real[:, :, ::1] y,              # OUT  (n, c, l)
    real[::1] mean,                 # OUT  (c,)
    real[::1] inv_std,              # OUT  (c,)
):
    cdef Py_ssize_t c, n = x.shape[0], channels = x.shape[1], length = x.shape[2]
    cdef double m = <double>n * length, variance
    cdef int threads = threads_for(0.6 * x.shape[0] * x.shape[1] * x.shape[2])
    for c in prange(channels, nogil=True, schedule="static", num_threads=threads):
        mean[c] = <real>(channel_sum(n, channels, length, &x[0, c, 0]) / m)
        variance = channel_variance(n, channels, length, &x[0, c, 0], mean[c])
        inv_std[c] = <real>(1 / sqrt(variance + eps))
        if running_mean is not None:
            running_mean[c] += <real>(momentum * (mean[c] - running_mean[c]))
        if running_var is not None:
            running_var[c] += <real>(momentum * (variance * (m / (m - 1)) - running_var[c]))
        normalise_channel(
            n, channels, length, &x[0, c, 0], mean[c],
            inv_std[c] * weight[c] if weight is not None else inv_std[c], bias[c] if bias is not None else 0,
            &y[0, c, 0],
        )


cdef double channel_variance(Py_ssize_t n, Py_ssize_t c, Py_ssize_t length, const real *x, real mean) noexcept nogil:
    cdef double total = 0, squares = 0, m = <double>n * length
    cdef Py_ssize_t i
    for i in range(n):
        row_moments(length, x + i * c * length, mean, &total, &squares)
    return (squares - total * total / m) / m


def batch_norm_backward(dy, x, weight, mean, inv_std, training):
    dx, dweight, dbias = empty_like(x), zeros((x.shape[1],), x), zeros((x.shape[1],), x)
    if x.size and x.shape[2] == 1:
        turned = turned_features(dy)
        _batch_norm_backward(turned, turned_features(x), weight, mean, inv_std, training, turned, dweight, dbias)
        _turn(turned[0], dx[:, :, 0])
    elif x.size:
        _batch_norm_backward(dy, x, weight, mean, inv_std, training, dx, dweight, dbias)
    return dx, dweight, dbias


def _batch_norm_backward(
    const real[:, :, ::1] dy,       # IN   (n, c, l)
    const real[:, :, ::1] x,        # IN   (n, c, l)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    bint training,
    real[:, :, ::1] dx,             # OUT  (n, c, l)
    real[::1] dweight,              # OUT  (c,)
    real[::1] dbias,                # OUT  (c,)
):
    cdef Py_ssize_t c, n = x.shape[0], channels = x.shape[1], length = x.shape[2]
    cdef int threads = threads_for(0.6 * x.shape[0] * x.shape[1] * x.shape[2])
    for c in prange(channels, nogil=True, schedule="static", num_threads=threads):
        channel_backward(
            n, channels, length, &dy[0, c, 0], &x[0, c, 0], weight[c] if weight is not None else 1,
            mean[c], inv_std[c], training, &dx[0, c, 0], &dweight[c], &dbias[c],
        )


cdef void channel_backward(
    Py_ssize_t n, Py_ssize_t c, Py_ssize_t length, const real *dy, const real *x, real weight, real mean,
    real inv_std, bint training, real *dx, real *dweight, real *dbias,
) noexcept nogil:
    """The two sums, then dx = a*dy + b*(x - mean) + shift with factors made of them; not training, dx = a*dy."""
    cdef double total = 0, products = 0, m = <double>n * length, a = weight * inv_std
    cdef Py_ssize_t i
    for i in range(n):
        row_comoments(length, x + i * c * length, mean, dy + i * c * length, &total, &products)
    dweight[0] = <real>(products * inv_std)
    dbias[0] = <real>total
    for i in range(n):
        if training:
            kernels_for(x).blend(
                length, dy + i * c * length, <real>a, x + i * c * length, mean,
                <real>(-a * inv_std * inv_std * products / m), <real>(-a * total / m), dx + i * c * length,
            )
        else:
            kernels_for(x).affine(length, dy + i * c * length, 0, <real>a, 0, dx + i * c * length)


def _normalise_features(
    const real[:, ::1] x,           # IN   (n, c)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    real[:, ::1] y,                 # OUT  (n, c)
):
    """Row by row: a row is side by side in memory, a channel is not."""
    cdef Py_ssize_t i, j
    cdef Block block = take(2 * x.shape[1] * sizeof(real))
    cdef real *scale = <real *>block.data
    cdef real *shift = scale + x.shape[1]
    for j in range(x.shape[1]):
        scale[j] = inv_std[j] * weight[j] if weight is not None else inv_std[j]
        shift[j] = bias[j] if bias is not None else 0
    cdef int threads = threads_for(0.3 * x.shape[0] * x.shape[1])
    for i in prange(x.shape[0], nogil=True, schedule="static", num_threads=threads):
        for j in range(x.shape[1]):
            y[i, j] = (x[i, j] - mean[j]) * scale[j] + shift[j]


cdef object turned_features(x):
    """(n, c, 1) as (1, c, n)."""
    turned = empty((1, x.shape[1], x.shape[0]), x)
    _turn(x[:, :, 0], turned[0])
    return turned


cdef enum:
    TURN_BLOCK = 16                 # a cache line of floats, both ways


def _turn(
    const real[:, ::1] x,           # IN   (rows, columns)
    real[:, ::1] y,                 # OUT  (columns, rows)
):
    """Transpose, block by block."""
    cdef Py_ssize_t rows = x.shape[0], columns = x.shape[1], task
    cdef int threads = threads_for(0.6 * rows * columns)
    for task in prange(ceil_div(columns, TURN_BLOCK), nogil=True, schedule="static", num_threads=threads):
        turn_columns(rows, columns, task * TURN_BLOCK, min(columns, (task + 1) * TURN_BLOCK), &x[0, 0], &y[0, 0])


cdef void turn_columns(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t first, Py_ssize_t last, const real *x, real *y
) noexcept nogil:
    cdef Py_ssize_t block, i, j
    for block in range(ceil_div(rows, TURN_BLOCK)):
        for j in range(first, last):
            for i in range(block * TURN_BLOCK, min(rows, (block + 1) * TURN_BLOCK)):
                y[j * rows + i] = x[i * columns + j]
