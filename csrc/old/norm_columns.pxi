# Batch normalisation of short planes: the planes of some channels of an image lie side by side, a row, and each column
# of it has sums and parameters of its own. Then vectors need not know where a plane ends; what a channel has is written
# once per pixel before, and the sums of its columns are added up after. Plain features are planes of one pixel.
#
# A task is as wide as may be, not as high as the cache: its rows are short runs of memory far apart, and what hardware
# fetches ahead of a run is worth more than finding x in the second-level cache the second time.

cdef enum:
    COLUMNS = 1024              # of a task, at most: what is kept for each fills the first-level cache
    FEWEST_COLUMNS = 128        # of a task, unless all are fewer
    COLUMN_TASKS = 4            # at least, if there is enough to do
    ROWS_TO_FOLD = 256          # whose sums stay in the type of x
    COLUMNS_SIZE = COLUMNS + CNNX_MAX_LANES


cdef Py_ssize_t channels_per_task(Py_ssize_t channels, Py_ssize_t pixels) noexcept nogil:
    cdef Py_ssize_t columns = min(<Py_ssize_t>COLUMNS, channels * pixels // COLUMN_TASKS)
    return max(<Py_ssize_t>1, max(<Py_ssize_t>FEWEST_COLUMNS, columns) // pixels) if pixels < SHORT_PLANE else 1


cdef void column_moments(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t pixels, const real *x, const real *center,
    double *totals, double *squares,
) noexcept nogil:
    cdef real[COLUMNS_SIZE] centers
    cdef real[COLUMNS_SIZE] sums
    cdef real[COLUMNS_SIZE] sums_of_squares
    cdef Py_ssize_t i, part
    kernels_for(x).widen(channels, pixels, center, centers)
    memset(sums, 0, sizeof(sums))
    memset(sums_of_squares, 0, sizeof(sums_of_squares))
    for part in range(ceil_div(images, ROWS_TO_FOLD)):
        i = part * ROWS_TO_FOLD
        kernels_for(x).column_moments(
            min(<Py_ssize_t>ROWS_TO_FOLD, images - i), channels * pixels, step, x + i * step, centers, sums,
            sums_of_squares,
        )
        kernels_for(x).fold_columns(channels, pixels, sums, totals)
        kernels_for(x).fold_columns(channels, pixels, sums_of_squares, squares)


cdef void column_comoments(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t pixels, const real *dy, const real *x,
    const real *mean, const real *scale, const real *shift, Ending activation, double *totals, double *products,
) noexcept nogil:
    cdef real[COLUMNS_SIZE] means
    cdef real[COLUMNS_SIZE] scales
    cdef real[COLUMNS_SIZE] shifts
    cdef real[COLUMNS_SIZE] sums
    cdef real[COLUMNS_SIZE] sums_of_products
    cdef Py_ssize_t i, part
    kernels_for(x).widen(channels, pixels, mean, means)
    kernels_for(x).widen(channels, pixels, scale, scales)
    kernels_for(x).widen(channels, pixels, shift, shifts)
    memset(sums, 0, sizeof(sums))
    memset(sums_of_products, 0, sizeof(sums_of_products))
    for part in range(ceil_div(images, ROWS_TO_FOLD)):
        i = part * ROWS_TO_FOLD
        kernels_for(x).column_comoments(
            min(<Py_ssize_t>ROWS_TO_FOLD, images - i), channels * pixels, step, dy + i * step, x + i * step, means,
            scales, shifts, activation, sums, sums_of_products,
        )
        kernels_for(x).fold_columns(channels, pixels, sums, totals)
        kernels_for(x).fold_columns(channels, pixels, sums_of_products, products)


cdef void normalise_columns(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t pixels, const real *x, const real *mean,
    const real *scale, const real *shift, const real *add, Ending activation, real *y,
) noexcept nogil:
    cdef real[COLUMNS_SIZE] means
    cdef real[COLUMNS_SIZE] scales
    cdef real[COLUMNS_SIZE] shifts
    kernels_for(x).widen(channels, pixels, mean, means)
    kernels_for(x).widen(channels, pixels, scale, scales)
    kernels_for(x).widen(channels, pixels, shift, shifts)
    kernels_for(x).normalise_columns(
        images, channels * pixels, step, x, means, scales, shifts, add, activation, y
    )


cdef void normalise_columns_backward(
    Py_ssize_t images, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t pixels, const real *dy, const real *x,
    const real *mean, const real *scale, const real *shift, Ending activation, bint training, const real *slope,
    const real *offset, real *dx,
) noexcept nogil:
    cdef real[COLUMNS_SIZE] means
    cdef real[COLUMNS_SIZE] scales
    cdef real[COLUMNS_SIZE] shifts
    cdef real[COLUMNS_SIZE] slopes
    cdef real[COLUMNS_SIZE] offsets
    kernels_for(x).widen(channels, pixels, mean, means)
    kernels_for(x).widen(channels, pixels, scale, scales)
    kernels_for(x).widen(channels, pixels, shift, shifts)
    kernels_for(x).widen(channels, pixels, slope, slopes)
    kernels_for(x).widen(channels, pixels, offset, offsets)
    kernels_for(x).normalise_columns_backward(
        images, channels * pixels, step, dy, x, means, scales, shifts, activation, training, slopes, offsets, dx
    )
