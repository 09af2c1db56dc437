# Batch normalisation of channels of planes; plain features (l = 1) are in norm_features.pyx.
#
# Design:
# A task is a channel, or some neighbours where planes are so small that one would be a scattered handful of numbers.
# Its sums and its normalisation follow each other while the channel is in the cache; the second pass goes backwards,
# for the images that were read last are the nearest. One pass makes both moments about a center: the mean of the first
# images. About x[0] all digits would be lost where that is an outlier; about the mean of a part of the values, at least
# the share 1/k of them, the squares are at most k + 1 times the variance, whatever the values are. Sums are made in
# vector lanes up to PIECE elements, then in double, always in the same order.

from libc.math cimport isfinite, sqrt

cdef enum:
    CHANNELS_PER_TASK = 16
    TASK_PIXELS = 256           # neighbours, until a row of the task is this long: 1 KB
    CENTER_PIXELS = 256         # of a channel, for its center
    PARTIALS_SIZE = 2 * CHANNELS_PER_TASK * CNNX_MAX_LANES


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add):
    y, mean, inv_std = empty_like(x), empty((x.shape[1],), x), empty((x.shape[1],), x)
    flat = x.shape[2] == 1
    if not training:
        mean[...] = running_mean
        np.divide(1, np.sqrt(running_var + x.dtype.type(eps)), out=inv_std)
    elif not x.size:
        mean[...] = 0
        inv_std[...] = 1 / np.sqrt(x.dtype.type(eps)) if eps else np.inf
    elif flat:
        _feature_statistics(x[:, :, 0], running_mean, running_var, momentum, eps, mean, inv_std)
    if x.size and flat:
        _normalise_features(
            x[:, :, 0], weight, bias, mean, inv_std, activation, None if add is None else add[:, :, 0], y[:, :, 0]
        )
    elif x.size:
        _batch_norm(
            x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add, y, mean, inv_std
        )
    return y, mean, inv_std


def batch_norm_backward(dy, x, weight, mean, inv_std, training, bias, activation):
    dx, dweight, dbias = empty_like(x), zeros((x.shape[1],), x), zeros((x.shape[1],), x)
    if x.size and x.shape[2] == 1:
        _features_backward(
            dy[:, :, 0], x[:, :, 0], weight, bias, mean, inv_std, training, activation, dx[:, :, 0], dweight, dbias
        )
    elif x.size:
        _batch_norm_backward(dy, x, weight, bias, mean, inv_std, training, activation, dx, dweight, dbias)
    return dx, dweight, dbias


cdef Py_ssize_t channels_per_task(Py_ssize_t pixels) noexcept nogil:
    return min(<Py_ssize_t>CHANNELS_PER_TASK, ceil_div(TASK_PIXELS, pixels))


def _batch_norm(
    const real[:, :, ::1] x,        # IN   (n, c, l)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    real[::1] running_mean,         # INOUT (c,), or None
    real[::1] running_var,          # INOUT (c,), or None
    bint training,
    double momentum,
    double eps,
    activation,
    const real[:, :, ::1] add,      # IN   as x, or None
    real[:, :, ::1] y,              # OUT  (n, c, l)
    real[::1] mean,                 # OUT  (c,); not training, IN
    real[::1] inv_std,              # OUT  (c,); not training, IN
):
    cdef Py_ssize_t task, first, some = channels_per_task(x.shape[2])
    cdef Ending last = ending(activation)
    cdef int threads = threads_for((0.4 if training else 0.2) * x.shape[0] * x.shape[1] * x.shape[2])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(x.shape[1], some), schedule="static"):
            first = task * some
            if training:
                block_statistics(
                    x, first, min(some, x.shape[1] - first), running_mean, running_var, momentum, eps, mean, inv_std
                )
            normalise_block(
                x, first, min(some, x.shape[1] - first), weight, bias, mean, inv_std, last, add, y
            )
        restore_denormals()


