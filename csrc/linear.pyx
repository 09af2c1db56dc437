# The fully connected layer: three matrix products and a column sum, all on the same GEMM and the same threads.


def linear(x, weight, bias, activation):
    y = empty((x.shape[0], weight.shape[0]), x)
    y[...] = 0 if bias is None else bias
    if x.size and weight.size:
        _linear(x, weight, activation, y)
    else:
        _finish(y.reshape(-1), None, activation)
    return y


def _linear(
    const real[:, ::1] x,           # IN   (n, in)
    const real[:, ::1] weight,      # IN   (out, in)
    activation,
    real[:, ::1] y,                 # OUT  += (n, out)
):
    cdef Py_ssize_t n = x.shape[0], inputs = x.shape[1], outputs = weight.shape[0]
    gemm(n, outputs, inputs, &x[0, 0], inputs, 1, &weight[0, 0], 1, inputs, ending(activation), &y[0, 0])


def linear_backward(dy, x, weight, need_dx):
    dx = zeros(x.shape, x) if need_dx else None
    dweight = zeros(weight.shape, x)
    dbias = zeros((weight.shape[0],), x)
    if dy.size:
        _column_sums(dy, dbias)
    if dy.size and x.size:
        _linear_backward(dy, x, weight, dx, dweight)
    return dx, dweight, dbias


def _linear_backward(
    const real[:, ::1] dy,          # IN   (n, out)
    const real[:, ::1] x,           # IN   (n, in)
    const real[:, ::1] weight,      # IN   (out, in)
    real[:, ::1] dx,                # OUT  += (n, in), or None
    real[:, ::1] dweight,           # OUT  += (out, in)
):
    cdef Py_ssize_t n = x.shape[0], inputs = x.shape[1], outputs = weight.shape[0]
    gemm(outputs, inputs, n, &dy[0, 0], 1, outputs, &x[0, 0], inputs, 1, NO_ACTIVATION, &dweight[0, 0])
    if dx is not None:
        gemm(n, inputs, outputs, &dy[0, 0], outputs, 1, &weight[0, 0], inputs, 1, NO_ACTIVATION, &dx[0, 0])


cdef enum:
    COLUMNS_PER_TASK = 16           # a cache line of floats


def _column_sums(
    const real[:, ::1] x,           # IN   (n, columns)
    real[::1] sums,                 # OUT  (columns,)
):
    cdef Py_ssize_t n = x.shape[0], columns = x.shape[1], task
    cdef int threads = threads_for(0.5 * n * columns)
    for task in prange(ceil_div(columns, COLUMNS_PER_TASK), nogil=True, schedule="static", num_threads=threads):
        column_sums_task(
            n, columns, &x[0, 0], task * COLUMNS_PER_TASK, min(columns, (task + 1) * COLUMNS_PER_TASK), &sums[0]
        )


cdef void column_sums_task(
    Py_ssize_t n, Py_ssize_t columns, const real *x, Py_ssize_t first, Py_ssize_t last, real *sums
) noexcept nogil:
    """A few columns, row by row, in double."""
    cdef double totals[COLUMNS_PER_TASK]
    cdef Py_ssize_t i, j
    memset(totals, 0, sizeof(totals))
    for i in range(n):
        for j in range(first, last):
            totals[j - first] += x[i * columns + j]
    for j in range(first, last):
        sums[j] = <real>totals[j - first]
