"""1x1 convolution: a matrix product of the weights with all pixels, by the blocks of gemm.pyx.

# Design:
# y (filters x pixels) = weight (filters x channels) * x (channels x pixels) for every image; a plane is a row of the
# matrix as it lies, so nothing is copied but the panels that the product packs. Backward-data is the same with the
# weights transposed. Where a plane is smaller than a few register tiles, or the stride leaves pixels out, the pixels of
# several images are first gathered side by side, and the product is scattered to its planes.
# Backward-weight is the product of dy with x transposed, summed over a fixed number of groups of images, each in order,
# and then over the groups; so nothing depends on the number of threads.
"""

from libc.string cimport memcpy, memset

from costs cimport GEMM_NANOSECONDS
from kernels cimport Ending, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..gemm cimport COLUMN_BLOCK, ROW_BLOCK, Matrix, Output, multiply_block, multiply_scratch
from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from ..sums cimport row_sum
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DBIAS, ARG_DWEIGHT, ARG_DX, ARG_DY, ARG_WEIGHT, ARG_WINDOWS, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, BACKWARD_WEIGHT, FORWARD, Convolution, Direction, Geometry
from .geometry cimport add_bias_sums, image_groups

cdef enum:
    SMALL_PLANE = 64            # pixels: smaller ones are gathered,
    GATHERED_PIXELS = 128       # so many at a time


cdef struct Grid:               # the pixels of a plane that take part: oh x ow, one for each stride; all, if dense
    Py_ssize_t h, w, oh, ow, sh, sw, top, left
    Py_ssize_t first, end       # of ow, those that lie in the plane
    bint dense


cdef struct Plan:
    Py_ssize_t n, channels, filters     # summed over, and written (backward-weight: of x, of dy)
    Py_ssize_t pixels                   # of an image, that take part
    Py_ssize_t images                   # that are multiplied together; more than 1, or not dense: gathered
    Py_ssize_t runs                     # of so many images
    Grid source, target                 # of what is read and what is written (backward-weight: x, dy)
    bint gathers
    bint fills                          # some pixels of the target take no part: they become the bias
    Py_ssize_t height, width            # of a block of the product
    Py_ssize_t down, across             # blocks
    Py_ssize_t groups                   # of runs (backward-weight)
    bint transposed                     # backward-data: the weights are (channels, filters)
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # backward-data: dy
    const void *weight
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *y                             # backward-data: dx
    const void *dy                      # backward-weight
    void *sums                          # of it: (groups, filters, channels)
    double *bias_sums                   # (groups, filters)


cdef class Pointwise(Convolution):
    """Forward and backward-data. Weights are read as they are: the product copies what it needs of them."""
    cdef Plan plan

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.x, plan.weight, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        if plan.transposed:
            plan.y = arrays[ARG_DX]
        else:
            plan.add, plan.y = arrays[ARG_ADD], arrays[ARG_Y]
        if plan.gathers:
            task = <Task>gathered_task[float] if self.single else <Task>gathered_task[double]
            run_team(team, task, &plan, plan.runs * plan.down, ON_DEMAND)
        else:
            task = <Task>plane_task[float] if self.single else <Task>plane_task[double]
            run_team(team, task, &plan, plan.runs * plan.down * plan.across, ON_DEMAND)


cdef class PointwiseDweight(Convolution):
    """Backward-weight."""
    cdef Plan plan

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.dy, plan.x, plan.sums = arrays[ARG_DY], arrays[ARG_WINDOWS], shared
        plan.bias_sums = <double *>(shared + self.shared) - plan.groups * plan.filters
        memset(plan.bias_sums, 0, plan.groups * plan.filters * sizeof(double))
        task = <Task>dweight_task[float] if self.single else <Task>dweight_task[double]
        run_team(team, task, &plan, plan.groups * plan.down * plan.across, ON_DEMAND)
        if self.single:
            add_groups(&plan, <const float *>shared, <float *>arrays[ARG_DWEIGHT], <float *>arrays[ARG_DBIAS])
        else:
            add_groups(&plan, <const double *>shared, <double *>arrays[ARG_DWEIGHT], <double *>arrays[ARG_DBIAS])


