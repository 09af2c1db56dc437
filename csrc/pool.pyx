# Pooling.
#
# Design:
# A task is one plane (image, channel): planes are independent, so nothing depends on the number of threads. Windows are
# clipped to the image instead of padding it. argmax is uint8 while it fits: a quarter of int32's traffic. ReLU before
# pooling costs one more code, that of a window without a value above 0, and needs nothing else for backward. Backward
# goes by rows of dx, each of which gathers from the rows of windows that cover it.


def max_pool2d(x, kernel, stride, padding):
    return most_of_windows(x, kernel, stride, padding, kernel[0] * kernel[1] <= 256, -1)


def relu_max_pool2d(x, kernel, stride, padding):
    cells = kernel[0] * kernel[1]
    return most_of_windows(x, kernel, stride, padding, cells <= 255, cells)


def most_of_windows(x, kernel, stride, padding, narrow, dead):
    """y and argmax, which is uint8 if narrow. dead: the argmax of windows without a value above 0; -1: no ReLU."""
    oh, ow = _pooled(x.shape, kernel, stride, padding)
    y = empty((x.shape[0], x.shape[1], oh, ow), x)
    argmax = new_array(y.shape, np.dtype(np.uint8 if narrow else np.int32))
    if y.size:
        flat = argmax.reshape(-1)
        _max_pool2d(
            x, kernel, stride, (padding[0][0], padding[1][0]), dead, y, flat if narrow else None,
            None if narrow else flat,
        )
    return y, argmax


def _pooled(x_shape, kernel, stride, padding):
    """Rows and columns of the result."""
    return tuple(
        (x_shape[2 + axis] + sum(padding[axis]) - kernel[axis]) // stride[axis] + 1 for axis in range(2)
    )


def _max_pool2d(
    const real[:, :, :, ::1] x,     # IN   (n, c, h, w)
    kernel,
    stride,
    padding,                        # (top, left)
    int32_t dead,
    real[:, :, :, ::1] y,           # OUT  (n, c, oh, ow)
    uint8_t[::1] narrow,            # OUT  as y, or None
    int32_t[::1] wide,              # OUT  the other one
):
    cdef Py_ssize_t h = x.shape[2], w = x.shape[3], oh = y.shape[2], ow = y.shape[3], plane
    cdef Py_ssize_t kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1], top = padding[0], left = padding[1]
    cdef const real *x0 = &x[0, 0, 0, 0]
    cdef real *y0 = &y[0, 0, 0, 0]
    cdef uint8_t *narrow0 = &narrow[0] if narrow is not None else NULL
    cdef int32_t *wide0 = &wide[0] if wide is not None else NULL
    cdef int threads = threads_for(0.5 * x.shape[0] * x.shape[1] * oh * ow * kh * kw)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(x.shape[0] * x.shape[1], schedule="static"):
            max_pool_plane(
                h, w, oh, ow, kh, kw, sh, sw, top, left, dead, x0 + plane * h * w, y0 + plane * oh * ow,
                narrow0 + plane * oh * ow if narrow0 != NULL else NULL,
                wide0 + plane * oh * ow if wide0 != NULL else NULL,
            )
        restore_denormals()


cdef void max_pool_plane(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t kh, Py_ssize_t kw,
    Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t top, Py_ssize_t left, int32_t dead,
    const real *x, real *y, uint8_t *narrow, int32_t *wide,
) noexcept nogil:
    cdef Py_ssize_t i, row, first, last
    for i in range(oh):
        row = i * sh - top
        first, last = max(0, -row), min(kh, h - row)
        kernels_for(x).max_pool_row(
            ow, last - first, kw, sw, left, w, x + (row + first) * w, <int32_t>(first * kw), dead,
            (h - row - first) * w, (oh - i) * ow, y + i * ow,
            narrow + i * ow if narrow != NULL else NULL, wide + i * ow if wide != NULL else NULL,
        )


def max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding):
    if not dy.size:
        return zeros(x_shape, dy)
    dx, flat, narrow = empty(x_shape, dy), argmax.reshape(-1), argmax.dtype == np.uint8
    _max_pool2d_backward(
        dy, flat if narrow else None, None if narrow else flat, kernel, stride, (padding[0][0], padding[1][0]), dx
    )
    return dx


