# conv2d and its gradients, on the driver of convolve.pyx.

from cnnx.backends.choose import Convolution, choose, is_winograd

def conv2d(x, weight, bias, stride, padding, dilation, groups, activation, add):
    (top, bottom), (left, right) = padding
    oh = (x.shape[2] + top + bottom - dilation[0] * (weight.shape[2] - 1) - 1) // stride[0] + 1
    ow = (x.shape[3] + left + right - dilation[1] * (weight.shape[3] - 1) - 1) // stride[1] + 1
    y_shape = (x.shape[0], weight.shape[0], oh, ow)
    return correlate(x, weight, bias, y_shape, stride, (top, left), dilation, groups, activation, add)


def correlate(x, weight, bias, y_shape, stride, padding, dilation, groups, activation, add):
    """y of conv2d, or dx of conv_transpose2d; padding is (top, left)."""
    y = empty(y_shape, x)
    algorithm = choose(Convolution.of("forward", x.shape, weight.shape, y_shape, stride, dilation, x.dtype))
    if not x.size or not y.size:
        y[...] = 0 if bias is None else bias[:, None, None]
        finish_array(y, add, activation)
    elif is_winograd(algorithm):
        _winograd(x, weight, bias, padding, False, algorithm == "winograd_by_filters", activation, add, y)
    elif algorithm == "depthwise":
        _depthwise(x, weight, bias, stride, padding, dilation, groups, activation, add, y)
    elif algorithm == "columns":
        conv2d_by_columns(x, weight, bias, stride, padding, dilation, activation, add, y)
    elif algorithm == "pointwise":
        _pointwise(x, weight, False, bias, stride, padding, activation, add, y)
    else:
        _conv2d(x, weight, bias, stride, padding, dilation, groups, algorithm, activation, add, y)
    return y


def _winograd(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    const real[:, :, :, ::1] weight,    # IN   (oc, c, 3, 3); rotated: (c, oc, 3, 3)
    const real[::1] bias,               # IN   (oc,), or None
    padding,                            # (top, left)
    bint rotated,
    bint by_filters,
    activation,
    const real[:, :, :, ::1] add,       # IN   as y, or None
    real[:, :, :, ::1] y,               # OUT  (n, oc, oh, ow)
):
    cdef Winograd job = make_winograd(x, y, padding, weight.shape[1] * 9, rotated)
    job.add = &add[0, 0, 0, 0] if add is not None else NULL
    job.activation = ending(activation)
    cdef const real *shift = &bias[0] if bias is not None else NULL
    if by_filters:
        winograd_by_filters(&job, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], shift, &y[0, 0, 0, 0])
    else:
        winograd(&job, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], shift, &y[0, 0, 0, 0])


def _conv2d(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    const real[:, :, :, ::1] weight,    # IN   (oc, c / groups, kh, kw)
    const real[::1] bias,               # IN   (oc,), or None
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    algorithm,
    activation,
    const real[:, :, :, ::1] add,       # IN   as y, or None
    real[:, :, :, ::1] y,               # OUT  (n, oc, oh, ow)
):
    cdef Py_ssize_t channels = weight.shape[1], kernel = weight.shape[2] * weight.shape[3]
    cdef Py_ssize_t filters = weight.shape[0] // groups, g
    cdef Windows windows = {"filter_lanes": AS_ROWS, "implicit_gemm": COPIED, "direct": WHERE_THEY_LIE}[algorithm]
    cdef Py_ssize_t width = kernels_for(&x[0, 0, 0, 0]).nr if windows == AS_ROWS else kernels_for(&x[0, 0, 0, 0]).mr
    cdef Py_ssize_t panels = ceil_div(filters, width) * width * channels * kernel
    cdef Py_ssize_t[:, ::1] table = tap_table(
        [u * dilation[0] for u in range(weight.shape[2])], [v * dilation[1] for v in range(weight.shape[3])]
    )
    cdef Taps taps = window_taps(x.shape[2], x.shape[3], stride, (-padding[0], -padding[1]), table)
    cdef Block weights = take(groups * panels * sizeof(real))
    for g in range(groups):
        pack_filters(
            filters, channels * kernel, &weight[g * filters, 0, 0, 0], channels * kernel, 1, width,
            <real *>weights.data + g * panels,
        )
    cdef const real *shift = &bias[0] if bias is not None else NULL
    cdef const real *more = &add[0, 0, 0, 0] if add is not None else NULL
    convolve(
        &taps, windows, x.shape[0], groups, channels, filters, &x[0, 0, 0, 0], <real *>weights.data, shift, y.shape[2],
        y.shape[3], more, ending(activation), &y[0, 0, 0, 0],
    )


def _winograd_dweight(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    padding,                            # (top, left)
    bint by_strips,
    real[:, :, :, ::1] dweight,         # OUT  (oc, c, 3, 3)
    real[::1] dbias,                    # OUT  (oc,)
):
    cdef Winograd job = make_winograd(x, dy, padding, 0, False)
    if by_strips:
        winograd_dweight_by_strips(&job, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dweight[0, 0, 0, 0], &dbias[0])
    else:
        winograd_dweight(&job, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dweight[0, 0, 0, 0], &dbias[0])


def conv2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    top_left = (padding[0][0], padding[1][0])
    # The weights' gradient first: its sums are the most scratch there is, and gone when dx is made.
    of_weights = weight_gradient(dy, x, weight.shape, stride, top_left, dilation, groups)
    dx = data_gradient(dy, weight, None, x.shape, stride, top_left, dilation, groups) if need_dx else None
    return dx, *of_weights