cdef Job prepare_pointwise(const Geometry *geometry, bint single, Ending activation):
    cdef Plan plan = plan_of(geometry, strided_plane(geometry), whole_plane(geometry.oh, geometry.ow))
    plan.activation = activation
    return of_planes(geometry, FORWARD, plan, single)


cdef Job prepare_pointwise_dx(const Geometry *geometry, bint single, Ending activation):
    cdef Plan plan = plan_of(geometry, whole_plane(geometry.oh, geometry.ow), strided_plane(geometry))
    plan.channels, plan.filters, plan.transposed = geometry.filters, geometry.channels, True
    plan.fills = (
        geometry.sh != 1 or geometry.sw != 1 or geometry.h > geometry.oh - geometry.top
        or geometry.w > geometry.ow - geometry.left
    )
    return of_planes(geometry, BACKWARD_DATA, plan, single)


cdef Job of_planes(const Geometry *geometry, Direction direction, Plan plan, bint single):
    cdef Pointwise job = Pointwise()
    cdef Tile tile = tile_of(single)
    job.set_up(geometry, direction, "pointwise", single, plan.activation)
    plan.height = ceil_div(plan.filters, ceil_div(plan.filters, ROW_BLOCK))
    plan.width = plan.images * plan.pixels if plan.gathers else min(<Py_ssize_t>COLUMN_BLOCK, plan.pixels)
    plan.down, plan.across = ceil_div(plan.filters, plan.height), ceil_div(plan.images * plan.pixels, plan.width)
    job.plan = plan
    job.cost = GEMM_NANOSECONDS * plan.n * plan.pixels * plan.channels * plan.filters
    job.scratch = multiply_scratch(plan.height, plan.channels, tile.nr) * tile.element
    if plan.gathers:
        job.scratch += (plan.channels + plan.height) * plan.width * tile.element
    return job


cdef Job prepare_pointwise_dweight(const Geometry *geometry, bint single, Ending activation):
    cdef PointwiseDweight job = PointwiseDweight()
    cdef Tile tile = tile_of(single)
    cdef Plan plan = plan_of(geometry, strided_plane(geometry), whole_plane(geometry.oh, geometry.ow))
    cdef Py_ssize_t size = plan.filters * plan.channels
    job.set_up(geometry, BACKWARD_WEIGHT, "pointwise", single, activation)
    plan.height = ceil_div(plan.filters, ceil_div(plan.filters, ROW_BLOCK))
    plan.width = min(<Py_ssize_t>COLUMN_BLOCK, plan.channels)
    plan.down, plan.across = ceil_div(plan.filters, plan.height), ceil_div(plan.channels, plan.width)
    plan.groups = image_groups(plan.runs, size)
    job.plan = plan
    job.cost = GEMM_NANOSECONDS * plan.n * plan.pixels * size
    job.scratch = multiply_scratch(plan.height, plan.images * plan.pixels, tile.nr) * tile.element
    if plan.gathers:
        job.scratch += (plan.height + plan.width) * plan.images * plan.pixels * tile.element
    job.shared = ceil_div(plan.groups * size, 2) * 2 * tile.element + plan.groups * plan.filters * sizeof(double)
    return job


cdef Plan plan_of(const Geometry *geometry, Grid source, Grid target) noexcept:
    """Of forward or backward-weight, but for the blocks of the product."""
    cdef Plan plan
    memset(&plan, 0, sizeof(Plan))
    plan.n, plan.channels, plan.filters = geometry.n, geometry.channels, geometry.filters
    plan.source, plan.target, plan.pixels = source, target, geometry.oh * geometry.ow
    plan.gathers = not (source.dense and target.dense) or plan.pixels < SMALL_PLANE
    plan.images = min(plan.n, ceil_div(GATHERED_PIXELS, plan.pixels)) if plan.gathers else 1
    plan.runs = ceil_div(plan.n, plan.images)
    return plan