def relu_max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding):
    return max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding)


cdef inline Py_ssize_t first_window(Py_ssize_t p, Py_ssize_t kernel, Py_ssize_t stride) noexcept nogil:
    """The first window that covers pixel p, counted from where window 0 begins; the last is p // stride."""
    return ceil_div(max(<Py_ssize_t>0, p - kernel + 1), stride)


def _max_pool2d_backward(
    const real[:, :, :, ::1] dy,    # IN   (n, c, oh, ow)
    const uint8_t[::1] narrow,      # IN   as dy, or None
    const int32_t[::1] wide,        # IN   the other one
    kernel,
    stride,
    padding,                        # (top, left)
    real[:, :, :, ::1] dx,          # OUT  (n, c, h, w)
):
    cdef Py_ssize_t h = dx.shape[2], w = dx.shape[3], oh = dy.shape[2], ow = dy.shape[3], plane
    cdef Py_ssize_t kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1], top = padding[0], left = padding[1]
    cdef const uint8_t *narrow0 = &narrow[0] if narrow is not None else NULL
    cdef const int32_t *wide0 = &wide[0] if wide is not None else NULL
    cdef int threads = threads_for(0.5 * dx.shape[0] * dx.shape[1] * h * w)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(dx.shape[0] * dx.shape[1], schedule="static"):
            max_pool_plane_backward(
                h, w, oh, ow, kh, kw, sh, sw, top, left, &dy[0, 0, 0, 0] + plane * oh * ow,
                narrow0 + plane * oh * ow if narrow0 != NULL else NULL,
                wide0 + plane * oh * ow if wide0 != NULL else NULL,
                &dx[0, 0, 0, 0] + plane * h * w,
            )
        restore_denormals()


cdef void max_pool_plane_backward(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t kh, Py_ssize_t kw,
    Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t top, Py_ssize_t left,
    const real *dy, const uint8_t *narrow, const int32_t *wide, real *dx,
) noexcept nogil:
    cdef Py_ssize_t row, i, last
    for row in range(h):
        i, last = first_window(row + top, kh, sh), min(oh - 1, (row + top) // sh)
        kernels_for(dx).max_pool_row_backward(
            last - i + 1, ow, kw, sw, left, w, dy + i * ow, narrow + i * ow if narrow != NULL else NULL,
            wide + i * ow if wide != NULL else NULL, <int32_t>((row + top - i * sh) * kw), <int32_t>(sh * kw),
            (oh - i) * ow, (h - row) * w, dx + row * w,
        )


def avg_pool2d(x, kernel, stride, padding, counted):
    oh, ow = _pooled(x.shape, kernel, stride, padding)
    y = empty((x.shape[0], x.shape[1], oh, ow), x)
    if y.size:
        shares = _shares(x.shape, kernel, stride, padding, counted, oh, ow).astype(x.dtype)
        _avg_pool2d(x, kernel, stride, (padding[0][0], padding[1][0]), shares, y)
    return y


def _shares(x_shape, kernel, stride, padding, counted, oh, ow):
    """1/m for every window: m cells of it count (see the reference)."""
    counts = []
    for axis, size in enumerate((oh, ow)):
        first = np.arange(size) * stride[axis] - padding[axis][0]
        inside = np.minimum(first + kernel[axis], x_shape[2 + axis] + counted[axis][1])
        counts.append(inside - np.maximum(first, -counted[axis][0]))
    return 1.0 / np.multiply.outer(*counts)


def _avg_pool2d(
    const real[:, :, :, ::1] x,     # IN   (n, c, h, w)
    kernel,
    stride,
    padding,                        # (top, left)
    const real[:, ::1] shares,      # IN   (oh, ow)
    real[:, :, :, ::1] y,           # OUT  (n, c, oh, ow)
):
    cdef Py_ssize_t h = x.shape[2], w = x.shape[3], oh = y.shape[2], ow = y.shape[3], plane
    cdef Py_ssize_t kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1], top = padding[0], left = padding[1]
    cdef int threads = threads_for(0.5 * x.shape[0] * x.shape[1] * oh * ow * kh * kw)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(x.shape[0] * x.shape[1], schedule="static"):
            avg_pool_plane(
                h, w, oh, ow, kh, kw, sh, sw, top, left,
                &x[0, 0, 0, 0] + plane * h * w, &shares[0, 0], &y[0, 0, 0, 0] + plane * oh * ow,
            )
        restore_denormals()


