# Batch normalisation.
#
# Design:
# A task is a channel, or, where planes are short, some neighbours taken as columns (norm_columns.pyx). Its sums and its
# normalisation follow each other while it is in the cache; the second pass over planes goes backwards, for the images
# that were read last are the nearest. One pass makes both moments about a center: the mean of the first images. About
# x[0] all digits would be lost where that is an outlier; about the mean of a part of the values, at least the share 1/k
# of them, the squares are at most k + 1 times the variance, whatever the values are. Sums are made in vector lanes up
# to PIECE elements, then in double, always in the same order.

from libc.math cimport isfinite, sqrt

cdef enum:
    SHORT_PLANE = 128           # pixels: shorter ones are taken as columns
    CENTER_PIXELS = 256         # of a longer one, for its center
    CENTER_SHARE = 16           # of short ones, one image in so many


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add):
    y, mean, inv_std = empty_like(x), empty((x.shape[1],), x), empty((x.shape[1],), x)
    if not training:
        mean[...] = running_mean
        np.divide(1, np.sqrt(running_var + x.dtype.type(eps)), out=inv_std)
        running_mean = running_var = None   # they are read only, maybe in memory that can not be written
    elif not x.size:
        mean[...] = 0
        inv_std[...] = 1 / np.sqrt(x.dtype.type(eps)) if eps else np.inf
    if x.size:
        _batch_norm(
            x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add, y, mean, inv_std
        )
    return y, mean, inv_std


def batch_norm_backward(dy, x, weight, mean, inv_std, training, bias, activation):
    dx, dweight, dbias = empty_like(x), zeros((x.shape[1],), x), zeros((x.shape[1],), x)
    if x.size:
        _batch_norm_backward(dy, x, weight, bias, mean, inv_std, training, activation, dx, dweight, dbias)
    return dx, dweight, dbias


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
    cdef Py_ssize_t task, first, some = channels_per_task(x.shape[1], x.shape[2])
    cdef Ending last = ending(activation)
    cdef int threads = threads_for((0.4 if training else 0.2) * x.shape[0] * x.shape[1] * x.shape[2])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(x.shape[1], some), schedule="static"):
            first = task * some
            if training:
                channel_statistics(
                    x, first, min(some, x.shape[1] - first), running_mean, running_var, momentum, eps, mean, inv_std
                )
            normalise_channels(
                x, first, min(some, x.shape[1] - first), weight, bias, mean, inv_std, last, add, y
            )
        restore_denormals()


cdef void channel_statistics(
    const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, real[::1] running_mean, real[::1] running_var,
    double momentum, double eps, real[::1] mean, real[::1] inv_std,
) noexcept nogil:
    cdef Py_ssize_t n = x.shape[0], pixels = x.shape[2], j, c
    cdef Py_ssize_t images = ceil_div(n, CENTER_SHARE) if pixels < SHORT_PLANE else 1
    cdef Py_ssize_t some = min(pixels, <Py_ssize_t>CENTER_PIXELS)
    cdef double m = <double>n * pixels, mean_of = 1 / m, unbiased = m / (m - 1), shift
    cdef real[COLUMNS] center
    cdef double[COLUMNS] totals
    cdef double[COLUMNS] squares
    memset(center, 0, channels * sizeof(real))
    moments(x, images, first, channels, some, center, totals, squares)
    for j in range(channels):
        shift = totals[j] * (1 / (<double>images * some))
        center[j] = <real>shift if isfinite(shift) else 0
    moments(x, n, first, channels, pixels, center, totals, squares)
    for j in range(channels):
        c = first + j
        shift = totals[j] * mean_of
        mean[c] = <real>(center[j] + shift)
        inv_std[c] = finish_channel(
            (squares[j] - totals[j] * shift) * mean_of, unbiased, mean[c], eps, momentum,
            &running_mean[c] if running_mean is not None else NULL,
            &running_var[c] if running_var is not None else NULL,
        )


cdef void moments(
    const real[:, :, ::1] x, Py_ssize_t images, Py_ssize_t first, Py_ssize_t channels, Py_ssize_t pixels,
    const real *center, double *totals, double *squares,
) noexcept nogil:
    """The sums of x - center and of its square, over the first pixels of the planes of the first images."""
    memset(totals, 0, channels * sizeof(double))
    memset(squares, 0, channels * sizeof(double))
    if x.shape[2] < SHORT_PLANE:
        column_moments(images, x.shape[1] * pixels, channels, pixels, &x[0, first, 0], center, totals, squares)
    else:
        plane_moments(images, x.shape[1] * x.shape[2], pixels, &x[0, first, 0], center[0], totals, squares)


cdef void plane_moments(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t pixels, const real *x, real center, double *total, double *square
) noexcept nogil:
    cdef real[2 * CNNX_MAX_LANES] partial
    cdef Py_ssize_t i, piece, start, n, since = 0
    memset(partial, 0, sizeof(partial))
    for i in range(images):
        for piece in range(ceil_div(pixels, PIECE)):
            start = piece * PIECE
            n = min(<Py_ssize_t>PIECE, pixels - start)
            kernels_for(x).plane_moments(n, x + i * step + start, center, step if i + 1 < images else 0, partial)
            since += n
            if since >= PIECE:
                kernels_for(x).fold(partial, total, square)
                since = 0
    kernels_for(x).fold(partial, total, square)


cdef real finish_channel(
    double variance, double unbiased, real mean, double eps, double momentum, real *running_mean, real *running_var
) noexcept nogil:
    """The inverse standard deviation of a channel; updates its running statistics, where there are any."""
    if variance < 0:
        variance = 0                # by rounding; NaN stays
    if running_mean != NULL:
        running_mean[0] += <real>(momentum * (mean - running_mean[0]))
    if running_var != NULL:
        running_var[0] += <real>(momentum * (variance * unbiased - running_var[0]))
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


