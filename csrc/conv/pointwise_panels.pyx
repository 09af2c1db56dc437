"""1x1 convolution, forward, with weights that are packed once, for many calls.

# Design:
# The product of pointwise.pyx, weights (filters x channels) times an image (channels x pixels), with the weights in
# panels of mr filters, in the order in which they are used: one stream from memory, which micro/gemm.inc.c prefetches.
# A task is a block of filters and a group of panels of nr pixels of one image. Each panel of weights is read once and
# meets all pixels of the group, which stay in the cache: packed, gathered where there are strides or padding, or a
# plane of one group where it lies. Channels are cut into blocks, and summed in order, as in gemm.pyx; the last ends the
# sum in registers (bias, add, activation).
# Where planes are small, pointwise.pyx gathers pixels of several images.
"""

from costs cimport GEMM_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..gemm cimport K_BLOCK
from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from .gather cimport gather_windows
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry, is_dense
from .pointwise cimport prepare_pointwise

cdef enum:
    SMALL_PLANE = 64            # pixels: smaller ones of several images are gathered
    TASKS = 8                   # at least, for threads to share what takes as long as that pays; where there are fewer
    SHARED_NANOSECONDS = 50000  # groups of pixels, several tasks pack each of them,
    GATHERING_TASKS = 4         # or gather, which takes longer
    GROUP = 4                   # panels of pixels, packed STRIP channels after each other: then whole cache lines of x
    STRIP = 16                  # are read


cdef struct Plan:
    Geometry geometry
    Py_ssize_t n, channels, filters, pixels
    Py_ssize_t blocks, depth            # of channels
    Py_ssize_t height, width            # filters and pixels of a task; whole panels
    Py_ssize_t down, across             # tasks of an image
    Py_ssize_t weights                  # elements of a row of packed weights: all filters, in whole panels
    bint dense                          # the pixels of y are those of x
    bint in_place                       # and are not packed
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # (n, channels, h, w)
    const void *weight                  # (blocks, panels, channels of the block, mr)
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *y                             # (n, filters, pixels)


