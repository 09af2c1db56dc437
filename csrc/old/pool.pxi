# Pooling.
#
# Design:
# A task is a band of rows of as many planes (image, channel) as a vector has lanes. They are brought into lanes, where
# a window of any size and stride is a few operations on whole vectors (micro/pool.inc.c). 2x2 windows side by side, in
# rows of half a vector or more of them, do without (pool_pairs.pyx). Windows are clipped to the image instead of
# padding it. argmax is uint8 while it fits: a quarter of int32's traffic. ReLU before pooling costs one more code, that
# of a window without a value above 0, and needs nothing else for backward. A band of dx receives, window after window,
# what of them lies in it: the order of a sum depends on nothing else.

cdef enum:
    POOL_BAND_PIXELS = 2048     # of x or dx: 64 kB of 8 floats

cdef double POOL_NANOSECONDS = 0.3      # for a pixel of x brought into lanes or back, or for four taps


cdef struct Pool:               # windows over all planes
    Py_ssize_t planes, h, w, oh, ow, kh, kw, sh, sw, top, left
    bint pairs                  # for pool_pairs.pyx


cdef Pool pool_of(values, x_shape, kernel, stride, padding):
    """values: x or dy"""
    cdef Pool p
    cdef Py_ssize_t lanes = kernels_for(<float *>NULL).lanes if is_single(values) else kernels_for(<double *>NULL).lanes
    p.planes, p.h, p.w = x_shape[0] * x_shape[1], x_shape[2], x_shape[3]
    p.kh, p.kw = kernel
    p.sh, p.sw = stride
    (p.top, bottom), (p.left, right) = padding
    p.oh = (p.h + p.top + bottom - p.kh) // p.sh + 1
    p.ow = (p.w + p.left + right - p.kw) // p.sw + 1
    p.pairs = kernel == stride == (2, 2) and p.top == p.left == bottom == right == 0 and lanes <= 2 * p.ow
    return p


def max_pool2d(x, kernel, stride, padding):
    return most_of_windows(x, kernel, stride, padding, kernel[0] * kernel[1] <= 256, -1)


def relu_max_pool2d(x, kernel, stride, padding):
    cells = kernel[0] * kernel[1]
    return most_of_windows(x, kernel, stride, padding, cells <= 255, cells)


cdef object most_of_windows(x, kernel, stride, padding, narrow, int32_t dead):
    """y and argmax, which is uint8 if narrow. dead: the argmax of windows without a value above 0; -1: no ReLU."""
    cdef Pool p = pool_of(x, x.shape, kernel, stride, padding)
    y = empty((x.shape[0], x.shape[1], p.oh, p.ow), x)
    argmax = new_array(y.shape, np.dtype(np.uint8 if narrow else np.int32))
    pool(&p, x, None, dead, y, argmax if narrow else None, None if narrow else argmax)
    return y, argmax


def avg_pool2d(x, kernel, stride, padding, counted):
    cdef Pool p = pool_of(x, x.shape, kernel, stride, padding)
    y = empty((x.shape[0], x.shape[1], p.oh, p.ow), x)
    pool(&p, x, shares_of(&p, kernel, stride, padding, counted, x.dtype), -1, y, None, None)
    return y


def max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding, x=None):
    cdef Pool p = pool_of(dy, x_shape, kernel, stride, padding)
    narrow = argmax.dtype == np.uint8
    if x is not None:
        return pool_backward_to_ties(&p, dy, x, argmax if narrow else None, None if narrow else argmax)
    return pool_backward(&p, x_shape, dy, None, argmax if narrow else None, None if narrow else argmax)


def relu_max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding):
    return max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding)


def avg_pool2d_backward(dy, x_shape, kernel, stride, padding, counted):
    cdef Pool p = pool_of(dy, x_shape, kernel, stride, padding)
    return pool_backward(&p, x_shape, dy, shares_of(&p, kernel, stride, padding, counted, dy.dtype), None, None)


cdef object shares_of(const Pool *p, kernel, stride, padding, counted, dtype):
    """1/m for every window: m cells of it count (see the reference). None where all have four."""
    if p.pairs:
        return None
    counts = []
    for axis, (size, windows) in enumerate(((p.h, p.oh), (p.w, p.ow))):
        first = np.arange(windows) * stride[axis] - padding[axis][0]
        inside = np.minimum(first + kernel[axis], size + counted[axis][1])
        counts.append(inside - np.maximum(first, -counted[axis][0]))
    return (1.0 / np.multiply.outer(*counts)).astype(dtype)


cdef object pool(const Pool *p, x, shares, int32_t dead, y, narrow, wide):
    if not y.size:
        return
    if p.pairs and is_single(x):
        _pool_pairs(p, <const float *>data_of(x), dead, <float *>data_of(y), <uint8_t *>data_of(narrow))
    elif p.pairs:
        _pool_pairs(p, <const double *>data_of(x), dead, <double *>data_of(y), <uint8_t *>data_of(narrow))
    elif is_single(x):
        _pool(
            p, <const float *>data_of(x), <const float *>data_of(shares), dead, <float *>data_of(y),
            <uint8_t *>data_of(narrow), <int32_t *>data_of(wide),
        )
    else:
        _pool(
            p, <const double *>data_of(x), <const double *>data_of(shares), dead, <double *>data_of(y),
            <uint8_t *>data_of(narrow), <int32_t *>data_of(wide),
        )