def data_gradient(dy, weight, bias, x_shape, stride, padding, dilation, groups):
    """dx of conv2d, or, with a bias, y of conv_transpose2d; padding is (top, left)."""
    dx = empty(x_shape, dy)
    algorithm = choose(Convolution.of("backward_data", x_shape, weight.shape, dy.shape, stride, dilation, dy.dtype))
    if not dy.size or not dx.size:
        dx[...] = 0 if bias is None else bias[:, None, None]
    elif is_winograd(algorithm):
        top_left = (2 - padding[0], 2 - padding[1])
        _winograd(dy, weight, bias, top_left, True, algorithm == "winograd_by_filters", None, None, dx)
    elif algorithm == "depthwise":
        _depthwise_dx(dy, weight, bias, stride, padding, dilation, groups, dx)
    elif algorithm == "columns":
        conv2d_dx_by_columns(dy, weight, bias, stride, padding, dilation, dx)
    elif algorithm == "pointwise":
        # Pixels that no window meets: between them, or beyond the last, in a transposed convolution's output padding.
        if stride != (1, 1) or dx.shape[2] > dy.shape[2] - padding[0] or dx.shape[3] > dy.shape[3] - padding[1]:
            dx[...] = 0 if bias is None else bias[:, None, None]
        _pointwise(dy, weight, True, bias, stride, padding, None, None, dx)
    else:
        packed = algorithm == "implicit_gemm"
        if stride == (1, 1):
            _conv2d_dx(dy, weight, bias, padding, dilation, groups, packed, dx)
        else:
            _conv2d_dx_strided(dy, weight, bias, stride, padding, dilation, groups, packed, dx)
    return dx


def weight_gradient(dy, x, weight_shape, stride, padding, dilation, groups):
    """dweight and dbias of conv2d; padding is (top, left)."""
    dweight, dbias = zeros(weight_shape, x), zeros((weight_shape[0],), x)
    algorithm = choose(Convolution.of("backward_weight", x.shape, weight_shape, dy.shape, stride, dilation, x.dtype))
    if not dy.size or not x.size:
        dbias[...] = dy.sum(axis=(0, 2, 3))
    elif algorithm == "depthwise":
        _depthwise_dweight(dy, x, stride, padding, dilation, groups, dweight, dbias)
    elif algorithm == "columns":
        conv2d_dweight_by_columns(dy, x, stride, padding, dilation, dweight, dbias)
    elif algorithm == "pointwise":
        _pointwise_dweight(dy, x, stride, padding, dweight, dbias)
    elif is_winograd(algorithm):
        _winograd_dweight(x, dy, padding, algorithm == "winograd_by_strips", dweight, dbias)
    else:
        _conv2d_dweight(dy, x, stride, padding, dilation, groups, dweight, dbias)
    return dweight, dbias


def _conv2d_dx(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] weight,    # IN   (oc, c / groups, kh, kw)
    const real[::1] bias,               # IN   (c,), or None
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    bint packed,
    real[:, :, :, ::1] dx,              # OUT  (n, c, h, w)
):
    """With stride 1: a convolution of dy, by the weights turned round."""
    cdef Py_ssize_t kh = weight.shape[2], kw = weight.shape[3], dh = dilation[0], dw = dilation[1]
    cdef Py_ssize_t channels = dy.shape[1] // groups, nr = kernels_for(&dx[0, 0, 0, 0]).nr
    cdef Py_ssize_t[:, ::1] table = tap_table([u * dh for u in range(kh)], [v * dw for v in range(kw)])
    cdef Py_ssize_t[:, ::1] cells = tap_table(range(kh - 1, -1, -1), range(kw - 1, -1, -1))
    cdef Taps taps = window_taps(
        dy.shape[2], dy.shape[3], (1, 1), (padding[0] - dh * (kh - 1), padding[1] - dw * (kw - 1)), table
    )
    cdef Py_ssize_t mr = kernels_for(&dx[0, 0, 0, 0]).mr, filters = ceil_div(weight.shape[1], mr) * mr
    cdef Block weights = take(dy.shape[1] * filters * kh * kw * sizeof(real))
    if not packed and make_band(&taps, dx.shape[2], dx.shape[3], nr, channels).channels == channels:
        taps.per = kw
    pack_transposed_filters(weight, cells, groups, taps.per, <real *>weights.data)
    convolve(
        &taps, COPIED if packed else WHERE_THEY_LIE, dy.shape[0], groups, channels, weight.shape[1], &dy[0, 0, 0, 0],
        <real *>weights.data, &bias[0] if bias is not None else <const real *>NULL, dx.shape[2], dx.shape[3],
        <const real *>NULL, NO_ACTIVATION, &dx[0, 0, 0, 0],
    )


cdef void pack_transposed_filters(
    const real[:, :, :, ::1] weight,
    Py_ssize_t[:, ::1] cells,   # (2, taps) of the kernel
    Py_ssize_t groups,
    Py_ssize_t per,             # taps of a filter that follow each other (see Taps)
    real *panels,               # OUT  (groups, panels, (filter, tap), mr)
) noexcept:
    """Weights at some kernel cells as backward-data reads them: rows are channels of x, columns (filter, tap)."""
    cdef Py_ssize_t filters = weight.shape[0] // groups, channels = weight.shape[1], g, first, part, f, t, i
    cdef Py_ssize_t mr = kernels_for(panels).mr, kernel = weight.shape[2] * weight.shape[3]
    cdef const real *cell
    for g in range(groups):
        for first in range(0, channels, mr):
            for part in range(0, cells.shape[1], per):
                for f in range(g * filters, (g + 1) * filters):
                    for t in range(part, part + per):
                        cell = &weight[f, first, cells[0, t], cells[1, t]]
                        for i in range(mr):
                            panels[i] = cell[i * kernel] if first + i < channels else 0
                        panels += mr
