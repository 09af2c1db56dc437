# The fully connected layer: three matrix products and a column sum, all on the same GEMM and the same threads.
#
# Design:
# For a few rows the product with the weights reads far more than it multiplies. Then each output is a dot product along
# a row of the weights, where it lies; packing them for the GEMM would cost more than that.

cdef enum:
    ROWS_OF_DOTS = 4                # up to so many rows of x; each reads the weights again, from the nearest cache
    OUTPUTS_PER_TASK = 16
    COLUMNS_PER_TASK = 16           # a cache line of floats


def linear(x, weight, bias, activation):
    y = empty((x.shape[0], weight.shape[0]), x)
    if x.size and weight.size:
        _linear(x, weight, bias, activation, y)
    else:
        y[...] = 0 if bias is None else bias
        finish_array(y, None, activation)
    return y


def _linear(
    const real[:, ::1] x,           # IN   (n, in)
    const real[:, ::1] weight,      # IN   (out, in)
    const real[::1] bias,           # IN   (out,), or None
    activation,
    real[:, ::1] y,                 # OUT  (n, out)
):
    cdef Py_ssize_t n = x.shape[0], inputs = x.shape[1], outputs = weight.shape[0], task
    cdef const real *shift = &bias[0] if bias is not None else NULL
    cdef Ending last = ending(activation)
    cdef int threads
    if n > ROWS_OF_DOTS:
        gemm(
            n, outputs, inputs, &x[0, 0], Steps(inputs, 1), &weight[0, 0], Steps(1, inputs), shift, last, &y[0, 0]
        )
        return
    threads = threads_for(0.1 * n * inputs * outputs)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(outputs, OUTPUTS_PER_TASK), schedule="static"):
            dots(x, weight, shift, task * OUTPUTS_PER_TASK, min(outputs, (task + 1) * OUTPUTS_PER_TASK), last, y)
        restore_denormals()


cdef void dots(
    const real[:, ::1] x,
    const real[:, ::1] weight,
    const real *bias,
    Py_ssize_t first,
    Py_ssize_t end,
    Ending activation,
    real[:, ::1] y,
) noexcept nogil:
    """A few outputs for every row of x."""
    cdef Py_ssize_t i, j
    for j in range(first, end):
        for i in range(x.shape[0]):
            y[i, j] = <real>kernels_for(&y[0, 0]).dot(x.shape[1], &x[i, 0], &weight[j, 0])
            if bias != NULL:
                y[i, j] += bias[j]
    finish_rows(x.shape[0], y.shape[1], end - first, <const real *>NULL, activation, &y[0, first])


def linear_backward(dy, x, weight, need_dx):
    multiplies = dy.size and x.size
    dx = (empty_like(x) if multiplies else zeros(x.shape, x)) if need_dx else None
    dweight = empty_like(weight) if multiplies else zeros(weight.shape, x)
    dbias = zeros((weight.shape[0],), x)
    if dy.size:
        _linear_dweight(dy, x, dweight, dbias)
    if multiplies and need_dx:
        _linear_dx(dy, weight, dx)
    return dx, dweight, dbias


def _linear_dweight(
    const real[:, ::1] dy,          # IN   (n, out)
    const real[:, ::1] x,           # IN   (n, in)
    real[:, ::1] dweight,           # OUT  (out, in)
    real[::1] dbias,                # OUT  (out,)
):
    cdef Py_ssize_t n = x.shape[0], inputs = x.shape[1], outputs = dy.shape[1], task
    cdef int threads = threads_for(0.1 * n * outputs)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(outputs, COLUMNS_PER_TASK), schedule="static"):
            column_sums(dy, task * COLUMNS_PER_TASK, min(outputs, (task + 1) * COLUMNS_PER_TASK), dbias)
        restore_denormals()
    if inputs:
        gemm(
            outputs, inputs, n, &dy[0, 0], Steps(1, outputs), &x[0, 0], Steps(inputs, 1), <const real *>NULL,
            NO_ACTIVATION, &dweight[0, 0],
        )


def _linear_dx(
    const real[:, ::1] dy,          # IN   (n, out)
    const real[:, ::1] weight,      # IN   (out, in), in > 0
    real[:, ::1] dx,                # OUT  (n, in)
):
    cdef Py_ssize_t n = dy.shape[0], inputs = weight.shape[1], outputs = weight.shape[0]
    gemm(
        n, inputs, outputs, &dy[0, 0], Steps(outputs, 1), &weight[0, 0], Steps(inputs, 1), <const real *>NULL,
        NO_ACTIVATION, &dx[0, 0],
    )


cdef void column_sums(const real[:, ::1] x, Py_ssize_t first, Py_ssize_t end, real[::1] sums) noexcept nogil:
    """A few columns, row by row, in double."""
    cdef double totals[COLUMNS_PER_TASK]
    cdef Py_ssize_t i, j
    memset(totals, 0, sizeof(totals))
    for i in range(x.shape[0]):
        for j in range(end - first):
            totals[j] += x[i, first + j]
    for j in range(end - first):
        sums[first + j] = <real>totals[j]