cdef object pool_backward(const Pool *p, x_shape, dy, shares, narrow, wide):
    if not dy.size:
        return zeros(x_shape, dy)
    dx = empty(x_shape, dy)
    if p.pairs and is_single(dy):
        _pool_pairs_backward(
            p, <const float *>data_of(dy), <const uint8_t *>data_of(narrow), <float *>data_of(dx)
        )
    elif p.pairs:
        _pool_pairs_backward(
            p, <const double *>data_of(dy), <const uint8_t *>data_of(narrow), <double *>data_of(dx)
        )
    elif is_single(dy):
        _pool_backward(
            p, <const float *>data_of(dy), <const float *>data_of(shares), <const uint8_t *>data_of(narrow),
            <const int32_t *>data_of(wide), <float *>data_of(dx),
        )
    else:
        _pool_backward(
            p, <const double *>data_of(dy), <const double *>data_of(shares), <const uint8_t *>data_of(narrow),
            <const int32_t *>data_of(wide), <double *>data_of(dx),
        )
    return dx


cdef double pool_nanoseconds(const Pool *p) noexcept nogil:
    return POOL_NANOSECONDS * p.planes * (p.h * p.w + 0.25 * p.oh * p.ow * p.kh * p.kw)


cdef int _pool(
    const Pool *p,
    const real *x,              # IN   (planes, h, w)
    const real *shares,         # IN   (oh, ow); NULL: the maximum, not the mean
    int32_t dead,
    real *y,                    # OUT  (planes, oh, ow)
    uint8_t *narrow,            # OUT  as y: argmax, or NULL
    int32_t *wide,              # OUT  the other one; NULL too for a mean
) except -1:
    cdef Py_ssize_t lanes = kernels_for(x).lanes, blocks = ceil_div(p.planes, lanes), task
    cdef Py_ssize_t rows = min(p.oh, max(<Py_ssize_t>1, POOL_BAND_PIXELS // (p.w * p.sh))), bands = ceil_div(p.oh, rows)
    cdef Py_ssize_t per_thread = (min(p.h, (rows - 1) * p.sh + p.kh) * p.w + 2 * rows * p.ow) * lanes
    cdef int threads = threads_for(pool_nanoseconds(p))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *buffers = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(blocks * bands, schedule="static"):
            pool_band(
                p, task // bands * lanes, task % bands * rows, rows, x, shares, dead, y, narrow, wide,
                buffers + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef cnnx_window_row window_row(const Pool *p) noexcept nogil:
    cdef cnnx_window_row row
    row.count, row.rows, row.kw, row.stride, row.left, row.w = p.ow, p.kh, p.kw, p.sw, p.left, p.w
    return row


cdef void pool_band(
    const Pool *p, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t most, const real *x, const real *shares,
    int32_t dead, real *y, uint8_t *narrow, int32_t *wide, real *buffer,
) noexcept nogil:
    """Rows of y from `begin` on, at most so many, of the planes from `first` on, as many as there are lanes."""
    cdef Py_ssize_t lanes = kernels_for(x).lanes, planes = min(lanes, p.planes - first), end = min(p.oh, begin + most)
    cdef Py_ssize_t low = max(<Py_ssize_t>0, begin * p.sh - p.top), high = min(p.h, (end - 1) * p.sh - p.top + p.kh)
    cdef Py_ssize_t i, top, start, pixels = (end - begin) * p.ow, place = (first * p.oh + begin) * p.ow
    cdef real *staged = buffer
    cdef real *out = staged + (high - low) * p.w * lanes
    cdef real *codes = out + pixels * lanes
    cdef cnnx_window_row row = window_row(p)
    kernels_for(x).to_lanes(
        planes, (high - low) * p.w, x + (first * p.h + low) * p.w, p.h * p.w, (high - low) * p.w, 0, 0, staged
    )
    for i in range(begin, end):
        top = i * p.sh - p.top
        start = max(<Py_ssize_t>0, top)
        row.rows = min(top + p.kh, p.h) - start
        if shares != NULL:
            kernels_for(x).avg_pool_row(
                &row, staged + (start - low) * p.w * lanes, shares + i * p.ow, out + (i - begin) * p.ow * lanes
            )
        else:
            kernels_for(x).max_pool_row(
                &row, staged + (start - low) * p.w * lanes, <int32_t>((start - top) * p.kw), dead,
                out + (i - begin) * p.ow * lanes, codes + (i - begin) * p.ow * lanes,
            )
    kernels_for(x).from_lanes(planes, pixels, out, y + place, p.oh * p.ow)
    if shares == NULL:
        kernels_for(x).codes_from_lanes(
            planes, pixels, codes, narrow + place if narrow != NULL else NULL, wide + place if wide != NULL else NULL,
            p.oh * p.ow,
        )


cdef int _pool_backward(
    const Pool *p,
    const real *dy,             # IN   (planes, oh, ow)
    const real *shares,         # IN   (oh, ow); NULL: the maximum, not the mean
    const uint8_t *narrow,      # IN   as dy: argmax, or NULL
    const int32_t *wide,        # IN   the other one; NULL too for a mean
    real *dx,                   # OUT  (planes, h, w)
) except -1:
    cdef Py_ssize_t lanes = kernels_for(dy).lanes, blocks = ceil_div(p.planes, lanes), task
    cdef Py_ssize_t rows = min(p.h, max(<Py_ssize_t>1, POOL_BAND_PIXELS // p.w)), bands = ceil_div(p.h, rows)
    cdef Py_ssize_t windows = min(p.oh, (rows + p.kh - 2) // p.sh + 1)      # rows of them that meet a band
    cdef Py_ssize_t per_thread = (rows * p.w + 2 * windows * p.ow) * lanes
    cdef int threads = threads_for(pool_nanoseconds(p))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *buffers = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(blocks * bands, schedule="static"):
            pool_band_backward(
                p, task // bands * lanes, task % bands * rows, rows, dy, shares, narrow, wide, dx,
                buffers + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef void pool_band_backward(
    const Pool *p, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t most, const real *dy, const real *shares,
    const uint8_t *narrow, const int32_t *wide, real *dx, real *buffer,
) noexcept nogil:
    """Rows of dx from `begin` on, at most so many, of the planes from `first` on, as many as there are lanes."""
    cdef Py_ssize_t lanes = kernels_for(dy).lanes, planes = min(lanes, p.planes - first), end = min(p.h, begin + most)
    # The rows of windows that meet the band; none, where it lies between two of them or below the last.
    cdef Py_ssize_t low = ceil_div(max(<Py_ssize_t>0, begin + p.top - p.kh + 1), p.sh)
    cdef Py_ssize_t high = max(low, min(p.oh, (end - 1 + p.top) // p.sh + 1))
    cdef Py_ssize_t i, top, start, pixels = (high - low) * p.ow, place = (first * p.oh + low) * p.ow
    cdef real *sums = buffer
    cdef real *gradients = sums + (end - begin) * p.w * lanes
    cdef real *codes = gradients + pixels * lanes
    cdef cnnx_window_row row = window_row(p)
    kernels_for(dy).to_lanes(planes, pixels, dy + place, p.oh * p.ow, pixels, 0, 0, gradients)
    if shares == NULL:
        kernels_for(dy).codes_to_lanes(
            planes, pixels, narrow + place if narrow != NULL else NULL, wide + place if wide != NULL else NULL,
            p.oh * p.ow, codes,
        )
    memset(sums, 0, (end - begin) * p.w * lanes * sizeof(real))
    for i in range(low, high):
        top = i * p.sh - p.top
        start = max(begin, top)
        row.rows = min(top + p.kh, end) - start
        if shares != NULL:
            kernels_for(dy).avg_pool_row_backward(
                &row, gradients + (i - low) * p.ow * lanes, shares + i * p.ow, sums + (start - begin) * p.w * lanes
            )
        else:
            kernels_for(dy).max_pool_row_backward(
                &row, gradients + (i - low) * p.ow * lanes, codes + (i - low) * p.ow * lanes,
                <int32_t>((start - top) * p.kw), sums + (start - begin) * p.w * lanes,
            )
    kernels_for(dy).from_lanes(planes, (end - begin) * p.w, sums, dx + (first * p.h + begin) * p.w, p.h * p.w)


def global_avg_pool2d(x):
    y = empty((x.shape[0], x.shape[1], 1, 1), x)
    if x.size:
        _plane_means(x.reshape(x.shape[0] * x.shape[1], -1), y.reshape(-1))
    return y


def _plane_means(
    const real[:, ::1] x,           # IN   (planes, pixels)
    real[::1] y,                    # OUT  (planes,)
):
    cdef Py_ssize_t pixels = x.shape[1], task, first
    cdef Py_ssize_t group = min(<Py_ssize_t>CNNX_MAX_LANES, ceil_div(<Py_ssize_t>PIECE, pixels))
    cdef int threads = threads_for(x.shape[0] * (8 + 0.07 * pixels))
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(x.shape[0], group), schedule="static"):
            first = task * group
            means_of_planes(min(group, x.shape[0] - first), pixels, &x[first, 0], &y[first])
        restore_denormals()


cdef void means_of_planes(Py_ssize_t planes, Py_ssize_t pixels, const real *x, real *y) noexcept nogil:
    """Of at most CNNX_MAX_LANES."""
    cdef double totals[CNNX_MAX_LANES]
    cdef Py_ssize_t i
    row_sums(planes, pixels, x, totals)
    for i in range(planes):
        y[i] = <real>(totals[i] / pixels)


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
    cdef real share
    cdef int threads = threads_for(0.1 * dx.shape[0] * pixels)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(dx.shape[0], schedule="static"):
            share = dy[plane] / pixels
            for p in range(pixels):
                dx[plane, p] = share
        restore_denormals()
