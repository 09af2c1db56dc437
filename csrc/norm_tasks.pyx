"""The tasks of batch normalisation: sums over some channels, factors made of them, and the normalisation.

# Design:
# The passes of a task follow each other while its channels are in the cache. They go by rows, and there are two ways to
# see the planes of channels a, b, c as rows; `divide` decides:
#     long planes: each a row, with one factor        short planes: side by side, a row for each image
#         image 0   a a a a a a a a                       image 0   a a a b b b c c c
#         image 1   a a a a a a a a                       image 1   a a a b b b c c c
#         factor    a                                     factors   a a a b b b c c c
# Columns have sums and factors of their own, so that vectors need not know where a plane ends; the sums of a channel's
# columns are added up after. Plain features are planes of one pixel. A task of columns is as wide as may be, not as
# high as the cache: its rows are short runs of memory far apart, and what hardware prefetches beyond a run is worth
# more than finding x in the second-level cache the second time. A task of long planes is one channel; its second pass
# goes backwards, for the images that were read last are the nearest.
# One pass makes both moments about a center: the mean of the first images. About x[0] all digits would be lost where
# that is an outlier; about the mean of a part of the values, at least the share 1/k of them, the squares are at most
# k + 1 times the variance, whatever the values are. Sums are made in vector lanes, of a few thousand elements, then in
# double, always in the same order.
"""

from libc.math cimport isfinite, sqrt
from libc.string cimport memset

from kernels cimport CNNX_MAX_LANES, CNNX_NORM_PARAMETERS, cnnx_columns, kernels_for, real
from .parallel cimport ceil_div
from .sums cimport PIECE

cdef enum:
    SHORT_PLANE = 128           # pixels: shorter planes are columns; longer ones fill enough vectors by themselves
    COLUMNS = 1024              # of a task, at most: what is kept for each fills the first-level cache
    FEWEST_COLUMNS = 128        # of a task, unless all are fewer: neighbouring tasks write to one cache line, of eight
    COLUMN_TASKS = 4            # at least, if there is enough to do: for threads to share
    ROWS_TO_FOLD = 256          # of columns, summed in the type of x: floats stay exact to a few bits
    CENTER_PIXELS = 256         # of the first image, for the center of a long plane
    CENTER_SHARE = 16           # of columns, one image in so many


cdef enum Factor:               # what lies in the scratch memory for each column, or once for long planes
    VALUES                      # one for each channel, not yet for columns
    MEAN                        # or the center; from here to OFFSET the parameters of the kernels, in their order
    SCALE                       # y = (x - mean) * scale + shift
    SHIFT
    SLOPE                       # dx = g * scale + (x - mean) * slope + offset
    OFFSET
    FIRST_SUMS                  # of x - center or g, in the type of x
    SECOND_SUMS                 # of (x - center)^2 or g * (x - mean)
    FACTORS