cdef void block_statistics(
    const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, real[::1] running_mean, real[::1] running_var,
    double momentum, double eps, real[::1] mean, real[::1] inv_std,
) noexcept nogil:
    cdef Py_ssize_t n = x.shape[0], pixels = x.shape[2], j, c
    cdef Py_ssize_t images = min(n, ceil_div(CENTER_PIXELS, pixels)), some = min(pixels, <Py_ssize_t>CENTER_PIXELS)
    cdef double m = <double>n * pixels, shift
    cdef real[CHANNELS_PER_TASK] center
    cdef double[CHANNELS_PER_TASK] totals
    cdef double[CHANNELS_PER_TASK] squares
    memset(center, 0, sizeof(center))
    block_moments(images, x.shape[1] * pixels, channels, some, &x[0, first, 0], center, totals, squares)
    for j in range(channels):
        shift = totals[j] / (<double>images * some)
        center[j] = <real>shift if isfinite(shift) else 0
    block_moments(n, x.shape[1] * pixels, channels, pixels, &x[0, first, 0], center, totals, squares)
    for j in range(channels):
        c = first + j
        shift = totals[j] / m
        mean[c] = <real>(center[j] + shift)
        inv_std[c] = finish_channel(
            (squares[j] - totals[j] * shift) / m, m, mean[c], eps, momentum,
            &running_mean[c] if running_mean is not None else NULL,
            &running_var[c] if running_var is not None else NULL,
        )


cdef void block_moments(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t pixels, const real *x, const real *center,
    double *totals, double *squares,
) noexcept nogil:
    """The sums of x - center and of its square, over the first pixels of every plane."""
    cdef real[PARTIALS_SIZE] partial
    cdef Py_ssize_t i, piece, start, n, since = 0
    memset(partial, 0, sizeof(partial))
    memset(totals, 0, channels * sizeof(double))
    memset(squares, 0, channels * sizeof(double))
    for i in range(images):
        for piece in range(ceil_div(pixels, PIECE)):
            start = piece * PIECE
            n = min(<Py_ssize_t>PIECE, pixels - start)
            kernels_for(x).plane_moments(
                channels, n, x + i * step + start, center, step if i + 1 < images else 0, partial
            )
            since += n
            if since >= PIECE:
                kernels_for(x).fold(channels, partial, totals, squares)
                since = 0
    kernels_for(x).fold(channels, partial, totals, squares)


cdef real finish_channel(
    double variance, double m, real mean, double eps, double momentum, real *running_mean, real *running_var
) noexcept nogil:
    """The inverse standard deviation of a channel; updates its running statistics, where there are any."""
    if variance < 0:
        variance = 0                # by rounding; NaN stays
    if running_mean != NULL:
        running_mean[0] += <real>(momentum * (mean - running_mean[0]))
    if running_var != NULL:
        running_var[0] += <real>(momentum * (variance * (m / (m - 1)) - running_var[0]))
    return <real>(1 / sqrt(variance + eps))


cdef void affine_of(
    Py_ssize_t channels, Py_ssize_t first, const real[::1] weight, const real[::1] bias, const real[::1] inv_std,
    real *scale, real *shift,
) noexcept nogil:
    """What makes y of x - mean: scale and shift of some channels."""
    cdef Py_ssize_t j
    for j in range(channels):
        scale[j] = inv_std[first + j] * weight[first + j] if weight is not None else inv_std[first + j]
        shift[j] = bias[first + j] if bias is not None else 0


cdef void normalise_block(
    const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real[::1] weight, const real[::1] bias,
    const real[::1] mean, const real[::1] inv_std, Ending activation, const real[:, :, ::1] add, real[:, :, ::1] y,
) noexcept nogil:
    cdef Py_ssize_t i, step = x.shape[1] * x.shape[2]
    cdef real[CHANNELS_PER_TASK] scale
    cdef real[CHANNELS_PER_TASK] shift
    affine_of(channels, first, weight, bias, inv_std, scale, shift)
    for i in range(x.shape[0] - 1, -1, -1):
        kernels_for(&y[0, 0, 0]).normalise(
            channels, x.shape[2], &x[i, first, 0], &mean[first], scale, shift,
            &add[i, first, 0] if add is not None else NULL, activation,
            -step if i > 0 else 0, &y[i, first, 0],
        )