cdef void avg_pool_plane(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t kh, Py_ssize_t kw,
    Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t top, Py_ssize_t left,
    const real *x, const real *shares, real *y,
) noexcept nogil:
    cdef Py_ssize_t i, row, first, last
    for i in range(oh):
        row = i * sh - top
        first, last = max(0, -row), min(kh, h - row)
        kernels_for(x).avg_pool_row(
            ow, last - first, kw, sw, left, w, x + (row + first) * w, shares + i * ow, y + i * ow
        )


def avg_pool2d_backward(dy, x_shape, kernel, stride, padding, counted):
    if not dy.size:
        return zeros(x_shape, dy)
    dx = empty(x_shape, dy)
    shares = _shares(x_shape, kernel, stride, padding, counted, dy.shape[2], dy.shape[3]).astype(dy.dtype)
    _avg_pool2d_backward(dy, kernel, stride, (padding[0][0], padding[1][0]), shares, dx)
    return dx


def _avg_pool2d_backward(
    const real[:, :, :, ::1] dy,    # IN   (n, c, oh, ow)
    kernel,
    stride,
    padding,                        # (top, left)
    const real[:, ::1] shares,      # IN   (oh, ow)
    real[:, :, :, ::1] dx,          # OUT  (n, c, h, w)
):
    cdef Py_ssize_t h = dx.shape[2], w = dx.shape[3], oh = dy.shape[2], ow = dy.shape[3], plane
    cdef Py_ssize_t kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1], top = padding[0], left = padding[1]
    cdef int threads = threads_for(0.5 * dx.shape[0] * dx.shape[1] * h * w)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(dx.shape[0] * dx.shape[1], schedule="static"):
            avg_pool_plane_backward(
                h, w, oh, ow, kh, kw, sh, sw, top, left,
                &dy[0, 0, 0, 0] + plane * oh * ow, &shares[0, 0], &dx[0, 0, 0, 0] + plane * h * w,
            )
        restore_denormals()


cdef void avg_pool_plane_backward(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t kh, Py_ssize_t kw,
    Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t top, Py_ssize_t left,
    const real *dy, const real *shares, real *dx,
) noexcept nogil:
    cdef Py_ssize_t row, i, last
    for row in range(h):
        i, last = first_window(row + top, kh, sh), min(oh - 1, (row + top) // sh)
        kernels_for(dx).avg_pool_row_backward(
            last - i + 1, ow, kw, sw, left, w, dy + i * ow, shares + i * ow, dx + row * w
        )


def global_avg_pool2d(x):
    y = empty((x.shape[0], x.shape[1], 1, 1), x)
    if x.size:
        _plane_means(x.reshape(x.shape[0] * x.shape[1], -1), y.reshape(-1))
    return y


def _plane_means(
    const real[:, ::1] x,           # IN   (planes, pixels)
    real[::1] y,                    # OUT  (planes,)
):
    cdef Py_ssize_t plane, pixels = x.shape[1]
    cdef int threads = threads_for(0.1 * x.shape[0] * pixels)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(x.shape[0], schedule="static"):
            y[plane] = <real>(row_sum(pixels, &x[plane, 0]) / pixels)
        restore_denormals()


def global_avg_pool2d_backward(dy, x_shape):
    dx = empty(tuple(x_shape), dy)
    if dx.size:
        _spread_plane_means(dy.reshape(-1), dx.reshape(dy.size, -1))
    return dx


def _spread_plane_means(
    const real[::1] dy,             # IN   (planes,)
    real[:, ::1] dx,                # OUT  (planes, pixels)
):
    cdef Py_ssize_t plane, p, pixels = dx.shape[1]
    cdef int threads = threads_for(0.1 * dx.shape[0] * pixels)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(dx.shape[0], schedule="static"):
            for p in range(pixels):
                dx[plane, p] = dy[plane] / pixels
        restore_denormals()
