# Zeros around images. A task is one plane: a copy of its rows, with zeros between the end of one and the next.


def zero_pad2d(x, padding):
    cdef Py_ssize_t top, bottom, left, right
    (top, bottom), (left, right) = padding
    shape = (x.shape[0], x.shape[1], x.shape[2] + top + bottom, x.shape[3] + left + right)
    if not x.size:
        return zeros(shape, x)
    y = empty(shape, x)
    if y.size:
        _zero_pad2d(x.reshape(-1, *x.shape[2:]), y.reshape(-1, *shape[2:]), top, left)
    return y


def _zero_pad2d(
    const real[:, :, ::1] x,        # IN   (planes, h, w)
    real[:, :, ::1] y,              # OUT  (planes, oh, ow)
    Py_ssize_t top,                 # row and column of y where x begins: < 0 where it is cut off
    Py_ssize_t left,
):
    cdef Py_ssize_t plane, pixels = y.shape[1] * y.shape[2]
    cdef int threads = threads_for(MEMORY_NANOSECONDS * y.shape[0] * pixels)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(y.shape[0], schedule="static"):
            pad_plane(
                x.shape[1], x.shape[2], y.shape[1], y.shape[2], top, left, &x[plane, 0, 0], &y[plane, 0, 0]
            )
        restore_denormals()


cdef void pad_plane(
    Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t top, Py_ssize_t left, const real *x, real *y
) noexcept nogil:
    """Row by row, each after the zeros from the end of the one before."""
    cdef Py_ssize_t begin = max(<Py_ssize_t>0, left), end = min(ow, w + left), done = 0, i
    for i in range(max(<Py_ssize_t>0, top), min(oh, h + top)):
        zero(i * ow + begin - done, y + done)
        memcpy(y + i * ow + begin, x + (i - top) * w + begin - left, (end - begin) * sizeof(real))
        done = i * ow + end
    zero(oh * ow - done, y + done)


cdef inline void zero(Py_ssize_t n, real *y) noexcept nogil:
    cdef Py_ssize_t i
    if n > 64:
        memset(y, 0, n * sizeof(real))
    else:                           # less than what a call costs
        for i in range(n):
            y[i] = 0
