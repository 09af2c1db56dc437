# Means over as many windows as asked for.
#
# Design:
# Windows differ in size, so they are not brought into lanes as those of pool.pyx are: the rows of x under a row of
# windows are added up as vectors, and each window then adds up its few columns of that. A task is a band of rows of
# windows of one plane; backward, where windows share pixels, a whole plane. One window is a mean of planes, and windows
# of 2x2 are those of pool_pairs.pyx.

cdef enum:
    ADAPTIVE_BAND_PIXELS = 16384    # of x


def adaptive_avg_pool2d(x, size):
    image, size = tuple(x.shape[2:]), tuple(size)
    if size == (1, 1):
        return global_avg_pool2d(x)
    if image == (2 * size[0], 2 * size[1]):
        return avg_pool2d(x, *PAIRED)
    y = empty((x.shape[0], x.shape[1], *size), x)
    if y.size:
        _adaptive_avg_pool2d(x.reshape(-1, *image), y.reshape(-1, *size))
    return y


def adaptive_avg_pool2d_backward(dy, x_shape):
    image, size = tuple(x_shape[2:]), tuple(dy.shape[2:])
    if size == (1, 1):
        return global_avg_pool2d_backward(dy, x_shape)
    if image == (2 * size[0], 2 * size[1]):
        return avg_pool2d_backward(dy, tuple(x_shape), *PAIRED)
    dx = empty(tuple(x_shape), dy)
    if dx.size:
        _adaptive_avg_pool2d_backward(dy.reshape(-1, *size), dx.reshape(-1, *image))
    return dx


# Kernel, stride, padding, and what of the padding counts.
PAIRED = (2, 2), (2, 2), ((0, 0), (0, 0)), ((0, 0), (0, 0))


cdef inline Py_ssize_t window_begin(Py_ssize_t i, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    return i * n // count


cdef inline Py_ssize_t window_end(Py_ssize_t i, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    return ceil_div((i + 1) * n, count)


def _adaptive_avg_pool2d(
    const real[:, :, ::1] x,        # IN   (planes, h, w)
    real[:, :, ::1] y,              # OUT  (planes, oh, ow)
):
    cdef Py_ssize_t h = x.shape[1], w = x.shape[2], oh = y.shape[1], ow = y.shape[2], task
    cdef Py_ssize_t most = max(<Py_ssize_t>1, ADAPTIVE_BAND_PIXELS // (ceil_div(h, oh) * w)), bands = ceil_div(oh, most)
    cdef int threads = threads_for(y.shape[0] * (MEMORY_NANOSECONDS * h * w + oh * (w + 2 * ow)))
    cdef Block scratch = take(threads * w * sizeof(real))
    cdef real *sums = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(y.shape[0] * bands, schedule="static"):
            adaptive_band(
                h, w, oh, ow, task % bands * most, min(oh, (task % bands + 1) * most), &x[task // bands, 0, 0],
                &y[task // bands, 0, 0], sums + omp_get_thread_num() * w,
            )
        restore_denormals()


cdef void adaptive_band(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t first, Py_ssize_t last, const real *x, real *y,
    real *sums,
) noexcept nogil:
    cdef Py_ssize_t i, j, r, s, begin, end, left, right
    cdef const real *row
    cdef real total
    for i in range(first, last):
        begin, end = window_begin(i, h, oh), window_end(i, h, oh)
        row = x + begin * w
        if end > begin + 1:
            kernels_for(y).plus(w, row, row + w, sums)
            for r in range(begin + 2, end):
                kernels_for(y).add(w, x + r * w, sums)
            row = sums
        for j in range(ow):
            left, right = window_begin(j, w, ow), window_end(j, w, ow)
            total = row[left]
            for s in range(left + 1, right):
                total += row[s]
            y[i * ow + j] = total / ((end - begin) * (right - left))


def _adaptive_avg_pool2d_backward(
    const real[:, :, ::1] dy,       # IN   (planes, oh, ow)
    real[:, :, ::1] dx,             # OUT  (planes, h, w)
):
    cdef Py_ssize_t h = dx.shape[1], w = dx.shape[2], oh = dy.shape[1], ow = dy.shape[2], plane
    cdef int threads = threads_for(dx.shape[0] * (MEMORY_NANOSECONDS * h * w + oh * (w + 2 * ow)))
    cdef Block scratch = take(threads * w * sizeof(real))
    cdef real *shares = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(dx.shape[0], schedule="static"):
            adaptive_plane_backward(
                h, w, oh, ow, &dy[plane, 0, 0], &dx[plane, 0, 0], shares + omp_get_thread_num() * w
            )
        restore_denormals()


cdef void adaptive_plane_backward(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, const real *dy, real *dx, real *shares
) noexcept nogil:
    cdef Py_ssize_t i, j, r, s, begin, end, left, right, done = 0
    cdef real share
    for i in range(oh):
        begin, end = window_begin(i, h, oh), window_end(i, h, oh)
        memset(shares, 0, w * sizeof(real))
        for j in range(ow):
            left, right = window_begin(j, w, ow), window_end(j, w, ow)
            share = dy[i * ow + j] / ((end - begin) * (right - left))
            for s in range(left, right):
                shares[s] += share
        for r in range(begin, end):
            if r < done:            # a row of the windows above too
                kernels_for(dx).add(w, shares, dx + r * w)
            else:
                memcpy(dx + r * w, shares, w * sizeof(real))
        done = end
