# Products of two arrays, either of which may be broadcast along axes of the other.
#
# Design:
# Adjacent axes that are broadcast alike are merged into one: gates (n, c, 1, 1) and images (n, c, h, w) are a matrix
# (n*c, h*w) with one factor per row. So there are few axes, and along the last one an operand is either a row of
# numbers or one number. A task is a piece of the result: some rows, or a part of a long one.
# The gradient of an operand that has the shape of the result is a product. That of a broadcast one is a sum of products
# per element; each is computed by one thread, in the order in which the products lie in memory. If the last axis is
# summed, a row is a dot product in vector lanes (sums.pyx), and rows are added in double. If it is not, the sums of a
# piece of it lie side by side: ROWS_TOGETHER rows are added in their own type, and these sums in double. Both gradients
# are made in the same pass, so dy is read from memory once.
# If both operands are broadcast, as in an outer product, backward first copies the other one to its full size.

cdef enum:
    SUMS_SIDE_BY_SIDE = 1024        # 12 kB of floats and doubles, which stay in the first cache
    ROWS_TOGETHER = 64              # few enough that a sum of floats stays exact to a few bits


cdef struct Axes:                   # at least one
    int ndim
    Py_ssize_t sizes[cnp.NPY_MAXDIMS]
    Py_ssize_t x_steps[cnp.NPY_MAXDIMS]     # elements from one place to the next; 0: x is broadcast
    Py_ssize_t y_steps[cnp.NPY_MAXDIMS]


cdef Axes joined_axes(x, y) noexcept:
    """The axes of x * y, none of which is of size 0."""
    cdef cnp.npy_intp *x_shape = cnp.PyArray_DIMS(<cnp.ndarray>x)
    cdef cnp.npy_intp *y_shape = cnp.PyArray_DIMS(<cnp.ndarray>y)
    cdef Py_ssize_t size, x_step = 1, y_step = 1
    cdef bint x_goes, y_goes, x_went = False, y_went = False
    cdef int d
    cdef Axes axes
    axes.ndim = 0
    for d in range(cnp.PyArray_NDIM(<cnp.ndarray>x)):
        size, x_goes, y_goes = max(x_shape[d], y_shape[d]), x_shape[d] > 1, y_shape[d] > 1
        if size == 1:
            continue
        if axes.ndim == 0 or x_goes != x_went or y_goes != y_went:
            axes.sizes[axes.ndim], axes.x_steps[axes.ndim], axes.y_steps[axes.ndim] = 1, x_goes, y_goes
            axes.ndim += 1
        axes.sizes[axes.ndim - 1] *= size
        x_went, y_went = x_goes, y_goes
    if axes.ndim == 0:
        axes.ndim, axes.sizes[0], axes.x_steps[0], axes.y_steps[0] = 1, 1, 1, 1
    for d in range(axes.ndim - 1, -1, -1):
        if axes.x_steps[d]:
            axes.x_steps[d] = x_step
            x_step *= axes.sizes[d]
        if axes.y_steps[d]:
            axes.y_steps[d] = y_step
            y_step *= axes.sizes[d]
    return axes


cdef Py_ssize_t rows_of(const Axes *axes) noexcept nogil:
    cdef Py_ssize_t rows = 1
    cdef int d
    for d in range(axes.ndim - 1):
        rows *= axes.sizes[d]
    return rows


cdef inline Py_ssize_t row_start(const Axes *axes, const Py_ssize_t *steps, Py_ssize_t row) noexcept nogil:
    """Where the row begins in the operand with these steps."""
    cdef Py_ssize_t start = 0
    cdef int d
    for d in range(axes.ndim - 2, 0, -1):
        start += row % axes.sizes[d] * steps[d]
        row //= axes.sizes[d]
    return start + row * steps[0] if axes.ndim > 1 else 0


def multiply(x, y):
    cdef Axes axes
    if x.shape == y.shape:
        z = empty_like(x)
    else:
        z = empty(tuple([n if m == 1 else m for m, n in zip(x.shape, y.shape)]), x)
    if not size_of(z):
        return z
    axes = joined_axes(x, y)
    if is_single(x):
        _multiply(&axes, <const float *>data_of(x), <const float *>data_of(y), <float *>data_of(z))
    else:
        _multiply(&axes, <const double *>data_of(x), <const double *>data_of(y), <double *>data_of(z))
    return z


cdef int _multiply(
    const Axes *axes,
    const real *x,                  # IN
    const real *y,                  # IN
    real *z,                        # OUT
) except -1:
    cdef Py_ssize_t n = axes.sizes[axes.ndim - 1], rows = rows_of(axes), task, start
    cdef Py_ssize_t rows_per_task = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // n), pieces = ceil_div(n, ELEMENTS_PER_TASK)
    cdef int threads = threads_for(1.5 * MEMORY_NANOSECONDS * n * rows)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(rows, rows_per_task) * pieces, schedule="static"):
            start = task % pieces * ELEMENTS_PER_TASK
            multiply_rows(
                axes, task // pieces * rows_per_task, min(rows, (task // pieces + 1) * rows_per_task), start,
                min(<Py_ssize_t>ELEMENTS_PER_TASK, n - start), x, y, z,
            )
        restore_denormals()


