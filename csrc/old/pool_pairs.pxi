# Pooling of 2x2 windows that lie side by side, without padding.
#
# Design:
# A task is a band of rows of one plane, one call of the kernel in C. Planes without a row left over are one plane, as
# their rows follow each other: bands are long however small the planes are, and only the last row of a band must not
# run into the next (micro/pool_pairs.inc.c).

cdef enum:
    PAIRS_BAND_PIXELS = 4096    # of x: a hundred rows of a small plane, where the last costs as much as three

cdef double PAIRS_NANOSECONDS = 0.15    # for a pixel of x


cdef struct Pairs:              # rows of 2x2 windows, side by side
    Py_ssize_t planes, rows     # of them in each
    Py_ssize_t pixels, left     # of a plane of x; those of them in a row left over
    Py_ssize_t band, bands      # rows of a task, tasks of a plane
    int threads


cdef Pairs pairs_of(const Pool *p):
    cdef Pairs q
    q.left = (p.h - 2 * p.oh) * p.w
    q.planes = p.planes if q.left else 1
    q.rows = p.planes // q.planes * p.oh
    q.pixels = 2 * q.rows * p.w + q.left
    q.band = min(q.rows, max(<Py_ssize_t>1, PAIRS_BAND_PIXELS // (2 * p.w)))
    q.bands = ceil_div(q.rows, q.band)
    q.threads = threads_for(PAIRS_NANOSECONDS * p.planes * p.h * p.w)
    return q


cdef int _pool_pairs(
    const Pool *p,
    const real *x,              # IN   (planes, h, w)
    int32_t dead,
    real *y,                    # OUT  (planes, oh, ow)
    uint8_t *argmax,            # OUT  as y; NULL: the mean, not the maximum
) except -1:
    cdef Pairs q = pairs_of(p)
    cdef Py_ssize_t task, first, rows, pixel, window
    with nogil, parallel(num_threads=q.threads):
        flush_denormals()
        for task in prange(q.planes * q.bands, schedule="static"):
            first = task % q.bands * q.band
            rows = min(q.band, q.rows - first)
            pixel = task // q.bands * q.pixels + 2 * first * p.w
            window = (task // q.bands * q.rows + first) * p.ow
            if argmax == NULL:
                kernels_for(x).avg_pool_pairs(rows, p.ow, p.w, x + pixel, y + window)
            else:
                kernels_for(x).max_pool_pairs(rows, p.ow, p.w, x + pixel, dead, y + window, argmax + window)
        restore_denormals()
    return 0


cdef int _pool_pairs_backward(
    const Pool *p,
    const real *dy,             # IN   (planes, oh, ow)
    const uint8_t *argmax,      # IN   as dy; NULL: the mean, not the maximum
    real *dx,                   # OUT  (planes, h, w)
) except -1:
    cdef Pairs q = pairs_of(p)
    cdef Py_ssize_t task, first, rows, pixel, window
    with nogil, parallel(num_threads=q.threads):
        flush_denormals()
        for task in prange(q.planes * q.bands, schedule="static"):
            first = task % q.bands * q.band
            rows = min(q.band, q.rows - first)
            pixel = task // q.bands * q.pixels + 2 * first * p.w
            window = (task // q.bands * q.rows + first) * p.ow
            if argmax == NULL:
                kernels_for(dy).avg_pool_pairs_backward(rows, p.ow, p.w, dy + window, dx + pixel)
            else:
                kernels_for(dy).max_pool_pairs_backward(rows, p.ow, p.w, dy + window, argmax + window, dx + pixel)
            if first + rows == q.rows:
                memset(dx + pixel + 2 * rows * p.w, 0, q.left * sizeof(real))
        restore_denormals()
    return 0