cdef void divide(Norm *b) noexcept nogil:
    """Of which channels a task is, and how it sees them. The sizes are set."""
    cdef Py_ssize_t columns = min(<Py_ssize_t>COLUMNS, b.channels * b.pixels // COLUMN_TASKS)
    b.image = b.channels * b.pixels
    b.columns = 0 < b.pixels < SHORT_PLANE
    b.share = max(<Py_ssize_t>FEWEST_COLUMNS, columns) // b.pixels if b.columns else 1
    # A vector that begins within a row may end beyond it.
    b.width = (ceil_div(b.share * b.pixels if b.columns else 1, CNNX_MAX_LANES) + 1) * CNNX_MAX_LANES


cdef size_t scratch_bytes(const Norm *b, size_t itemsize) noexcept nogil:
    """For the factors, and two sums of each channel."""
    return FACTORS * b.width * itemsize + 2 * b.share * sizeof(double)


cdef void take_statistics(const Norm *b, const real *running_mean, const real *running_var) noexcept nogil:
    """Statistics that are not those of x: the running ones, or 0 for a batch without elements."""
    cdef real *mean = <real *>b.mean
    cdef real *inv_std = <real *>b.inv_std
    cdef real variance
    cdef Py_ssize_t c
    for c in range(b.channels):
        mean[c] = running_mean[c] if not b.training else 0
        variance = running_var[c] if not b.training else 0
        inv_std[c] = 1 / <real>sqrt(variance + <real>b.eps)


cdef inline real *factor(const Norm *b, Factor which, real *scratch) noexcept nogil:
    return scratch + which * b.width


cdef inline double *channel_sums(const Norm *b, int which, real *scratch) noexcept nogil:
    """The first or the second sum of each channel."""
    return <double *>(scratch + FACTORS * b.width) + which * b.share


cdef inline Py_ssize_t channels_from(const Norm *b, Py_ssize_t first) noexcept nogil:
    """The number of channels of the task that begins there."""
    return min(b.share, b.channels - first)


cdef void spread(
    const Norm *b, Py_ssize_t channels, const real *values, Factor which, real *scratch
) noexcept nogil:
    """One value per channel to one per column."""
    if b.columns:
        kernels_for(values).widen(channels, b.pixels, values, factor(b, which, scratch))
    else:
        factor(b, which, scratch)[0] = values[0]


cdef void forward_task(const Norm *b, Py_ssize_t task, real *scratch) noexcept nogil:
    if b.training:
        find_statistics(b, task * b.share, scratch)
    set_affine(b, task * b.share, scratch)
    normalise(b, task * b.share, scratch)


cdef void find_statistics(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    """Mean and inverse standard deviation of some channels; their running statistics follow."""
    cdef Py_ssize_t channels = channels_from(b, first), images = ceil_div(b.n, CENTER_SHARE) if b.columns else 1, j
    cdef Py_ssize_t pixels = min(b.pixels, <Py_ssize_t>CENTER_PIXELS)
    cdef double elements = <double>b.n * b.pixels, mean_of = 1 / elements, unbiased = elements / (elements - 1), shift
    cdef double variance
    cdef real *center = factor(b, VALUES, scratch)
    cdef double *totals = channel_sums(b, 0, scratch)
    cdef double *squares = channel_sums(b, 1, scratch)
    cdef real *mean = <real *>b.mean + first
    cdef real *inv_std = <real *>b.inv_std + first
    cdef real *running_mean = <real *>b.running_mean + first if b.running_mean != NULL else NULL
    cdef real *running_var = <real *>b.running_var + first if b.running_var != NULL else NULL
    memset(center, 0, channels * sizeof(real))
    spread(b, channels, <const real *>center, MEAN, scratch)
    add_up(b, first, images, pixels, scratch)
    for j in range(channels):
        shift = totals[j] * (1 / (<double>images * pixels))
        center[j] = <real>shift if isfinite(shift) else 0
    spread(b, channels, <const real *>center, MEAN, scratch)
    add_up(b, first, b.n, b.pixels, scratch)
    for j in range(channels):
        shift = totals[j] * mean_of
        mean[j] = <real>(center[j] + shift)
        variance = (squares[j] - totals[j] * shift) * mean_of
        if variance < 0:
            variance = 0                # by rounding; NaN stays
        inv_std[j] = <real>(1 / sqrt(variance + b.eps))
        if running_mean != NULL:
            running_mean[j] += <real>(b.momentum * (mean[j] - running_mean[j]))
        if running_var != NULL:
            running_var[j] += <real>(b.momentum * (variance * unbiased - running_var[j]))


cdef void set_affine(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    """What makes y of x: mean, scale and shift of some channels."""
    cdef Py_ssize_t channels = channels_from(b, first), j
    cdef const real *weight = <const real *>b.weight
    cdef const real *bias = <const real *>b.bias
    cdef const real *inv_std = <const real *>b.inv_std
    cdef real *values = factor(b, VALUES, scratch)
    spread(b, channels, <const real *>b.mean + first, MEAN, scratch)
    for j in range(channels):
        values[j] = inv_std[first + j] * weight[first + j] if weight != NULL else inv_std[first + j]
    spread(b, channels, <const real *>values, SCALE, scratch)
    for j in range(channels):
        values[j] = bias[first + j] if bias != NULL else 0
    spread(b, channels, <const real *>values, SHIFT, scratch)


cdef void backward_task(const Norm *b, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = task * b.share, channels = channels_from(b, first), j
    cdef double mean_of = 1 / (<double>b.n * b.pixels), scale
    cdef double *totals = channel_sums(b, 0, scratch)
    cdef double *products = channel_sums(b, 1, scratch)
    cdef const real *inv_std = <const real *>b.inv_std + first
    cdef real *dweight = <real *>b.dweight + first
    cdef real *dbias = <real *>b.dbias + first
    cdef real *values = factor(b, VALUES, scratch)
    set_affine(b, first, scratch)
    add_up(b, first, b.n, b.pixels, scratch)
    for j in range(channels):
        dweight[j] = <real>(products[j] * inv_std[j])
        dbias[j] = <real>totals[j]
        scale = factor(b, SCALE, scratch)[j * b.pixels]
        values[j] = <real>(-scale * inv_std[j] * inv_std[j] * products[j] * mean_of)
    spread(b, channels, <const real *>values, SLOPE, scratch)
    for j in range(channels):
        scale = factor(b, SCALE, scratch)[j * b.pixels]
        values[j] = <real>(-scale * totals[j] * mean_of)
    spread(b, channels, <const real *>values, OFFSET, scratch)
    normalise_backward(b, first, scratch)


cdef void add_up(
    const Norm *b, Py_ssize_t first, Py_ssize_t images, Py_ssize_t pixels, real *scratch
) noexcept nogil:
    """The two sums of each channel, over the first pixels of its planes (of columns: all) in the first images.

    Forward of x - MEAN and its square; backward of g and g * (x - MEAN), g being dy gone back through the activation.
    """
    memset(channel_sums(b, 0, scratch), 0, 2 * b.share * sizeof(double))
    memset(factor(b, FIRST_SUMS, scratch), 0, 2 * b.width * sizeof(real))
    if b.columns:
        add_columns(b, first, images, scratch)
    else:
        add_plane(b, first, images, pixels, scratch)


cdef void add_columns(const Norm *b, Py_ssize_t first, Py_ssize_t images, real *scratch) noexcept nogil:
    cdef Py_ssize_t channels = channels_from(b, first), block, at
    cdef cnnx_columns columns = cnnx_columns(0, channels * b.pixels, b.image, b.width)
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef real *parameters = factor(b, MEAN, scratch)
    cdef real *sums = factor(b, FIRST_SUMS, scratch)
    for block in range(ceil_div(images, ROWS_TO_FOLD)):
        columns.rows = min(<Py_ssize_t>ROWS_TO_FOLD, images - block * ROWS_TO_FOLD)
        at = first * b.pixels + block * ROWS_TO_FOLD * b.image
        if dy == NULL:
            kernels_for(x).column_moments(&columns, x + at, parameters, sums)
        else:
            kernels_for(x).column_comoments(&columns, dy + at, x + at, parameters, b.activation, sums)
        kernels_for(x).fold_columns(channels, b.pixels, sums, channel_sums(b, 0, scratch))
        kernels_for(x).fold_columns(
            channels, b.pixels, factor(b, SECOND_SUMS, scratch), channel_sums(b, 1, scratch)
        )


cdef void plane_parameters(const Norm *b, real *scratch, real *parameters) noexcept nogil:
    """The parameters of a long plane, one after the other."""
    cdef int p
    for p in range(CNNX_NORM_PARAMETERS):
        parameters[p] = factor(b, MEAN, scratch)[p * b.width]


cdef void add_plane(
    const Norm *b, Py_ssize_t channel, Py_ssize_t images, Py_ssize_t pixels, real *scratch
) noexcept nogil:
    cdef Py_ssize_t i, piece, n, at, ahead, since = 0
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef real[CNNX_NORM_PARAMETERS] parameters
    cdef real *partial = factor(b, FIRST_SUMS, scratch)
    cdef double *total = channel_sums(b, 0, scratch)
    cdef double *product = channel_sums(b, 1, scratch)
    plane_parameters(b, scratch, <real *>parameters)
    for i in range(images):
        ahead = b.image if i + 1 < images else 0
        for piece in range(ceil_div(pixels, PIECE)):
            n = min(<Py_ssize_t>PIECE, pixels - piece * PIECE)
            at = channel * b.pixels + i * b.image + piece * PIECE
            if dy == NULL:
                kernels_for(x).plane_moments(n, x + at, parameters[0], ahead, partial)
            else:
                kernels_for(x).plane_comoments(n, dy + at, x + at, parameters, b.activation, ahead, partial)
            since += n
            if since >= PIECE:
                kernels_for(x).fold(partial, total, product)
                since = 0
    kernels_for(x).fold(partial, total, product)


cdef void normalise(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    cdef Py_ssize_t start = first * b.pixels, i, at
    cdef cnnx_columns columns = cnnx_columns(b.n, channels_from(b, first) * b.pixels, b.image, b.width)
    cdef real[CNNX_NORM_PARAMETERS] parameters
    cdef const real *x = <const real *>b.x + start
    cdef const real *add = <const real *>b.add + start if b.add != NULL else NULL
    cdef real *y = <real *>b.y + start
    if b.columns:
        kernels_for(y).normalise_columns(&columns, x, factor(b, MEAN, scratch), add, b.activation, y)
        return
    plane_parameters(b, scratch, <real *>parameters)
    for i in range(b.n - 1, -1, -1):
        at = i * b.image
        kernels_for(y).normalise(
            b.pixels, x + at, parameters, add + at if add != NULL else NULL, b.activation,
            -b.image if i > 0 else 0, y + at,
        )


cdef void normalise_backward(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    cdef Py_ssize_t start = first * b.pixels, i, at
    cdef cnnx_columns columns = cnnx_columns(b.n, channels_from(b, first) * b.pixels, b.image, b.width)
    cdef real[CNNX_NORM_PARAMETERS] parameters
    cdef const real *x = <const real *>b.x + start
    cdef const real *dy = <const real *>b.dy + start
    cdef real *dx = <real *>b.dx + start
    if b.columns:
        kernels_for(dx).normalise_columns_backward(
            &columns, dy, x, factor(b, MEAN, scratch), b.activation, b.training, dx
        )
        return
    plane_parameters(b, scratch, <real *>parameters)
    for i in range(b.n - 1, -1, -1):
        at = i * b.image
        kernels_for(dx).normalise_backward(
            b.pixels, dy + at, x + at, parameters, b.activation, b.training, -b.image if i > 0 else 0, dx + at
        )