cdef void normalise_channels(
    const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real[::1] weight, const real[::1] bias,
    const real[::1] mean, const real[::1] inv_std, Ending activation, const real[:, :, ::1] add, real[:, :, ::1] y,
) noexcept nogil:
    cdef Py_ssize_t n = x.shape[0], pixels = x.shape[2], step = x.shape[1] * pixels, i
    cdef const real *more = &add[0, first, 0] if add is not None else NULL
    cdef real[COLUMNS] scale
    cdef real[COLUMNS] shift
    affine_of(channels, first, weight, bias, inv_std, scale, shift)
    if pixels < SHORT_PLANE:
        normalise_columns(
            n, step, channels, pixels, &x[0, first, 0], &mean[first], <const real *>scale, <const real *>shift, more,
            activation, &y[0, first, 0],
        )
        return
    for i in range(n - 1, -1, -1):
        kernels_for(&y[0, 0, 0]).normalise(
            pixels, &x[i, first, 0], mean[first], scale[0], shift[0], more + i * step if more != NULL else NULL,
            activation, -step if i > 0 else 0, &y[i, first, 0],
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
    cdef Py_ssize_t task, first, some = channels_per_task(x.shape[1], x.shape[2])
    cdef Ending last = ending(activation)
    cdef int threads = threads_for(0.5 * x.shape[0] * x.shape[1] * x.shape[2])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(x.shape[1], some), schedule="static"):
            first = task * some
            channels_backward(
                dy, x, first, min(some, x.shape[1] - first), weight, bias, mean, inv_std, training, last, dx, dweight,
                dbias,
            )
        restore_denormals()


cdef void channels_backward(
    const real[:, :, ::1] dy, const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real[::1] weight,
    const real[::1] bias, const real[::1] mean, const real[::1] inv_std, bint training, Ending activation,
    real[:, :, ::1] dx, real[::1] dweight, real[::1] dbias,
) noexcept nogil:
    """The two sums, then dx, with factors made of them."""
    cdef Py_ssize_t n = x.shape[0], pixels = x.shape[2], step = x.shape[1] * pixels, i, j, c
    cdef double mean_of = 1 / (<double>n * pixels)
    cdef double[COLUMNS] totals
    cdef double[COLUMNS] products
    cdef real[COLUMNS] scale
    cdef real[COLUMNS] shift
    cdef real[COLUMNS] slope
    cdef real[COLUMNS] offset
    affine_of(channels, first, weight, bias, inv_std, scale, shift)
    comoments(
        dy, x, first, channels, &mean[first], <const real *>scale, <const real *>shift, activation, totals, products
    )
    for j in range(channels):
        c = first + j
        dweight[c] = <real>(products[j] * inv_std[c])
        dbias[c] = <real>totals[j]
        slope[j] = <real>(-<double>scale[j] * inv_std[c] * inv_std[c] * products[j] * mean_of)
        offset[j] = <real>(-<double>scale[j] * totals[j] * mean_of)
    if pixels < SHORT_PLANE:
        normalise_columns_backward(
            n, step, channels, pixels, &dy[0, first, 0], &x[0, first, 0], &mean[first], <const real *>scale,
            <const real *>shift, activation, training, <const real *>slope, <const real *>offset, &dx[0, first, 0],
        )
        return
    for i in range(n - 1, -1, -1):
        kernels_for(&dx[0, 0, 0]).normalise_backward(
            pixels, &dy[i, first, 0], &x[i, first, 0], mean[first], scale[0], shift[0], activation, training, slope[0],
            offset[0], -step if i > 0 else 0, &dx[i, first, 0],
        )


cdef void comoments(
    const real[:, :, ::1] dy, const real[:, :, ::1] x, Py_ssize_t first, Py_ssize_t channels, const real *mean,
    const real *scale, const real *shift, Ending activation, double *totals, double *products,
) noexcept nogil:
    """The sums of dy, where the activation gives it on, and of its product with x - mean."""
    cdef Py_ssize_t n = x.shape[0], pixels = x.shape[2], step = x.shape[1] * pixels
    memset(totals, 0, channels * sizeof(double))
    memset(products, 0, channels * sizeof(double))
    if pixels < SHORT_PLANE:
        column_comoments(
            n, step, channels, pixels, &dy[0, first, 0], &x[0, first, 0], mean, scale, shift, activation, totals,
            products,
        )
    else:
        plane_comoments(
            n, step, pixels, &dy[0, first, 0], &x[0, first, 0], mean[0], scale[0], shift[0], activation, totals,
            products,
        )


cdef void plane_comoments(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t pixels, const real *dy, const real *x, real mean, real scale,
    real shift, Ending activation, double *total, double *product,
) noexcept nogil:
    cdef real[2 * CNNX_MAX_LANES] partial
    cdef Py_ssize_t i, piece, start, n, since = 0
    memset(partial, 0, sizeof(partial))
    for i in range(images):
        for piece in range(ceil_div(pixels, PIECE)):
            start = piece * PIECE
            n = min(<Py_ssize_t>PIECE, pixels - start)
            kernels_for(x).plane_comoments(
                n, dy + i * step + start, x + i * step + start, mean, scale, shift, activation,
                step if i + 1 < images else 0, partial,
            )
            since += n
            if since >= PIECE:
                kernels_for(x).fold(partial, total, product)
                since = 0
    kernels_for(x).fold(partial, total, product)
