# Batch normalisation.
#
# Design:
# A task is one channel: its sums and its normalisation follow each other while the channel is in the cache. The variance
# is taken about the mean, in a pass of its own, and freed of what rounding left in the mean: one pass over x - x[0]
# would lose all digits when x[0] is an outlier. Sums over a plane are made in vector lanes, sums over planes in double,
# always in the same order. Plain features (l = 1) lie the other way: there a task is a few columns, and then rows.

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
        _feature_statistics(x[:, :, 0], running_mean, running_var, momentum, eps, mean, inv_std)
        _normalise_features(x[:, :, 0], weight, bias, mean, inv_std, y[:, :, 0])
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
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for c in prange(x.shape[1], schedule="static"):
            normalise_channel(
                x.shape[0], x.shape[1], x.shape[2], &x[0, c, 0], mean[c],
                inv_std[c] * weight[c] if weight is not None else inv_std[c], bias[c] if bias is not None else 0,
                &y[0, c, 0],
            )
        restore_denormals()


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
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for c in prange(channels, schedule="static"):
            mean[c] = <real>(channel_sum(n, channels, length, &x[0, c, 0]) / m)
            inv_std[c] = finish_channel(
                channel_variance(n, channels, length, &x[0, c, 0], mean[c]), m, mean[c], eps, momentum,
                &running_mean[c] if running_mean is not None else NULL,
                &running_var[c] if running_var is not None else NULL,
            )
            normalise_channel(
                n, channels, length, &x[0, c, 0], mean[c],
                inv_std[c] * weight[c] if weight is not None else inv_std[c], bias[c] if bias is not None else 0,
                &y[0, c, 0],
            )
        restore_denormals()


cdef real finish_channel(
    double variance, double m, real mean, double eps, double momentum, real *running_mean, real *running_var
) noexcept nogil:
    """The inverse standard deviation of a channel; updates its running statistics, where there are any."""
    if running_mean != NULL:
        running_mean[0] += <real>(momentum * (mean - running_mean[0]))
    if running_var != NULL:
        running_var[0] += <real>(momentum * (variance * (m / (m - 1)) - running_var[0]))
    return <real>(1 / sqrt(variance + eps))


cdef double channel_variance(Py_ssize_t n, Py_ssize_t c, Py_ssize_t length, const real *x, real mean) noexcept nogil:
    cdef double total = 0, squares = 0, m = <double>n * length
    cdef Py_ssize_t i
    for i in range(n):
        row_moments(length, x + i * c * length, mean, &total, &squares)
    return (squares - total * total / m) / m


def batch_norm_backward(dy, x, weight, mean, inv_std, training):
    dx, dweight, dbias = empty_like(x), zeros((x.shape[1],), x), zeros((x.shape[1],), x)
    if x.size and x.shape[2] == 1:
        _features_backward(
            dy[:, :, 0], x[:, :, 0], weight, mean, inv_std, training, dx[:, :, 0], dweight, dbias
        )
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
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for c in prange(channels, schedule="static"):
            channel_backward(
                n, channels, length, &dy[0, c, 0], &x[0, c, 0], weight[c] if weight is not None else 1,
                mean[c], inv_std[c], training, &dx[0, c, 0], &dweight[c], &dbias[c],
            )
        restore_denormals()


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
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for i in prange(x.shape[0], schedule="static"):
            for j in range(x.shape[1]):
                y[i, j] = (x[i, j] - mean[j]) * scale[j] + shift[j]
        restore_denormals()


cdef enum:
    FEATURES_PER_TASK = 16          # a cache line of floats


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
                x, task * FEATURES_PER_TASK, min(c, (task + 1) * FEATURES_PER_TASK), running_mean, running_var, momentum,
                eps, mean, inv_std,
            )
        restore_denormals()


cdef void feature_statistics(
    const real[:, ::1] x, Py_ssize_t first, Py_ssize_t last, real[::1] running_mean, real[::1] running_var,
    double momentum, double eps, real[::1] mean, real[::1] inv_std,
) noexcept nogil:
    """A few columns, twice: their means, then their variances about them."""
    cdef double totals[FEATURES_PER_TASK]
    cdef double squares[FEATURES_PER_TASK]
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
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    bint training,
    real[:, ::1] dx,                # OUT  (n, c)
    real[::1] dweight,              # OUT  (c,)
    real[::1] dbias,                # OUT  (c,)
):
    cdef Py_ssize_t n = x.shape[0], c = x.shape[1], task
    cdef int threads = threads_for(0.5 * n * c)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(c, FEATURES_PER_TASK), schedule="static"):
            features_backward(
                dy, x, task * FEATURES_PER_TASK, min(c, (task + 1) * FEATURES_PER_TASK), weight, mean, inv_std, training,
                dx, dweight, dbias,
            )
        restore_denormals()


cdef void features_backward(
    const real[:, ::1] dy, const real[:, ::1] x, Py_ssize_t first, Py_ssize_t last, const real[::1] weight,
    const real[::1] mean, const real[::1] inv_std, bint training, real[:, ::1] dx, real[::1] dweight, real[::1] dbias,
) noexcept nogil:
    """A few columns: the two sums, then dx, as `channel_backward` makes it."""
    cdef double totals[FEATURES_PER_TASK]
    cdef double products[FEATURES_PER_TASK]
    cdef real a[FEATURES_PER_TASK]
    cdef real b[FEATURES_PER_TASK]
    cdef real shift[FEATURES_PER_TASK]
    cdef double m = x.shape[0]
    cdef Py_ssize_t i, j, k
    memset(totals, 0, sizeof(totals))
    memset(products, 0, sizeof(products))
    for i in range(x.shape[0]):
        for j in range(first, last):
            totals[j - first] += dy[i, j]
            products[j - first] += dy[i, j] * (x[i, j] - mean[j])
    for j in range(first, last):
        k = j - first
        dweight[j] = <real>(products[k] * inv_std[j])
        dbias[j] = <real>totals[k]
        a[k] = inv_std[j] * weight[j] if weight is not None else inv_std[j]
        b[k] = <real>(-a[k] * inv_std[j] * inv_std[j] * products[k] / m)
        shift[k] = <real>(-a[k] * totals[k] / m)
    for i in range(x.shape[0]):
        for j in range(first, last):
            k = j - first
            dx[i, j] = dy[i, j] * a[k] + (x[i, j] - mean[j]) * b[k] + shift[k] if training else dy[i, j] * a[k]