def _batch_norm_backward(
    const real[:, :, ::1] dy,       # IN   (n, c, l)
    const real[:, :, ::1] x,        # IN   (n, c, l)
    const real[::1] weight,         # IN   (c,), or None
    const real[::1] bias,           # IN   (c,), or None
    const real[::1] mean,           # IN   (c,)
    const real[::1] inv_std,        # IN   (c,)
    bint training,
    activation,
    real[:, :, ::1] dx,             # OUT  (n, c, l)
    real[::1] dweight,              # OUT  (c,)
    real[::1] dbias,                # OUT  (c,)
):
    cdef Py_ssize_t task, first, some = channels_per_task(x.shape[2])
    cdef Ending last = ending(activation)
    cdef int threads = threads_for(0.5 * x.shape[0] * x.shape[1] * x.shape[2])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(x.shape[1], some), schedule="static"):
            first = task * some
            block_backward(
                dy, x, first, min(some, x.shape[1] - first), weight, bias, mean, inv_std, training, last, dx, dweight,
                dbias,
            )
        restore_denormals()


cdef void block_backward(
    const real[:, :, ::1] dy, const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real[::1] weight,
    const real[::1] bias, const real[::1] mean, const real[::1] inv_std, bint training, Ending activation,
    real[:, :, ::1] dx, real[::1] dweight, real[::1] dbias,
) noexcept nogil:
    """The two sums, then dx, with factors made of them."""
    cdef Py_ssize_t i, j, c, pixels = x.shape[2], step = x.shape[1] * pixels
    cdef double m = <double>x.shape[0] * pixels
    cdef double[CHANNELS_PER_TASK] totals
    cdef double[CHANNELS_PER_TASK] products
    cdef real[CHANNELS_PER_TASK] scale
    cdef real[CHANNELS_PER_TASK] shift
    cdef real[CHANNELS_PER_TASK] slope
    cdef real[CHANNELS_PER_TASK] offset
    affine_of(channels, first, weight, bias, inv_std, scale, shift)
    block_comoments(
        dy, x, first, channels, &mean[first], <const real *>scale, <const real *>shift, activation, totals, products
    )
    for j in range(channels):
        c = first + j
        dweight[c] = <real>(products[j] * inv_std[c])
        dbias[c] = <real>totals[j]
        slope[j] = <real>(-<double>scale[j] * inv_std[c] * inv_std[c] * products[j] / m)
        offset[j] = <real>(-<double>scale[j] * totals[j] / m)
    for i in range(x.shape[0] - 1, -1, -1):
        kernels_for(&dx[0, 0, 0]).normalise_backward(
            channels, pixels, &dy[i, first, 0], &x[i, first, 0], &mean[first], scale, shift, activation, training,
            slope, offset, -step if i > 0 else 0, &dx[i, first, 0],
        )


cdef void block_comoments(
    const real[:, :, ::1] dy, const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real *mean,
    const real *scale, const real *shift, Ending activation, double *totals, double *products,
) noexcept nogil:
    """The sums of dy, where the activation gives it on, and of its product with x - mean."""
    cdef real[PARTIALS_SIZE] partial
    cdef Py_ssize_t i, piece, start, n, since = 0, pixels = x.shape[2]
    memset(partial, 0, sizeof(partial))
    memset(totals, 0, channels * sizeof(double))
    memset(products, 0, channels * sizeof(double))
    for i in range(x.shape[0]):
        for piece in range(ceil_div(pixels, PIECE)):
            start = piece * PIECE
            n = min(<Py_ssize_t>PIECE, pixels - start)
            kernels_for(mean).plane_comoments(
                channels, n, &dy[i, first, start], &x[i, first, start], mean, scale, shift, activation,
                x.shape[1] * pixels if i + 1 < x.shape[0] else 0, partial,
            )
            since += n
            if since >= PIECE:
                kernels_for(mean).fold(channels, partial, totals, products)
                since = 0
    kernels_for(mean).fold(channels, partial, totals, products)
