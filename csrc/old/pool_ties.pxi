# Backward of the maximum over windows to all pixels that equal it.
#
# Design:
# A task is a plane, gone through window by window: this is asked for by programs that did so in Python. What a pixel
# does not receive is added as a zero, without a branch that could be guessed wrongly.

cdef double TIES_NANOSECONDS = 1.0      # for a cell of a window


cdef object pool_backward_to_ties(const Pool *p, dy, x, narrow, wide):
    dx = empty(x.shape, x)
    if is_single(dy):
        _pool_backward_to_ties(
            p, <const float *>data_of(dy), <const float *>data_of(x), <const uint8_t *>data_of(narrow),
            <const int32_t *>data_of(wide), <float *>data_of(dx),
        )
    else:
        _pool_backward_to_ties(
            p, <const double *>data_of(dy), <const double *>data_of(x), <const uint8_t *>data_of(narrow),
            <const int32_t *>data_of(wide), <double *>data_of(dx),
        )
    return dx


cdef int _pool_backward_to_ties(
    const Pool *p,
    const real *dy,             # IN   (planes, oh, ow)
    const real *x,              # IN   (planes, h, w)
    const uint8_t *narrow,      # IN   as dy: argmax, or NULL
    const int32_t *wide,        # IN   the other one
    real *dx,                   # OUT  as x
) except -1:
    cdef Py_ssize_t plane, pixels = p.h * p.w, windows = p.oh * p.ow
    cdef int threads = threads_for(TIES_NANOSECONDS * p.planes * windows * p.kh * p.kw)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(p.planes, schedule="static"):
            ties_of_plane(
                p, dy + plane * windows, x + plane * pixels, narrow + plane * windows if narrow != NULL else NULL,
                wide + plane * windows if wide != NULL else NULL, dx + plane * pixels,
            )
        restore_denormals()
    return 0


cdef void ties_of_plane(
    const Pool *p, const real *dy, const real *x, const uint8_t *narrow, const int32_t *wide, real *dx
) noexcept nogil:
    cdef Py_ssize_t i, j, window, code, row, column, pixel, first, top, left
    cdef real most, gradient
    memset(dx, 0, p.h * p.w * sizeof(real))
    for i in range(p.oh):
        top = i * p.sh - p.top
        for j in range(p.ow):
            left = j * p.sw - p.left
            window = i * p.ow + j
            code = narrow[window] if narrow != NULL else wide[window]
            row, column = top + code // p.kw, left + code % p.kw
            if row < 0 or row >= p.h or column < 0 or column >= p.w:
                continue
            first = row * p.w + column
            most, gradient = x[first], dy[window]
            for row in range(max(<Py_ssize_t>0, top), min(p.h, top + p.kh)):
                for column in range(max(<Py_ssize_t>0, left), min(p.w, left + p.kw)):
                    pixel = row * p.w + column
                    dx[pixel] += gradient if (x[pixel] == most) | (pixel == first) else <real>0