cdef Grid whole_plane(Py_ssize_t h, Py_ssize_t w) noexcept:
    return Grid(h, w, h, w, 1, 1, 0, 0, 0, w, True)


cdef Grid strided_plane(const Geometry *g) noexcept:
    """The pixels of x that y reads."""
    cdef Py_ssize_t first = min(g.ow, ceil_div(g.left, g.sw)), end = max(first, min(g.ow, ceil_div(g.w + g.left, g.sw)))
    cdef bint dense = g.sh == 1 and g.sw == 1 and g.top == 0 and g.left == 0 and g.oh == g.h and g.ow == g.w
    return Grid(g.h, g.w, g.oh, g.ow, g.sh, g.sw, g.top, g.left, first, end, dense)


cdef void gather(
    const Grid *grid,
    Py_ssize_t planes,
    const real *x,              # IN   (planes, h, w)
    real *row,                  # OUT  the pixels of each plane; 0 outside of it
    Py_ssize_t stride,          # from one plane's to the next
) noexcept nogil:
    cdef Py_ssize_t c, i, y
    if grid.dense:
        for c in range(planes):
            memcpy(row + c * stride, x + c * grid.h * grid.w, grid.h * grid.w * sizeof(real))
        return
    for i in range(grid.oh):
        y = i * grid.sh - grid.top
        if grid.first > 0 or grid.end < grid.ow or not 0 <= y < grid.h:
            for c in range(planes):
                memset(row + c * stride + i * grid.ow, 0, grid.ow * sizeof(real))
        if 0 <= y < grid.h:
            kernels_for(row).copy_strided(
                planes, grid.end - grid.first, x + y * grid.w + grid.first * grid.sw - grid.left, grid.h * grid.w,
                grid.sw, row + i * grid.ow + grid.first, stride,
            )


cdef void scatter(
    const Grid *grid,
    Py_ssize_t planes,
    const real *row,            # IN   the pixels of each plane
    Py_ssize_t stride,
    real *x,                    # OUT  (planes, h, w), those of the pixels that lie in it
) noexcept nogil:
    cdef Py_ssize_t c, i, j, y
    cdef const real *source
    cdef real *target
    for c in range(planes):
        if grid.dense:
            memcpy(x + c * grid.h * grid.w, row + c * stride, grid.h * grid.w * sizeof(real))
            continue
        for i in range(grid.oh):
            y = i * grid.sh - grid.top
            if 0 <= y < grid.h:
                source = row + c * stride + i * grid.ow
                target = x + (c * grid.h + y) * grid.w - grid.left
                for j in range(grid.first, grid.end):
                    target[j * grid.sw] = source[j]


cdef void fill(Py_ssize_t planes, Py_ssize_t size, const real *bias, real *y) noexcept nogil:
    """All pixels of a plane become its bias, or 0."""
    cdef Py_ssize_t c, i
    cdef real value = 0
    for c in range(planes):
        if bias != NULL:
            value = bias[c]
        for i in range(size):
            y[c * size + i] = value


cdef Matrix weights_from(const Plan *plan, const real *weight, Py_ssize_t filter) noexcept nogil:
    """The weights of the filters from this one on: (filters, channels)."""
    if plan.transposed:
        return Matrix(weight + filter, 1, plan.filters)
    return Matrix(weight + filter * plan.channels, plan.channels, 1)


