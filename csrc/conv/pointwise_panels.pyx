"""1x1 convolution, forward, with weights that are packed once, for many calls.

# Design:
# The product of pointwise.pyx, weights (filters x channels) times an image (channels x pixels), with the weights in
# panels of mr filters: so they are one stream from memory, where the rows of a small matrix are many short ones. A task
# is a block of filters and pixels of one image. It takes the pixels in groups of panels, which it packs, and finishes
# each group while it is in the cache; a plane of nr pixels is a panel as it lies. Channels are cut into blocks, and
# summed in order, as in gemm.pyx.
# Where pixels have to be gathered (strides, padding, several small images), pointwise.pyx does it.
"""

from costs cimport GEMM_NANOSECONDS
from kernels cimport Ending, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..gemm cimport COLUMN_BLOCK, K_BLOCK
from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry
from .pointwise cimport prepare_pointwise

cdef enum:
    SMALL_PLANE = 64            # pixels: smaller ones of several images are gathered
    FILTER_BLOCK = 120          # of a task: with K_BLOCK channels, a quarter of a second-level cache
    PANELS_AT_A_TIME = 4        # of pixels, packed together, STRIP channels after each other: then whole cache lines
    STRIP = 16                  # of x are read


cdef struct Plan:
    Py_ssize_t n, channels, filters, pixels
    Py_ssize_t height, width            # filters and pixels of a task; whole panels of filters
    Py_ssize_t down, across             # tasks of an image
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # (n, channels, pixels)
    const void *weight                  # (panels, channels, mr)
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
    plan.n, plan.channels, plan.filters = geometry.n, geometry.channels, geometry.filters
    plan.pixels, plan.activation = geometry.oh * geometry.ow, activation
    if (
        geometry.sh != 1 or geometry.sw != 1 or geometry.top or geometry.left or geometry.h != geometry.oh
        or geometry.w != geometry.ow or (plan.n > 1 and plan.pixels < SMALL_PLANE)
    ):
        return prepare_pointwise(geometry, single, activation)
    job.set_up(geometry, FORWARD, "pointwise_by_panels", single, activation)
    plan.height = ceil_div(plan.filters, ceil_div(plan.filters, FILTER_BLOCK))
    plan.height, plan.width = ceil_div(plan.height, tile.mr) * tile.mr, min(<Py_ssize_t>COLUMN_BLOCK, plan.pixels)
    plan.down, plan.across = ceil_div(plan.filters, plan.height), ceil_div(plan.pixels, plan.width)
    job.cost = GEMM_NANOSECONDS * plan.n * plan.pixels * plan.channels * plan.filters
    job.packed = ceil_div(plan.filters, tile.mr) * tile.mr * plan.channels * tile.element
    job.scratch = PANELS_AT_A_TIME * tile.nr * min(plan.channels, <Py_ssize_t>K_BLOCK) * tile.element
    return job


cdef void pack_filters(
    const Plan *plan,
    const real *weight,         # IN   (filters, channels)
    real *panels,               # OUT  (panels, channels, mr)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(panels).mr, panel, first
    for panel in range(ceil_div(plan.filters, mr)):
        first = panel * mr
        kernels_for(panels).pack(
            min(mr, plan.filters - first), plan.channels, weight + first * plan.channels, plan.channels, 1, mr,
            panels + first * plan.channels,
        )


cdef void block_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some filters of a run of pixels of one image. scratch: packed pixels."""
    cdef Py_ssize_t pixel = task % plan.across * plan.width, filter = task // plan.across % plan.down * plan.height
    cdef Py_ssize_t image = task // plan.across // plan.down, at = (image * plan.filters + filter) * plan.pixels
    cdef Py_ssize_t rows = min(plan.height, plan.filters - filter), end = min(pixel + plan.width, plan.pixels), cols
    cdef Py_ssize_t blocks = ceil_div(plan.channels, K_BLOCK), depth = ceil_div(plan.channels, blocks), block, first
    cdef const real *x = <const real *>plan.x + image * plan.channels * plan.pixels
    cdef const real *weight = <const real *>plan.weight + filter * plan.channels
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y + at
    if bias != NULL:
        bias += filter
    while pixel < end:
        cols = min(PANELS_AT_A_TIME * kernels_for(y).nr, end - pixel)
        for block in range(blocks):
            first = block * depth
            multiply(
                plan, rows, cols, min(depth, plan.channels - first), weight + first * kernels_for(y).mr,
                x + first * plan.pixels + pixel, bias, block > 0, y + pixel, scratch,
            )
        finish_rows(rows, plan.pixels, cols, add + at + pixel if add != NULL else NULL, plan.activation, y + pixel)
        pixel += cols


cdef void multiply(
    const Plan *plan,
    Py_ssize_t rows,
    Py_ssize_t cols,            # up to PANELS_AT_A_TIME panels
    Py_ssize_t k,               # channels
    const real *weight,         # IN   panels, from the first of these channels on
    const real *x,              # IN   (k, plan.pixels), from the first of these pixels on
    const real *bias,           # IN   (rows,), or NULL
    bint more,                  # add to y
    real *y,                    # OUT  (rows, plan.pixels), of these pixels
    real *packed,               # scratch
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(y).mr, nr = kernels_for(y).nr, j, row
    cdef cnnx_tile tile = cnnx_tile(0, 0, k, 1, mr, nr, plan.pixels if more else 1, more, plan.pixels)
    cdef const real *panels = x
    cdef const real *start = NULL
    if plan.pixels != nr:       # or x is a panel as it lies
        pack_pixels(cols, k, x, plan.pixels, packed)
        panels = packed
    for j in range(ceil_div(cols, nr)):
        tile.cols, row = min(nr, cols - j * nr), 0
        while row < rows:
            tile.rows = min(mr, rows - row)
            if more:
                start = y + row * plan.pixels + j * nr
            elif bias != NULL:
                start = bias + row
            kernels_for(y).product(
                &tile, weight + row * plan.channels, panels + j * nr * k, start, y + row * plan.pixels + j * nr
            )
            row += mr


cdef void pack_pixels(
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *x,              # IN   (k, cols), rows `stride` apart
    Py_ssize_t stride,
    real *panels,               # OUT  (panels, k, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(panels).nr, strip, row, j
    for strip in range(ceil_div(k, STRIP)):
        row = strip * STRIP
        for j in range(ceil_div(cols, nr)):
            kernels_for(panels).pack(
                min(nr, cols - j * nr), min(<Py_ssize_t>STRIP, k - row), x + row * stride + j * nr, 1, stride, nr,
                panels + (j * k + row) * nr,
            )
