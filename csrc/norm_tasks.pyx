"""The tasks of batch normalisation: sums over some channels, parameters made of them, and the normalisation.

# Design:
# The passes of a task follow each other while its channels are in the cache. They go by rows, and there are two ways to
# see the planes of channels a, b, c as rows; `divide` decides:
#     long planes: each a row                         short planes: side by side, a row for each image
#         image 0   a a a a a a a a                       image 0   a a a b b b c c c
#         image 1   a a a a a a a a                       image 1   a a a b b b c c c
#         mean ...  a                                     mean ...  a a a b b b c c c
# Columns have sums and parameters of their own, so that vectors need not know where a plane ends; the sums of the
# columns of a channel are added up after. Plain features are planes of one pixel. A task of columns is as wide as may
# be, not as high as the cache: its rows are short runs of memory far apart, and what hardware prefetches beyond a run
# is worth more than finding x in the second-level cache the second time. A task of long planes is one channel; its
# second pass goes backwards, for the images that were read last are the nearest.
# One pass makes both moments about a center: the mean of the first images. About x[0] all digits would be lost where
# that is an outlier; about the mean of a part of the values, at least the share 1/k of them, the squares are at most
# k + 1 times the variance, whatever the values are. Sums are made in vector lanes, of a few thousand elements, then in
# double, always in the same order.
"""

from libc.math cimport isfinite, sqrt
from libc.string cimport memset

from kernels cimport CNNX_MAX_LANES, CNNX_MEAN, CNNX_NORM_PARAMETERS, CNNX_OFFSET, CNNX_SCALE, CNNX_SHIFT, CNNX_SLOPE
from kernels cimport cnnx_columns, kernels_for, real
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


# The scratch memory of a task, in rows of b.width elements; then the two sums of each channel, in double.
cdef enum:
    SUMS = CNNX_NORM_PARAMETERS         # two rows; before them the parameters
    VALUES = SUMS + 2                   # one for each channel
    ROWS = VALUES + 1


