"""Normalisation of groups: group_norm, and layer_norm, which is that of one group of channels of one element.

# Design:
# x is (n, groups, k, l): k channels of l elements in a group, whose mean and variance are taken over its k*l numbers,
# a row that lies in one piece of memory. A task is one row: its statistics, by the kernels and with the care of batch
# normalisation (norm_tasks.pyx), then the normalisation while it is in the cache.
# Weight and bias belong to a channel. If channels have one element, a row is multiplied by the row of weights, in
# pieces that stay in the first cache; else each channel is a plane, as in batch normalisation.
# Backward is the same by rows for dx. The sums for dweight and dbias run across rows. Of planes, the task of a row
# leaves two sums for each plane, which are then added in the order of the images. Of single elements, a second loop
# has tasks of some columns, each through all rows in order: so no result depends on the number of threads.
"""

from libc.math cimport isfinite, sqrt
from libc.string cimport memset

from arrays cimport data_of, is_single, itemsize_of, shape_of
from kernels cimport CNNX_MAX_LANES, CNNX_MEAN, CNNX_NORM_PARAMETERS, CNNX_OFFSET, CNNX_SCALE, CNNX_SHIFT, CNNX_SLOPE
from kernels cimport NO_ACTIVATION, kernels_for, real
from .memory cimport Block, empty, empty_like, take
from .parallel cimport EVENLY, Task, ceil_div, run_tasks
from .sums cimport PIECE

cdef double FORWARD_NANOSECONDS = 0.5       # an element
cdef double BACKWARD_NANOSECONDS = 1.0

cdef enum:
    CENTER_ELEMENTS = 256       # of a row, for the center of its moments
    COLUMNS = 256               # of a task of dweight and dbias: rows of 1 kB of floats
    ROWS_TO_FOLD = 256          # summed in the type of x: floats stay exact to a few bits
    # Scratch memory of a task: a piece, then two vectors of partial sums, then the parameters.
    PARTIAL = PIECE
    PARAMETERS = PARTIAL + 2 * CNNX_MAX_LANES
    SCRATCH = PARAMETERS + CNNX_NORM_PARAMETERS

cdef struct Groups:
    Py_ssize_t n, groups, channels, length      # channels of a group, elements of a channel
    double eps
    const void *x               # IN   (n, groups, channels, length)
    const void *dy              # IN   as x
    const void *weight          # IN   (groups, channels), or NULL: ones
    const void *bias            # IN   the same, or NULL: zeros
    void *y                     # OUT  as x; backward: dx
    void *mean                  # OUT  (n, groups); backward: IN
    void *inv_std               # OUT  (n, groups); backward: IN
    double *sums                # of backward by planes: two for each, (n, groups, channels, 2)
    void *dweight               # OUT  (groups, channels)
    void *dbias                 # OUT  (groups, channels)


def group_norm(x, num_groups, weight, bias, eps):
    cdef const Py_ssize_t *shape = shape_of(x)
    y, mean, inv_std = empty_like(x), empty((shape[0], num_groups), x), empty((shape[0], num_groups), x)
    cdef Groups b = groups_of(x, num_groups, weight, y, mean, inv_std)
    b.bias, b.eps = data_of(bias), eps
    run_tasks(
        <Task>forward_task[float] if is_single(x) else <Task>forward_task[double], &b, b.n * b.groups, EVENLY,
        FORWARD_NANOSECONDS * b.n * b.groups * b.channels * b.length, SCRATCH * itemsize_of(x),
    )
    return y, mean, inv_std