cdef void multiply_rows(
    const Axes *axes,
    Py_ssize_t first,               # row
    Py_ssize_t end,
    Py_ssize_t start,               # in each row
    Py_ssize_t n,                   # elements of each, from there on
    const real *x,
    const real *y,
    real *z,
) noexcept nogil:
    cdef int last = axes.ndim - 1
    cdef const real *x_row
    cdef const real *y_row
    cdef real *z_row
    cdef Py_ssize_t row
    for row in range(first, end):
        x_row = x + row_start(axes, axes.x_steps, row) + start * axes.x_steps[last]
        y_row = y + row_start(axes, axes.y_steps, row) + start * axes.y_steps[last]
        z_row = z + row * axes.sizes[last] + start
        if axes.y_steps[last] == 0:
            kernels_for(x).scaled(n, x_row, y_row[0], z_row)
        elif axes.x_steps[last] == 0:
            kernels_for(x).scaled(n, y_row, x_row[0], z_row)
        else:
            kernels_for(x).times(n, x_row, y_row, z_row)


def multiply_backward(dy, x, y):
    if not size_of(dy):
        return zeros(x.shape, dy), zeros(y.shape, dy)
    if size_of(x) == size_of(dy) == size_of(y):
        return multiply(dy, y), multiply(dy, x)
    if size_of(x) == size_of(dy):
        return gradients(dy, x, y, True)
    if size_of(y) == size_of(dy):
        of_y, dx = gradients(dy, y, x, True)
        return dx, of_y
    return (
        gradients(dy, np.ascontiguousarray(np.broadcast_to(y, dy.shape)), x, False)[1],
        gradients(dy, np.ascontiguousarray(np.broadcast_to(x, dy.shape)), y, False)[1],
    )


cdef object gradients(dy, full, factor, bint need_full):
    """Of an operand that has the shape of dy, unless it is not needed, and of one that is broadcast."""
    cdef Axes axes = joined_axes(factor, dy)
    dfull, dfactor = empty_like(dy) if need_full else None, empty_like(factor)
    if is_single(dy):
        _gradients(
            &axes, <const float *>data_of(dy), <const float *>data_of(full), <const float *>data_of(factor),
            <float *>data_of(dfull), <float *>data_of(dfactor),
        )
    else:
        _gradients(
            &axes, <const double *>data_of(dy), <const double *>data_of(full), <const double *>data_of(factor),
            <double *>data_of(dfull), <double *>data_of(dfactor),
        )
    return dfull, dfactor


cdef int _gradients(
    const Axes *axes,               # x is the factor, y is dy
    const real *dy,                 # IN
    const real *full,               # IN   as dy
    const real *factor,             # IN
    real *dfull,                    # OUT  as dy, or NULL
    real *dfactor,                  # OUT  as factor
) except -1:
    cdef Axes kept, summed          # all but the last axis; their y_steps are those of dy
    cdef Axes *into
    cdef int last = axes.ndim - 1, d
    kept.ndim = summed.ndim = 0
    for d in range(last):
        into = &kept if axes.x_steps[d] else &summed
        into.sizes[into.ndim], into.y_steps[into.ndim] = axes.sizes[d], axes.y_steps[d]
        into.ndim += 1
    # rows_of and row_start leave the last axis out.
    kept.ndim += 1
    summed.ndim += 1
    cdef Py_ssize_t n = axes.sizes[last], rows = rows_of(&kept), task
    cdef bint across = axes.x_steps[last] != 0
    cdef Py_ssize_t pieces = ceil_div(n, SUMS_SIDE_BY_SIDE) if across else 1
    cdef int threads = threads_for(2 * MEMORY_NANOSECONDS * n * rows * rows_of(&summed))
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(rows * pieces, schedule="static"):
            if across:
                sum_across(
                    &kept, &summed, n, task // pieces, task % pieces * SUMS_SIDE_BY_SIDE, dy, full, factor, dfull,
                    dfactor,
                )
            else:
                sum_rows(&kept, &summed, n, task, dy, full, factor[task], dfull, dfactor)
        restore_denormals()


cdef void sum_rows(
    const Axes *kept, const Axes *summed, Py_ssize_t n, Py_ssize_t row, const real *dy, const real *full, real factor,
    real *dfull, real *dfactor,
) noexcept nogil:
    """One sum, over whole rows, and the gradient of the same rows."""
    cdef Py_ssize_t first = row_start(kept, kept.y_steps, row), more, at
    cdef double total = 0
    for more in range(rows_of(summed)):
        at = first + row_start(summed, summed.y_steps, more)
        total += row_dot(n, dy + at, full + at)
        if dfull != NULL:
            kernels_for(dy).scaled(n, dy + at, factor, dfull + at)
    dfactor[row] = <real>total


cdef void sum_across(
    const Axes *kept, const Axes *summed, Py_ssize_t n, Py_ssize_t row, Py_ssize_t start, const real *dy,
    const real *full, const real *factor, real *dfull, real *dfactor,
) noexcept nogil:
    """Sums side by side, of a piece of a row, and the gradient of the same pieces."""
    cdef real sums[SUMS_SIDE_BY_SIDE]
    cdef double totals[SUMS_SIDE_BY_SIDE]
    cdef Py_ssize_t some = min(<Py_ssize_t>SUMS_SIDE_BY_SIDE, n - start), rows = rows_of(summed), more, at, i
    cdef Py_ssize_t first = row_start(kept, kept.y_steps, row) + start
    memset(sums, 0, some * sizeof(real))
    memset(totals, 0, some * sizeof(double))
    for more in range(rows):
        at = first + row_start(summed, summed.y_steps, more)
        kernels_for(dy).add_product(some, dy + at, full + at, sums)
        if dfull != NULL:
            kernels_for(dy).times(some, dy + at, factor + row * n + start, dfull + at)
        if more % ROWS_TOGETHER == ROWS_TOGETHER - 1 or more == rows - 1:
            for i in range(some):
                totals[i] += sums[i]
            memset(sums, 0, some * sizeof(real))
    for i in range(some):
        dfactor[row * n + start + i] = <real>totals[i]