cdef void divide(Norm *b) noexcept nogil:
    """Of which channels a task is, and how it sees them. The sizes are set."""
    cdef Py_ssize_t columns = min(<Py_ssize_t>COLUMNS, b.channels * b.pixels // COLUMN_TASKS)
    b.image = b.channels * b.pixels
    b.columns = 0 < b.pixels < SHORT_PLANE
    b.share = max(<Py_ssize_t>FEWEST_COLUMNS, columns) // b.pixels if b.columns else 1
    # A vector that begins within a row of columns may end beyond it.
    b.width = (ceil_div(b.share * b.pixels if b.columns else 1, CNNX_MAX_LANES) + 1) * CNNX_MAX_LANES
    b.pitch = b.width if b.columns else 1


cdef size_t scratch_bytes(const Norm *b, size_t itemsize) noexcept nogil:
    return ROWS * b.width * itemsize + 2 * b.share * sizeof(double)


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


cdef inline double *channel_sums(const Norm *b, real *scratch) noexcept nogil:
    """The first sum of each channel of a task, then, b.share further on, the second."""
    return <double *>(scratch + ROWS * b.width)


cdef inline Py_ssize_t channels_from(const Norm *b, Py_ssize_t first) noexcept nogil:
    """The number of channels of the task that begins there."""
    return min(b.share, b.channels - first)


cdef void set_parameter(
    const Norm *b, int which, Py_ssize_t channels, const real *values, real *scratch
) noexcept nogil:
    """One value per channel to one per column."""
    if b.columns:
        kernels_for(values).widen(channels, b.pixels, values, scratch + which * b.pitch)
    else:
        scratch[which] = values[0]


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
    cdef real *center = scratch + VALUES * b.width
    cdef double *totals = channel_sums(b, scratch)
    cdef double *squares = channel_sums(b, scratch) + b.share
    cdef real *mean = <real *>b.mean + first
    cdef real *inv_std = <real *>b.inv_std + first
    cdef real *running_mean = <real *>b.running_mean + first if b.running_mean != NULL else NULL
    cdef real *running_var = <real *>b.running_var + first if b.running_var != NULL else NULL
    memset(center, 0, channels * sizeof(real))
    set_parameter(b, CNNX_MEAN, channels, <const real *>center, scratch)
    add_up(b, first, images, pixels, scratch)
    for j in range(channels):
        shift = totals[j] * (1 / (<double>images * pixels))
        center[j] = <real>shift if isfinite(shift) else 0
    set_parameter(b, CNNX_MEAN, channels, <const real *>center, scratch)
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
    cdef real *values = scratch + VALUES * b.width
    set_parameter(b, CNNX_MEAN, channels, <const real *>b.mean + first, scratch)
    for j in range(channels):
        values[j] = inv_std[first + j] * weight[first + j] if weight != NULL else inv_std[first + j]
    set_parameter(b, CNNX_SCALE, channels, <const real *>values, scratch)
    for j in range(channels):
        values[j] = bias[first + j] if bias != NULL else 0
    set_parameter(b, CNNX_SHIFT, channels, <const real *>values, scratch)


cdef void backward_task(const Norm *b, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = task * b.share, channels = channels_from(b, first), j
    cdef double mean_of = 1 / (<double>b.n * b.pixels), scale
    cdef double *totals = channel_sums(b, scratch)
    cdef double *products = channel_sums(b, scratch) + b.share
    cdef const real *inv_std = <const real *>b.inv_std + first
    cdef real *dweight = <real *>b.dweight + first
    cdef real *dbias = <real *>b.dbias + first
    cdef real *values = scratch + VALUES * b.width
    set_affine(b, first, scratch)
    add_up(b, first, b.n, b.pixels, scratch)
    for j in range(channels):
        dweight[j] = <real>(products[j] * inv_std[j])
        dbias[j] = <real>totals[j]
        scale = scratch[CNNX_SCALE * b.pitch + j * b.pixels]
        values[j] = <real>(-scale * inv_std[j] * inv_std[j] * products[j] * mean_of)
    set_parameter(b, CNNX_SLOPE, channels, <const real *>values, scratch)
    for j in range(channels):
        scale = scratch[CNNX_SCALE * b.pitch + j * b.pixels]
        values[j] = <real>(-scale * totals[j] * mean_of)
    set_parameter(b, CNNX_OFFSET, channels, <const real *>values, scratch)
    normalise_backward(b, first, scratch)


cdef void add_up(
    const Norm *b, Py_ssize_t first, Py_ssize_t images, Py_ssize_t pixels, real *scratch
) noexcept nogil:
    """The two sums of each channel, over the first pixels of its planes (of columns: all) in the first images.

    Forward of x - mean and its square; backward of g and g * (x - mean), g being dy gone back through the activation.
    """
    memset(channel_sums(b, scratch), 0, 2 * b.share * sizeof(double))
    memset(scratch + SUMS * b.width, 0, 2 * b.width * sizeof(real))
    if b.columns:
        add_columns(b, first, images, scratch)
    else:
        add_plane(b, first, images, pixels, scratch)


cdef void add_columns(const Norm *b, Py_ssize_t first, Py_ssize_t images, real *scratch) noexcept nogil:
    cdef Py_ssize_t channels = channels_from(b, first), block, at
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef real *sums = scratch + SUMS * b.width
    cdef cnnx_columns columns = columns_from(b, first)
    for block in range(ceil_div(images, ROWS_TO_FOLD)):
        columns.rows = min(<Py_ssize_t>ROWS_TO_FOLD, images - block * ROWS_TO_FOLD)
        at = first * b.pixels + block * ROWS_TO_FOLD * b.image
        if dy == NULL:
            kernels_for(x).column_moments(&columns, x + at, scratch, sums)
        else:
            kernels_for(x).column_comoments(&columns, dy + at, x + at, scratch, b.activation, sums)
        kernels_for(x).fold_columns(channels, b.pixels, sums, channel_sums(b, scratch))
        kernels_for(x).fold_columns(channels, b.pixels, sums + b.pitch, channel_sums(b, scratch) + b.share)


cdef inline cnnx_columns columns_from(const Norm *b, Py_ssize_t first) noexcept nogil:
    """The columns of a task, in all images."""
    return cnnx_columns(b.n, channels_from(b, first) * b.pixels, b.image, b.pitch)


cdef void add_plane(
    const Norm *b, Py_ssize_t channel, Py_ssize_t images, Py_ssize_t pixels, real *scratch
) noexcept nogil:
    cdef Py_ssize_t i, piece, n, at, ahead, since = 0
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef real *partial = scratch + SUMS * b.width
    cdef double *sums = channel_sums(b, scratch)
    for i in range(images):
        ahead = b.image if i + 1 < images else 0
        for piece in range(ceil_div(pixels, PIECE)):
            n = min(<Py_ssize_t>PIECE, pixels - piece * PIECE)
            at = channel * b.pixels + i * b.image + piece * PIECE
            if dy == NULL:
                kernels_for(x).plane_moments(n, x + at, scratch[CNNX_MEAN], ahead, partial)
            else:
                kernels_for(x).plane_comoments(n, dy + at, x + at, scratch, b.activation, ahead, partial)
            since += n
            if since >= PIECE:
                kernels_for(x).fold(partial, sums, sums + b.share)
                since = 0
    kernels_for(x).fold(partial, sums, sums + b.share)


cdef void normalise(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    cdef Py_ssize_t start = first * b.pixels, i, at
    cdef const real *x = <const real *>b.x + start
    cdef const real *add = <const real *>b.add + start if b.add != NULL else NULL
    cdef real *y = <real *>b.y + start
    cdef cnnx_columns columns
    if b.columns:
        columns = columns_from(b, first)
        kernels_for(y).normalise_columns(&columns, x, scratch, add, b.activation, y)
        return
    for i in range(b.n - 1, -1, -1):
        at = i * b.image
        kernels_for(y).normalise(
            b.pixels, x + at, scratch, add + at if add != NULL else NULL, b.activation, -b.image if i > 0 else 0, y + at
        )


cdef void normalise_backward(const Norm *b, Py_ssize_t first, real *scratch) noexcept nogil:
    cdef Py_ssize_t start = first * b.pixels, i, at
    cdef const real *x = <const real *>b.x + start
    cdef const real *dy = <const real *>b.dy + start
    cdef real *dx = <real *>b.dx + start
    cdef cnnx_columns columns
    if b.columns:
        columns = columns_from(b, first)
        kernels_for(dx).normalise_columns_backward(&columns, dy, x, scratch, b.activation, b.training, dx)
        return
    for i in range(b.n - 1, -1, -1):
        at = i * b.image
        kernels_for(dx).normalise_backward(
            b.pixels, dy + at, x + at, scratch, b.activation, b.training, -b.image if i > 0 else 0, dx + at
        )
