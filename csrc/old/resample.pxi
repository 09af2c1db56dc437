# Images of another size.
#
# Design:
# A task is a band of rows of one plane of the result: what lies in it depends on nothing else. Where each row and each
# column is read is worked out once, in double (nearest: in float, as PyTorch does). Along a row of x pixels are read
# one by one, so that is done once for each row, and rows of the result are blends of whole rows, in vectors. Backward
# goes the other way round: whole rows of dy are added up for a row of dx, and then shared out along it. There each
# pixel collects from all that read it, which lie side by side: no sum is added to twice, and none depends on threads.

cdef enum:
    RESAMPLE_BAND_PIXELS = 16384    # of the result

cdef double BETWEEN_NANOSECONDS = 0.5       # a pixel of the larger image


def interpolate(x, size, steps, mode, align_corners):
    y = empty((x.shape[0], x.shape[1], *size), x)
    if y.size:
        ends = x.reshape(-1, *x.shape[2:]), y.reshape(-1, *size)
        if mode == "nearest":
            _nearest(*ends, steps[0], steps[1])
        else:
            _bilinear(*ends, steps[0], steps[1], align_corners)
    return y


def interpolate_backward(dy, x_shape, steps, mode, align_corners):
    dx = empty(tuple(x_shape), dy)
    if dx.size:
        ends = dy.reshape(-1, *dy.shape[2:]), dx.reshape(-1, *x_shape[2:])
        if mode == "nearest":
            _nearest_backward(*ends, steps[0], steps[1])
        else:
            _bilinear_backward(*ends, steps[0], steps[1], align_corners)
    return dx


# ----------------------------------------------------------------------------------- where each pixel is read


cdef void nearest_pixels(Py_ssize_t n, Py_ssize_t count, double step, Py_ssize_t *pixels) noexcept nogil:
    """As the reference."""
    cdef Py_ssize_t i
    for i in range(count):
        if count == n:
            pixels[i] = i
        elif count == 2 * n:
            pixels[i] = i // 2
        else:
            pixels[i] = min(n - 1, <Py_ssize_t>(<float>i * <float>step))


cdef void linear_pixels(
    Py_ssize_t n, Py_ssize_t count, double step, bint align_corners, Py_ssize_t *pixels, real *shares
) noexcept nogil:
    """As the reference; shares[2*i] is that of the pixel, shares[2*i + 1] that of the next one."""
    cdef Py_ssize_t i
    cdef double place, share
    for i in range(count):
        place = i * step if align_corners else max(0.0, (i + 0.5) * step - 0.5)
        pixels[i] = min(n - 1, <Py_ssize_t>place)
        share = min(1.0, place - pixels[i])
        shares[2 * i] = <real>(1 - share)
        shares[2 * i + 1] = <real>share


cdef void begins_of(Py_ssize_t n, Py_ssize_t count, const Py_ssize_t *pixels, Py_ssize_t *begins) noexcept nogil:
    """n + 1 numbers: those that read pixel p are from begins[p] to begins[p + 1]."""
    cdef Py_ssize_t i = 0, p
    for p in range(n):
        begins[p] = i
        while i < count and pixels[i] == p:
            i += 1
    begins[n] = count


