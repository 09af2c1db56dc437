# The window matrix: im2col and its adjoint col2im. For users, and for convolutions with few windows
# (conv_by_columns.pyx); the others do not build it (see convolve.pyx).
#
# Design:
# im2col: a task is the windows of one output row. col2im: a task is one plane of x, so that each pixel has one owner.


def im2col(x, kernel, stride, padding, dilation):
    (top, bottom), (left, right) = padding
    oh = (x.shape[2] + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    ow = (x.shape[3] + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    cols = empty((x.shape[0] * oh * ow, x.shape[1] * kernel[0] * kernel[1]), x)
    if x.size:
        _im2col(x, kernel, stride, (top, left), dilation, oh, ow, cols)
    else:
        cols[...] = 0
    return cols


def _im2col(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    kernel,
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t oh,
    Py_ssize_t ow,
    real[:, ::1] cols,                  # OUT  (n*oh*ow, c*kh*kw)
):
    cdef Py_ssize_t row, kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1]
    cdef Py_ssize_t dh = dilation[0], dw = dilation[1], top = padding[0], left = padding[1]
    cdef int threads = threads_for(cols.shape[0] * cols.shape[1])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for row in prange(x.shape[0] * oh, schedule="static"):
            im2col_row(x, row // oh, row % oh * sh - top, sw, left, kh, kw, dh, dw, ow, &cols[row * ow, 0])
        restore_denormals()


cdef void im2col_row(
    const real[:, :, :, ::1] x,
    Py_ssize_t image,
    Py_ssize_t row,             # of the window's first row
    Py_ssize_t sw,
    Py_ssize_t left,
    Py_ssize_t kh,
    Py_ssize_t kw,
    Py_ssize_t dh,
    Py_ssize_t dw,
    Py_ssize_t ow,
    real *cols,                 # OUT  (ow, c*kh*kw)
) noexcept nogil:
    """The windows of one output row."""
    cdef Py_ssize_t j, c, u, v, i, k
    cdef const real *source
    for j in range(ow):
        for c in range(x.shape[1]):
            for u in range(kh):
                i = row + u * dh
                source = &x[image, c, 0, 0] + i * x.shape[3]
                for v in range(kw):
                    k = j * sw - left + v * dw
                    cols[0] = source[k] if 0 <= i < x.shape[2] and 0 <= k < x.shape[3] else 0
                    cols += 1


def col2im(cols, x_shape, kernel, stride, padding, dilation):
    x = zeros(x_shape, cols)
    if x.size and cols.size:
        (top, bottom), (left, right) = padding
        ow = (x_shape[3] + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
        _col2im(cols, kernel, stride, (top, left), dilation, cols.shape[0] // x_shape[0] // ow, ow, x)
    return x


def _col2im(
    const real[:, ::1] cols,            # IN   (n*oh*ow, c*kh*kw)
    kernel,
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t oh,
    Py_ssize_t ow,
    real[:, :, :, ::1] x,               # OUT  += (n, c, h, w)
):
    cdef Py_ssize_t plane, kh = kernel[0], kw = kernel[1], sh = stride[0], sw = stride[1]
    cdef Py_ssize_t dh = dilation[0], dw = dilation[1], top = padding[0], left = padding[1]
    cdef int threads = threads_for(cols.shape[0] * cols.shape[1])
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for plane in prange(x.shape[0] * x.shape[1], schedule="static"):
            col2im_plane(cols, plane // x.shape[1], plane % x.shape[1], sh, sw, top, left, kh, kw, dh, dw, oh, ow, x)
        restore_denormals()


cdef void col2im_plane(
    const real[:, ::1] cols,
    Py_ssize_t image,
    Py_ssize_t c,
    Py_ssize_t sh,
    Py_ssize_t sw,
    Py_ssize_t top,
    Py_ssize_t left,
    Py_ssize_t kh,
    Py_ssize_t kw,
    Py_ssize_t dh,
    Py_ssize_t dw,
    Py_ssize_t oh,
    Py_ssize_t ow,
    real[:, :, :, ::1] x,       # OUT  +=
) noexcept nogil:
    """Every window's values for one channel of one image."""
    cdef Py_ssize_t i, j, u, v, row, col
    cdef const real *source
    for i in range(oh):
        for j in range(ow):
            source = &cols[(image * oh + i) * ow + j, c * kh * kw]
            for u in range(kh):
                row = i * sh + u * dh - top
                if not 0 <= row < x.shape[2]:
                    continue
                for v in range(kw):
                    col = j * sw + v * dw - left
                    if 0 <= col < x.shape[3]:
                        x[image, c, row, col] += source[u * kw + v]