cdef class PointwiseByPanels(Convolution):
    cdef Plan plan

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        if self.single:
            pack_filters(&self.plan, <const float *>weight, <float *>packed)
        else:
            pack_filters(&self.plan, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task = <Task>block_task[float] if self.single else <Task>block_task[double]
        cdef Plan plan = self.plan
        plan.x, plan.weight, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        plan.add, plan.y = arrays[ARG_ADD], arrays[ARG_Y]
        run_team(team, task, &plan, plan.n * plan.down * plan.across, ON_DEMAND)


cdef Job prepare_pointwise_by_panels(const Geometry *geometry, bint single, Ending activation):
    cdef PointwiseByPanels job = PointwiseByPanels.__new__(PointwiseByPanels)
    cdef Tile tile = tile_of(single)
    cdef Plan *plan = &job.plan
    plan.geometry, plan.dense = geometry[0], is_dense(geometry)
    plan.n, plan.channels, plan.filters = geometry.n, geometry.channels, geometry.filters
    plan.pixels, plan.activation = geometry.oh * geometry.ow, activation
    if plan.n > 1 and plan.pixels < SMALL_PLANE:
        return prepare_pointwise(geometry, single, activation)
    job.set_up(geometry, FORWARD, "pointwise_by_panels", single, activation)
    plan.blocks = ceil_div(plan.channels, K_BLOCK)
    plan.depth = ceil_div(plan.channels, plan.blocks)
    plan.width = GROUP * tile.nr
    plan.across = ceil_div(plan.pixels, plan.width)
    plan.down = 1
    job.cost = GEMM_NANOSECONDS * plan.n * plan.pixels * plan.channels * plan.filters
    if job.cost >= SHARED_NANOSECONDS:
        plan.down = ceil_div(TASKS if plan.dense else GATHERING_TASKS, plan.n * plan.across)
    plan.height = ceil_div(ceil_div(plan.filters, plan.down), tile.mr) * tile.mr
    plan.down = ceil_div(plan.filters, plan.height)
    plan.weights = ceil_div(plan.filters, tile.mr) * tile.mr
    # Of less than a vector, the tile would read beyond x; of many images, x is not in the cache.
    plan.in_place = plan.dense and plan.across == 1 and not 0 < plan.pixels % tile.nr < tile.lanes
    if plan.n > 1 and plan.pixels != tile.nr:
        plan.in_place = False
    job.packed = plan.weights * plan.channels * tile.element
    job.scratch = 0 if plan.in_place else plan.width * plan.depth * tile.element
    return job


cdef void pack_filters(
    const Plan *plan,
    const real *weight,         # IN   (filters, channels)
    real *panels,               # OUT  (blocks, panels, channels of the block, mr)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(panels).mr, block, channel, k, filter
    for block in range(plan.blocks):
        channel, filter = block * plan.depth, 0
        k = min(plan.depth, plan.channels - channel)
        while filter < plan.filters:
            kernels_for(panels).pack(
                min(mr, plan.filters - filter), k, weight + filter * plan.channels + channel, plan.channels, 1, mr,
                panels + channel * plan.weights + filter * k,
            )
            filter += mr


cdef void block_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some filters of a group of pixels of one image. scratch: packed pixels."""
    cdef Py_ssize_t pixel = task % plan.across * plan.width, filter = task // plan.across % plan.down * plan.height
    cdef Py_ssize_t image = task // plan.across // plan.down, cols = min(plan.width, plan.pixels - pixel)
    cdef Py_ssize_t block, channel, k
    cdef const real *x = <const real *>plan.x + image * plan.channels * plan.geometry.h * plan.geometry.w
    cdef const real *weight = <const real *>plan.weight
    for block in range(plan.blocks):
        channel = block * plan.depth
        k = min(plan.depth, plan.channels - channel)
        if not plan.in_place:
            pack_pixels(plan, pixel, cols, channel, k, x, scratch)
        multiply(
            plan, image, filter, pixel, cols, k, block, weight + channel * plan.weights + filter * k,
            x + channel * plan.pixels + pixel if plan.in_place else scratch,
        )


cdef void multiply(
    const Plan *plan,
    Py_ssize_t image,
    Py_ssize_t filter,
    Py_ssize_t pixel,
    Py_ssize_t cols,            # pixels
    Py_ssize_t k,               # channels
    Py_ssize_t block,           # of channels
    const real *weight,         # IN   panels (k, mr)
    const real *x,              # IN   panels (k, nr), or, in place, (k, cols)
) noexcept nogil:
    """The product of a task for one block of channels."""
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, j, row = 0, at
    cdef Py_ssize_t rows = min(plan.height, plan.filters - filter), panel = nr if plan.in_place else nr * k
    cdef bint more = block > 0, last = block == plan.blocks - 1
    cdef cnnx_tile tile = cnnx_tile(
        0, 0, k, 1, mr, plan.pixels if plan.in_place else nr, plan.pixels if more else 1, more, plan.pixels
    )
    cdef Ending activation = plan.activation if last else NO_ACTIVATION
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef const real *start = NULL
    cdef real *y = <real *>plan.y
    while row < rows:
        tile.rows = min(mr, rows - row)
        at = (image * plan.filters + filter + row) * plan.pixels + pixel
        for j in range(ceil_div(cols, nr)):
            tile.cols = min(nr, cols - j * nr)
            if more:
                start = y + at
            elif bias != NULL:
                start = bias + filter + row
            kernels_for(y).product_to_end(
                &tile, weight + row * k, x + j * panel, start, add + at if last and add != NULL else NULL,
                activation, y + at,
            )
            at += nr
        row += mr


cdef void pack_pixels(
    const Plan *plan,
    Py_ssize_t pixel,
    Py_ssize_t cols,            # pixels
    Py_ssize_t channel,
    Py_ssize_t k,               # channels
    const real *x,              # IN   an image
    real *panels,               # OUT  (panels, k, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(panels).nr, strip, row, j
    if not plan.dense:
        for j in range(ceil_div(cols, nr)):
            gather_windows(
                &plan.geometry, pixel + j * nr, min(nr, cols - j * nr), channel, k, x, panels + j * k * nr, nr
            )
        return
    x += channel * plan.pixels + pixel
    for strip in range(ceil_div(k, STRIP)):
        row = strip * STRIP
        for j in range(ceil_div(cols, nr)):
            kernels_for(panels).pack(
                min(nr, cols - j * nr), min(<Py_ssize_t>STRIP, k - row), x + row * plan.pixels + j * nr, 1,
                plan.pixels, nr, panels + (j * k + row) * nr,
            )