cdef inline Py_ssize_t rows_of_band(Py_ssize_t width) noexcept nogil:
    return max(<Py_ssize_t>1, RESAMPLE_BAND_PIXELS // width)


# ------------------------------------------------------------------------------------------------------ nearest


def _nearest(
    const real[:, :, ::1] x,        # IN   (planes, h, w)
    real[:, :, ::1] y,              # OUT  (planes, oh, ow)
    double down,                    # rows of x for one of y
    double across,
):
    cdef Py_ssize_t h = x.shape[1], w = x.shape[2], oh = y.shape[1], ow = y.shape[2], task, plane, first
    cdef Py_ssize_t most = rows_of_band(ow), bands = ceil_div(oh, most)
    cdef Block tables = take((oh + ow) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *rows = <Py_ssize_t *>tables.data
    cdef Py_ssize_t *columns = rows + oh
    cdef int threads = threads_for(MEMORY_NANOSECONDS * y.shape[0] * oh * ow)
    nearest_pixels(h, oh, down, rows)
    nearest_pixels(w, ow, across, columns)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(y.shape[0] * bands, schedule="static"):
            plane = task // bands
            first = task % bands * most
            nearest_band(
                w, min(most, oh - first), ow, rows + first, columns, &x[plane, 0, 0], &y[plane, first, 0]
            )
        restore_denormals()


cdef void nearest_band(
    Py_ssize_t w, Py_ssize_t count, Py_ssize_t ow, const Py_ssize_t *rows, const Py_ssize_t *columns, const real *x,
    real *y,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const real *row
    for i in range(count):
        row = x + rows[i] * w
        if i > 0 and rows[i] == rows[i - 1]:
            memcpy(y, y - ow, ow * sizeof(real))
        elif ow == w:
            memcpy(y, row, ow * sizeof(real))
        elif ow == 2 * w:
            kernels_for(x).interleave(ow, 2, row, 0, y)
        else:
            for j in range(ow):
                y[j] = row[columns[j]]
        y += ow


def _nearest_backward(
    const real[:, :, ::1] dy,       # IN   (planes, oh, ow)
    real[:, :, ::1] dx,             # OUT  (planes, h, w)
    double down,                    # rows of x for one of y
    double across,
):
    cdef Py_ssize_t h = dx.shape[1], w = dx.shape[2], oh = dy.shape[1], ow = dy.shape[2], task, plane, first
    cdef Py_ssize_t most = rows_of_band(w), bands = ceil_div(h, most)
    cdef Block tables = take((max(oh, ow) + h + w + 2) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *rows = <Py_ssize_t *>tables.data
    cdef Py_ssize_t *columns = rows + h + 1
    cdef Py_ssize_t *pixels = columns + w + 1
    cdef int threads = threads_for(MEMORY_NANOSECONDS * dx.shape[0] * (h * w + oh * ow))
    cdef Block scratch = take(threads * ow * sizeof(real))
    cdef real *sums = <real *>scratch.data
    nearest_pixels(h, oh, down, pixels)
    begins_of(h, oh, pixels, rows)
    nearest_pixels(w, ow, across, pixels)
    begins_of(w, ow, pixels, columns)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(dx.shape[0] * bands, schedule="static"):
            plane = task // bands
            first = task % bands * most
            nearest_band_backward(
                min(most, h - first), w, ow, rows + first, columns, &dy[plane, 0, 0], &dx[plane, first, 0],
                sums + omp_get_thread_num() * ow,
            )
        restore_denormals()


cdef void nearest_band_backward(
    Py_ssize_t count, Py_ssize_t w, Py_ssize_t ow, const Py_ssize_t *rows, const Py_ssize_t *columns, const real *dy,
    real *dx, real *sums,
) noexcept nogil:
    cdef Py_ssize_t r, s, i, j
    cdef const real *row
    for r in range(count):
        row = dy + rows[r] * ow
        if rows[r + 1] > rows[r] + 1:
            kernels_for(dx).plus(ow, row, row + ow, sums)
            for i in range(rows[r] + 2, rows[r + 1]):
                kernels_for(dx).add(ow, dy + i * ow, sums)
            row = sums
        if rows[r + 1] == rows[r]:
            memset(dx, 0, w * sizeof(real))
        elif ow == w:
            memcpy(dx, row, w * sizeof(real))
        elif ow == 2 * w:
            kernels_for(dx).add_pairs(w, row, dx)
        else:
            for s in range(w):
                dx[s] = 0
                for j in range(columns[s], columns[s + 1]):
                    dx[s] += row[j]
        dx += w


# ----------------------------------------------------------------------------------------------------- bilinear


def _bilinear(
    const real[:, :, ::1] x,        # IN   (planes, h, w)
    real[:, :, ::1] y,              # OUT  (planes, oh, ow)
    double down,                    # rows of x for one of y
    double across,
    bint align_corners,
):
    cdef Py_ssize_t h = x.shape[1], w = x.shape[2], oh = y.shape[1], ow = y.shape[2], task, plane, first
    cdef Py_ssize_t most = rows_of_band(ow), bands = ceil_div(oh, most)
    cdef int threads = threads_for(BETWEEN_NANOSECONDS * y.shape[0] * oh * ow)
    cdef Block tables = take((oh + ow) * sizeof(Py_ssize_t))
    cdef Block scratch = take((oh + ow + threads * ow) * 2 * sizeof(real))
    cdef Py_ssize_t *rows = <Py_ssize_t *>tables.data
    cdef Py_ssize_t *columns = rows + oh
    cdef real *of_rows = <real *>scratch.data
    cdef real *of_columns = of_rows + 2 * oh
    cdef real *buffers = of_columns + 2 * ow
    linear_pixels(h, oh, down, align_corners, rows, of_rows)
    linear_pixels(w, ow, across, align_corners, columns, of_columns)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(y.shape[0] * bands, schedule="static"):
            plane = task // bands
            first = task % bands * most
            bilinear_band(
                h, w, min(most, oh - first), ow, rows + first, of_rows + 2 * first, columns, of_columns,
                &x[plane, 0, 0], &y[plane, first, 0], buffers + 2 * omp_get_thread_num() * ow,
            )
        restore_denormals()


cdef void bilinear_band(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t count, Py_ssize_t ow, const Py_ssize_t *rows, const real *of_rows,
    const Py_ssize_t *columns, const real *of_columns, const real *x, real *y, real *buffers,
) noexcept nogil:
    """Two rows of x, read along, are kept: nearly always the next row of y needs one of them again."""
    cdef Py_ssize_t i, upper = -1, lower = -1
    cdef real *above = buffers
    cdef real *below = buffers + ow
    for i in range(count):
        if upper != rows[i]:
            if lower == rows[i]:
                above, below = below, above
                upper, lower = lower, upper
            else:
                upper = rows[i]
                kernels_for(y).read_between(ow, w, columns, of_columns, x + upper * w, above)
        if upper + 1 < h and lower != upper + 1:
            lower = upper + 1
            kernels_for(y).read_between(ow, w, columns, of_columns, x + lower * w, below)
        kernels_for(y).blend(
            ow, above, of_rows[2 * i], below if upper + 1 < h else above, of_rows[2 * i + 1], y + i * ow
        )


def _bilinear_backward(
    const real[:, :, ::1] dy,       # IN   (planes, oh, ow)
    real[:, :, ::1] dx,             # OUT  (planes, h, w)
    double down,                    # rows of x for one of y
    double across,
    bint align_corners,
):
    cdef Py_ssize_t h = dx.shape[1], w = dx.shape[2], oh = dy.shape[1], ow = dy.shape[2], task, plane, first
    cdef Py_ssize_t most = rows_of_band(w), bands = ceil_div(h, most)
    cdef int threads = threads_for(BETWEEN_NANOSECONDS * dx.shape[0] * (h * w + oh * ow))
    cdef Block tables = take((max(oh, ow) + h + w + 2) * sizeof(Py_ssize_t))
    cdef Block scratch = take((2 * oh + 2 * ow + threads * ow) * sizeof(real))
    cdef Py_ssize_t *rows = <Py_ssize_t *>tables.data
    cdef Py_ssize_t *columns = rows + h + 1
    cdef Py_ssize_t *pixels = columns + w + 1
    cdef real *of_rows = <real *>scratch.data
    cdef real *of_columns = of_rows + 2 * oh
    cdef real *sums = of_columns + 2 * ow
    linear_pixels(h, oh, down, align_corners, pixels, of_rows)
    begins_of(h, oh, pixels, rows)
    linear_pixels(w, ow, across, align_corners, pixels, of_columns)
    begins_of(w, ow, pixels, columns)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(dx.shape[0] * bands, schedule="static"):
            plane = task // bands
            first = task % bands * most
            bilinear_band_backward(
                h, w, ow, first, min(first + most, h), rows, of_rows, pixels, columns, of_columns, &dy[plane, 0, 0],
                &dx[plane, 0, 0], sums + omp_get_thread_num() * ow,
            )
        restore_denormals()


cdef void bilinear_band_backward(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t ow, Py_ssize_t begin, Py_ssize_t end, const Py_ssize_t *rows,
    const real *of_rows, const Py_ssize_t *pixels, const Py_ssize_t *columns, const real *of_columns, const real *dy,
    real *dx, real *sums,
) noexcept nogil:
    cdef Py_ssize_t r, i
    for r in range(begin, end):
        memset(sums, 0, ow * sizeof(real))
        if r > 0:
            for i in range(rows[r - 1], rows[r]):
                kernels_for(dx).add_scaled(ow, dy + i * ow, of_rows[2 * i + 1], sums)
        for i in range(rows[r], rows[r + 1]):
            kernels_for(dx).add_scaled(ow, dy + i * ow, of_rows[2 * i], sums)
            if r == h - 1:
                kernels_for(dx).add_scaled(ow, dy + i * ow, of_rows[2 * i + 1], sums)
        kernels_for(dx).write_between(ow, w, pixels, columns, of_columns, sums, dx + r * w)