cdef void plane_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some filters of a run of pixels of one image."""
    cdef Py_ssize_t pixel = task % plan.across * plan.width, filter = task // plan.across % plan.down * plan.height
    cdef Py_ssize_t image = task // plan.across // plan.down, at = (image * plan.filters + filter) * plan.pixels + pixel
    cdef Py_ssize_t rows = min(plan.height, plan.filters - filter), cols = min(plan.width, plan.pixels - pixel)
    cdef const real *x = <const real *>plan.x + image * plan.channels * plan.pixels + pixel
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y + at
    if bias != NULL:
        bias += filter
    multiply_block(
        rows, cols, plan.channels, weights_from(plan, <const real *>plan.weight, filter), Matrix(x, plan.pixels, 1),
        Matrix(bias, 1, 0), Output(y, plan.pixels), scratch,
    )
    finish_rows(rows, plan.pixels, cols, add + at if add != NULL else NULL, plan.activation, y)


cdef void gathered_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some filters of several images, of whose product only the pixels that `target` names are written.
    scratch: gathered x, the product, and what multiply_block needs."""
    cdef Py_ssize_t first = task // plan.down * plan.images, filter = task % plan.down * plan.height
    cdef Py_ssize_t rows = min(plan.height, plan.filters - filter), images = min(plan.images, plan.n - first)
    cdef Py_ssize_t cols = images * plan.pixels, source_size = plan.source.h * plan.source.w, i, at
    cdef Py_ssize_t target_size = plan.target.h * plan.target.w
    cdef const real *x = <const real *>plan.x + first * plan.channels * source_size
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y
    cdef real *product = scratch + plan.channels * plan.width
    if bias != NULL:
        bias += filter
    for i in range(images):
        gather(&plan.source, plan.channels, x + i * plan.channels * source_size, scratch + i * plan.pixels, cols)
    multiply_block(
        rows, cols, plan.channels, weights_from(plan, <const real *>plan.weight, filter), Matrix(scratch, cols, 1),
        Matrix(bias, 1, 0), Output(product, cols), product + plan.height * plan.width,
    )
    for i in range(images):
        at = ((first + i) * plan.filters + filter) * target_size
        if plan.fills:
            fill(rows, target_size, bias, y + at)
        scatter(&plan.target, rows, product + i * plan.pixels, cols, y + at)
        finish_rows(1, 0, rows * target_size, add + at if add != NULL else NULL, plan.activation, y + at)


cdef void dweight_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """One block of dweight over one group of images.
    scratch: gathered dy, gathered x, and what multiply_block needs."""
    cdef Py_ssize_t channel = task % plan.across * plan.width, filter = task // plan.across % plan.down * plan.height
    cdef Py_ssize_t group = task // plan.across // plan.down, size = plan.source.h * plan.source.w
    cdef Py_ssize_t rows = min(plan.height, plan.filters - filter), cols = min(plan.width, plan.channels - channel)
    cdef Py_ssize_t length = plan.pixels, run, first, images, i, f
    cdef real *gathered_x = scratch + plan.height * plan.images * plan.pixels
    cdef real *rest = gathered_x + plan.width * plan.images * plan.pixels if plan.gathers else scratch
    cdef const real *a
    cdef const real *b
    cdef real *sums = <real *>plan.sums + (group * plan.filters + filter) * plan.channels + channel
    cdef double *bias_sums = plan.bias_sums + group * plan.filters + filter
    cdef Matrix start = Matrix(NULL, plan.channels, 1)
    for run in range(plan.runs * group // plan.groups, plan.runs * (group + 1) // plan.groups):
        first = run * plan.images
        images = min(plan.images, plan.n - first)
        a = <const real *>plan.dy + (first * plan.filters + filter) * plan.pixels
        b = <const real *>plan.x + (first * plan.channels + channel) * size
        if plan.gathers:
            length = images * plan.pixels
            for i in range(images):
                gather(&plan.target, rows, a + i * plan.filters * plan.pixels, scratch + i * plan.pixels, length)
                gather(&plan.source, cols, b + i * plan.channels * size, gathered_x + i * plan.pixels, length)
            a, b = scratch, gathered_x
        multiply_block(
            rows, cols, length, Matrix(a, length, 1), Matrix(b, 1, length), start, Output(sums, plan.channels), rest
        )
        start.data = sums
        for f in range(rows if channel == 0 else 0):
            bias_sums[f] += row_sum(length, a + f * length)


cdef void add_groups(const Plan *plan, const real *sums, real *dweight, real *dbias) noexcept nogil:
    cdef Py_ssize_t size = plan.filters * plan.channels, group
    memcpy(dweight, sums, size * sizeof(real))
    for group in range(1, plan.groups):
        kernels_for(dweight).add(size, sums + group * size, dweight)
    add_bias_sums(plan.groups, plan.filters, plan.bias_sums, dbias)