def group_norm_backward(dy, x, num_groups, weight, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    dx, dweight, dbias = empty_like(x), empty((shape[1],), x), empty((shape[1],), x)
    cdef Groups b = groups_of(x, num_groups, weight, dx, mean, inv_std)
    cdef bint single = is_single(x), elements = b.length == 1
    cdef double cost = BACKWARD_NANOSECONDS * b.n * b.groups * b.channels * b.length
    cdef Block sums = take((2 * b.n * shape[1] + 1) * sizeof(double)) if not elements else None
    b.dy, b.dweight, b.dbias = data_of(dy), data_of(dweight), data_of(dbias)
    if not elements:
        b.sums = <double *>sums.data
    run_tasks(
        <Task>backward_task[float] if single else <Task>backward_task[double], &b, b.n * b.groups, EVENLY, cost,
        SCRATCH * itemsize_of(x),
    )
    if elements:
        run_tasks(
            <Task>columns_task[float] if single else <Task>columns_task[double], &b,
            b.groups * ceil_div(b.channels, COLUMNS), EVENLY, cost, COLUMNS * (2 * sizeof(double) + 3 * itemsize_of(x)),
        )
    elif single:
        add_planes(&b, <const float *>b.inv_std, <float *>b.dweight, <float *>b.dbias)
    else:
        add_planes(&b, <const double *>b.inv_std, <double *>b.dweight, <double *>b.dbias)
    return dx, dweight, dbias


def layer_norm(x, normalized_shape, weight, bias, eps):
    cdef const Py_ssize_t *shape = shape_of(x)
    y, mean, inv_std = group_norm(x.reshape(shape[0], shape[1], 1), 1, weight, bias, eps)
    return y.reshape(x.shape), mean.reshape(shape[0]), inv_std.reshape(shape[0])


def layer_norm_backward(dy, x, normalized_shape, weight, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    flat = shape[0], shape[1], 1
    dx, dweight, dbias = group_norm_backward(dy.reshape(flat), x.reshape(flat), 1, weight, mean, inv_std)
    return dx.reshape(x.shape), dweight, dbias


cdef Groups groups_of(x, Py_ssize_t groups, weight, y, mean, inv_std):
    cdef const Py_ssize_t *shape = shape_of(x)
    return Groups(
        shape[0], groups, shape[1] // groups, shape[2], 0, data_of(x), NULL, data_of(weight), NULL, data_of(y),
        data_of(mean), data_of(inv_std), NULL, NULL, NULL,
    )


# ------------------------------------------------------------------------------------------------------ forward


cdef void forward_task(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t elements = b.channels * b.length
    cdef real *mean = <real *>b.mean
    cdef real *inv_std = <real *>b.inv_std
    cdef double variance
    if elements == 0:
        mean[row], variance = 0, 0
    else:
        variance = find_moments(elements, <const real *>b.x + row * elements, &mean[row], scratch)
    inv_std[row] = <real>(1 / sqrt(variance + b.eps))
    if b.length == 1:
        normalise_elements(b, row, scratch)
    else:
        normalise_planes(b, row, scratch)


cdef double find_moments(Py_ssize_t n, const real *x, real *mean, real *scratch) noexcept nogil:
    """Stores the mean, returns the variance, both from sums about the mean of the first elements."""
    cdef Py_ssize_t some = min(n, <Py_ssize_t>CENTER_ELEMENTS)
    cdef double total = 0, squares = 0, shift, variance
    cdef real center = 0
    add_moments(some, x, center, scratch, &total, &squares)
    shift = total / some
    if isfinite(shift):
        center = <real>shift
    total = squares = 0
    add_moments(n, x, center, scratch, &total, &squares)
    shift = total / n
    mean[0] = <real>(center + shift)
    variance = (squares - total * shift) / n
    return 0 if variance < 0 else variance      # by rounding; NaN stays


cdef void add_moments(
    Py_ssize_t n, const real *x, real center, real *scratch, double *total, double *squares
) noexcept nogil:
    cdef Py_ssize_t piece, at
    memset(scratch + PARTIAL, 0, 2 * CNNX_MAX_LANES * sizeof(real))
    for piece in range(ceil_div(n, PIECE)):
        at = piece * PIECE
        kernels_for(x).plane_moments(min(<Py_ssize_t>PIECE, n - at), x + at, center, <Py_ssize_t>0, scratch + PARTIAL)
        kernels_for(x).fold(scratch + PARTIAL, total, squares)


cdef void normalise_elements(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = row % b.groups * b.channels, piece, at, n
    cdef const real *x = <const real *>b.x + row * b.channels
    cdef const real *weight = <const real *>b.weight
    cdef const real *bias = <const real *>b.bias
    cdef real *y = <real *>b.y + row * b.channels
    cdef real mean = (<const real *>b.mean)[row], inv_std = (<const real *>b.inv_std)[row]
    for piece in range(ceil_div(b.channels, PIECE)):
        at = piece * PIECE
        n = min(<Py_ssize_t>PIECE, b.channels - at)
        kernels_for(x).affine(n, x + at, mean, inv_std, <real>0, y + at)
        if weight != NULL:
            kernels_for(x).times(n, y + at, weight + first + at, y + at)
        if bias != NULL:
            kernels_for(x).add(n, bias + first + at, y + at)


cdef void normalise_planes(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = row % b.groups * b.channels, channel, at
    cdef const real *x = <const real *>b.x
    cdef const real *weight = <const real *>b.weight
    cdef const real *bias = <const real *>b.bias
    cdef real *y = <real *>b.y
    cdef real inv_std = (<const real *>b.inv_std)[row]
    cdef real *own = scratch + PARAMETERS
    own[CNNX_MEAN] = (<const real *>b.mean)[row]
    for channel in range(b.channels if b.length else 0):
        at = (row * b.channels + channel) * b.length
        own[CNNX_SCALE] = inv_std * weight[first + channel] if weight != NULL else inv_std
        own[CNNX_SHIFT] = bias[first + channel] if bias != NULL else 0
        kernels_for(x).normalise(b.length, x + at, own, <const real *>NULL, NO_ACTIVATION, <Py_ssize_t>0, y + at)


# ----------------------------------------------------------------------------------------------------- backward


cdef void backward_task(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    """dx of a row. g = dy * weight; dx = inv_std * (g - mean(g) - xhat * mean(g * xhat))."""
    cdef Py_ssize_t elements = b.channels * b.length
    cdef real *own = scratch + PARAMETERS
    cdef real inv_std = (<const real *>b.inv_std)[row]
    cdef double total = 0, products = 0         # of g, and of g * (x - mean)
    if elements == 0:
        return
    memset(scratch + PARTIAL, 0, 2 * CNNX_MAX_LANES * sizeof(real))
    own[CNNX_MEAN], own[CNNX_SCALE], own[CNNX_SHIFT] = (<const real *>b.mean)[row], inv_std, 0
    if b.length == 1:
        add_elements(b, row, scratch, &total, &products)
    else:
        add_plane_sums(b, row, scratch, &total, &products)
    own[CNNX_SLOPE] = <real>(-products / elements * inv_std * inv_std * inv_std)
    own[CNNX_OFFSET] = <real>(-total / elements * inv_std)
    if b.length == 1:
        elements_backward(b, row, scratch)
    else:
        planes_backward(b, row, scratch)


cdef inline const real *weighted(
    const Groups *b, Py_ssize_t row, Py_ssize_t at, Py_ssize_t n, const real *dy, real *scratch
) noexcept nogil:
    """g of a piece of a row of single elements."""
    cdef const real *weight = <const real *>b.weight
    dy += row * b.channels + at
    if weight == NULL:
        return dy
    kernels_for(dy).times(n, dy, weight + row % b.groups * b.channels + at, scratch)
    return scratch


cdef void add_elements(
    const Groups *b, Py_ssize_t row, real *scratch, double *total, double *products
) noexcept nogil:
    cdef Py_ssize_t piece, at, n
    cdef const real *x = <const real *>b.x + row * b.channels
    for piece in range(ceil_div(b.channels, PIECE)):
        at = piece * PIECE
        n = min(<Py_ssize_t>PIECE, b.channels - at)
        kernels_for(x).plane_comoments(
            n, weighted(b, row, at, n, <const real *>b.dy, scratch), x + at, scratch + PARAMETERS, NO_ACTIVATION,
            <Py_ssize_t>0, scratch + PARTIAL
        )
        kernels_for(x).fold(scratch + PARTIAL, total, products)


cdef void elements_backward(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t piece, at, n
    cdef const real *x = <const real *>b.x + row * b.channels
    cdef real *dx = <real *>b.y + row * b.channels
    for piece in range(ceil_div(b.channels, PIECE)):
        at = piece * PIECE
        n = min(<Py_ssize_t>PIECE, b.channels - at)
        kernels_for(x).normalise_backward(
            n, weighted(b, row, at, n, <const real *>b.dy, scratch), x + at, scratch + PARAMETERS, NO_ACTIVATION, 1,
            <Py_ssize_t>0, dx + at
        )


cdef void add_plane_sums(
    const Groups *b, Py_ssize_t row, real *scratch, double *total, double *products
) noexcept nogil:
    """The sums of each plane, and those of the row, of which a plane has the share of its weight."""
    cdef Py_ssize_t channel, piece, at, plane
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef const real *weight = <const real *>b.weight
    cdef double *sums
    cdef double share = 1
    for channel in range(b.channels):
        plane = row * b.channels + channel
        sums = b.sums + 2 * plane
        sums[0] = sums[1] = 0
        for piece in range(ceil_div(b.length, PIECE)):
            at = plane * b.length + piece * PIECE
            kernels_for(x).plane_comoments(
                min(<Py_ssize_t>PIECE, b.length - piece * PIECE), dy + at, x + at, scratch + PARAMETERS, NO_ACTIVATION,
                <Py_ssize_t>0, scratch + PARTIAL
            )
            kernels_for(x).fold(scratch + PARTIAL, sums, sums + 1)
        if weight != NULL:
            share = weight[row % b.groups * b.channels + channel]
        total[0] += share * sums[0]
        products[0] += share * sums[1]


cdef void planes_backward(const Groups *b, Py_ssize_t row, real *scratch) noexcept nogil:
    cdef Py_ssize_t channel, at
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef const real *weight = <const real *>b.weight
    cdef real *dx = <real *>b.y
    cdef real *own = scratch + PARAMETERS
    cdef real inv_std = own[CNNX_SCALE]
    for channel in range(b.channels):
        at = (row * b.channels + channel) * b.length
        if weight != NULL:
            own[CNNX_SCALE] = inv_std * weight[row % b.groups * b.channels + channel]
        kernels_for(x).normalise_backward(
            b.length, dy + at, x + at, own, NO_ACTIVATION, 1, <Py_ssize_t>0, dx + at
        )


cdef void add_planes(const Groups *b, const real *inv_std, real *dweight, real *dbias) noexcept nogil:
    """dweight and dbias from the sums of the planes."""
    cdef Py_ssize_t channels = b.groups * b.channels, channel, i
    cdef double first, second
    for channel in range(channels):
        first = second = 0
        for i in range(b.n if b.length else 0):
            first += b.sums[2 * (i * channels + channel)]
            second += b.sums[2 * (i * channels + channel) + 1] * inv_std[i * b.groups + channel // b.channels]
        dbias[channel], dweight[channel] = <real>first, <real>second


cdef void columns_task(const Groups *b, Py_ssize_t task, real *scratch) noexcept nogil:
    """dweight and dbias of some columns of single elements, through all rows of their group."""
    cdef Py_ssize_t tasks = ceil_div(b.channels, COLUMNS), group = task // tasks, first = task % tasks * COLUMNS
    cdef Py_ssize_t n = min(<Py_ssize_t>COLUMNS, b.channels - first), column = group * b.channels + first, i, j, row, at
    cdef const real *x = <const real *>b.x
    cdef const real *dy = <const real *>b.dy
    cdef real *dweight = <real *>b.dweight + column
    cdef real *dbias = <real *>b.dbias + column
    cdef double *totals = <double *>scratch         # two for each column
    cdef real *normal = <real *>(totals + 2 * COLUMNS)
    cdef real *products = normal + COLUMNS
    cdef real *sums = products + COLUMNS
    memset(totals, 0, 2 * COLUMNS * sizeof(double))
    memset(products, 0, 2 * COLUMNS * sizeof(real))
    for i in range(b.n):
        row = i * b.groups + group
        at = row * b.channels + first
        kernels_for(x).affine(
            n, x + at, (<const real *>b.mean)[row], (<const real *>b.inv_std)[row], <real>0, normal
        )
        kernels_for(x).add_product(n, normal, dy + at, products)
        kernels_for(x).add(n, dy + at, sums)
        if i % ROWS_TO_FOLD == ROWS_TO_FOLD - 1 or i == b.n - 1:
            for j in range(n):
                totals[2 * j] += products[j]
                totals[2 * j + 1] += sums[j]
            memset(products, 0, 2 * COLUMNS * sizeof(real))
    for j in range(n):
        dweight[j], dbias[j] = <real>totals[2 * j], <real>totals[2 * j + 1]
