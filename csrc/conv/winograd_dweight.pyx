"""Backward-weight of 3x3 windows at stride 1 by Winograd's algorithm.

# Design:
# dweight (3x3) is the convolution of x with dy, in 4x4 tiles of dy: 36 products a tile instead of 144. Lanes of a
# vector are channels here, and filters, for the sum of each of the 36 products S[point] (filters x channels) =
# DY[point] transposed * V[point] runs over tiles. A strip is a row of tiles of one image:
#
#     dy, two images of 12 x 9 pixels          a block of 3 strips, transformed: V[point] and DY[point]
#     +---+---+--+   +---+---+--+
#     | strip 0  |   | strip 3  |                  tile         channels, then a gap      filters, then a gap
#     +---+---+--+   +---+---+--+                  0  strip 0   c0 c1 c2 ... |            f0 f1 f2 ... |
#     | strip 1  |   | strip 4  |                  1            c0 c1 c2 ... |            f0 f1 f2 ... |
#     +---+---+--+   +---+---+--+                  2            c0 c1 c2 ... |            f0 f1 f2 ... |
#     | strip 2  |   | strip 5  |                  3  strip 1   c0 c1 c2 ... |            f0 f1 f2 ... |
#     +---+---+--+   +---+---+--+                  ...
#
# Blocks are as large as the second-level caches hold: per block, the strips are transformed, then every point adds its
# product to its own sum. The six rows of x that a strip reads are first copied to lines, with channels side by side;
# two of them are those of the strip below too. All sums run over tiles in order: any number of threads gives the same
# bits. Of many filters, the sums of all channels would be the most memory of a training step: channels are taken in
# ranges, and dy is transformed again for each. The transform of dy at the point (1, 1) is the sum of its 16 pixels,
# over 9: dbias is a sum over tiles of what is there.
# Of few channels and filters the sums are small: there (`by_strips`) a task owns strips, one block after another, with
# sums of its own, and its transforms stay in its own cache; at the end the tasks' sums are added in order.
"""

from libc.string cimport memcpy, memset

from costs cimport GEMM_NANOSECONDS
from kernels cimport CNNX_ACROSS, Ending, cnnx_strip, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_DBIAS, ARG_DWEIGHT, ARG_DY, ARG_WINDOWS, BACKWARD_WEIGHT, Convolution, Geometry
from .winograd cimport POINTS, SKEW, Tiling, tiling_of

cdef enum:
    STRIP_BLOCK_ELEMENTS = 250_000      # of DY and V: 1 MB of floats
    SUMS_ELEMENTS = 1_200_000           # of S: 5 MB of floats
    TILES_AT_A_TIME = 128               # 8 kB of a panel of 16 floats, read at cache lines far apart
    PANELS_OF_POINT = 4                 # panels of channels that a task multiplies
    OWN_BLOCK_ELEMENTS = 60_000         # of DY and V, where a task owns strips: 240 kB of floats
    STRIP_TASKS = 8                     # that can run side by side; more would take more memory for sums
    SUM_POINT = 7                       # (1, 1)


cdef struct Plan:
    Tiling tiling
    Py_ssize_t all_strips           # of all images
    Py_ssize_t most                 # strips of a block at most
    Py_ssize_t of_task              # by_strips: strips of a task
    Py_ssize_t tasks                # by_strips
    Py_ssize_t pitch                # elements of a line
    Py_ssize_t first_channel, channels      # the range
    Py_ssize_t x_panels, dy_panels  # of nr channels of the range; of nr filters
    Py_ssize_t mr_panels            # of mr filters: rows of the sums
    Py_ssize_t x_tile, dy_tile      # elements from one tile to the next
    Py_ssize_t x_point, dy_point, sums_point        # from one point to the next
    Py_ssize_t first, strips        # of the block in hand
    bint sums_dy                    # dbias too: not again for every range
    # Addresses, set in a copy for each call; by_strips: some of them for each task.
    const void *x
    const void *dy
    void *v                         # (POINTS, tiles, x_tile): x, transformed
    void *u                         # (POINTS, tiles, dy_tile): dy, transformed
    void *sums                      # (POINTS, mr_panels * mr, x_panels * nr); by_strips: of every task
    double *bias_sums               # (filters); by_strips: of every task
    void *dweight
    void *dbias


cdef class WinogradDweight(Convolution):
    """Tasks are strips, then points, of one block after another."""
    cdef Plan plan                  # of the first range
    cdef Py_ssize_t range_channels

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Plan plan = self.plan
        cdef Tile tile = tile_of(self.single)
        plan.dy, plan.x = arrays[ARG_DY], arrays[ARG_WINDOWS]
        plan.dweight, plan.dbias = arrays[ARG_DWEIGHT], arrays[ARG_DBIAS]
        plan.bias_sums = <double *>(shared + self.shared) - plan.tiling.filters
        memset(plan.bias_sums, 0, plan.tiling.filters * sizeof(double))
        plan.sums = shared
        while plan.first_channel < plan.tiling.channels:
            set_range(&plan, plan.first_channel, self.range_channels, tile)
            plan.v = shared + POINTS * plan.sums_point * tile.element
            plan.u = <char *>plan.v + POINTS * plan.x_point * tile.element
            memset(plan.sums, 0, POINTS * plan.sums_point * tile.element)
            self.add_range(&plan, team)
            plan.first_channel += self.range_channels
            plan.sums_dy = False

    cdef void add_range(self, Plan *plan, const Team *team) noexcept nogil:
        cdef Task task
        plan.first = 0
        while plan.first < plan.all_strips:
            plan.strips = min(plan.most, plan.all_strips - plan.first)
            task = <Task>strip_task[float] if self.single else <Task>strip_task[double]
            run_team(team, task, plan, plan.strips * (plan.x_panels + plan.dy_panels), EVENLY)
            task = <Task>point_task[float] if self.single else <Task>point_task[double]
            run_team(team, task, plan, POINTS * ceil_div(plan.x_panels, PANELS_OF_POINT), ON_DEMAND)
            plan.first += plan.most
        task = <Task>write_task[float] if self.single else <Task>write_task[double]
        run_team(team, task, plan, plan.tiling.filters, EVENLY)


cdef class WinogradDweightByStrips(Convolution):
    """Tasks are runs of strips."""
    cdef Plan plan

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.dy, plan.x = arrays[ARG_DY], arrays[ARG_WINDOWS]
        plan.dweight, plan.dbias = arrays[ARG_DWEIGHT], arrays[ARG_DBIAS]
        plan.sums = shared
        plan.bias_sums = <double *>(shared + self.shared) - plan.tasks * plan.tiling.filters
        task = <Task>own_strips_task[float] if self.single else <Task>own_strips_task[double]
        run_team(team, task, &plan, plan.tasks, ON_DEMAND)
        task = <Task>add_and_write_task[float] if self.single else <Task>add_and_write_task[double]
        run_team(team, task, &plan, plan.tiling.filters, EVENLY)


cdef Job prepare_winograd_dweight(const Geometry *geometry, bint single, Ending activation):
    cdef WinogradDweight job = WinogradDweight()
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    cdef Py_ssize_t panels, most, ranges
    job.set_up(geometry, BACKWARD_WEIGHT, "winograd", single, activation)
    plan[0] = plan_of(geometry, tile)
    most = max(<Py_ssize_t>1, SUMS_ELEMENTS // (POINTS * plan.mr_panels * tile.mr * tile.nr))
    panels = ceil_div(plan.tiling.channels, tile.nr)
    ranges = ceil_div(panels, most)
    job.range_channels = ceil_div(panels, ranges) * tile.nr
    plan.sums_dy = True
    set_range(plan, 0, job.range_channels, tile)
    job.cost = GEMM_NANOSECONDS * POINTS * plan.tiling.tiles * plan.tiling.filters * plan.tiling.channels
    job.scratch = 6 * plan.pitch * tile.element
    job.shared = shared_bytes(plan, tile)
    cdef Plan last = plan[0]
    set_range(&last, (ranges - 1) * job.range_channels, job.range_channels, tile)
    job.shared = max(job.shared, shared_bytes(&last, tile))     # of fewer channels a block may have more strips
    return job


cdef Job prepare_winograd_dweight_by_strips(const Geometry *geometry, bint single, Ending activation):
    cdef WinogradDweightByStrips job = WinogradDweightByStrips()
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    job.set_up(geometry, BACKWARD_WEIGHT, "winograd_by_strips", single, activation)
    plan[0] = plan_of(geometry, tile)
    plan.of_task = ceil_div(plan.all_strips, STRIP_TASKS)
    plan.tasks = ceil_div(plan.all_strips, plan.of_task)
    plan.channels, plan.x_panels = plan.tiling.channels, ceil_div(plan.tiling.channels, tile.nr)
    set_strides(plan, plan.of_task, OWN_BLOCK_ELEMENTS, 0, tile)
    job.cost = GEMM_NANOSECONDS * POINTS * plan.tiling.tiles * plan.tiling.filters * plan.tiling.channels
    job.scratch = (POINTS * (plan.x_point + plan.dy_point) + 6 * plan.pitch) * tile.element
    job.shared = plan.tasks * (POINTS * plan.sums_point * tile.element + plan.tiling.filters * sizeof(double))
    return job


cdef Plan plan_of(const Geometry *geometry, Tile tile) noexcept:
    cdef Plan plan
    memset(&plan, 0, sizeof(Plan))
    plan.tiling = tiling_of(geometry, False)
    plan.all_strips = plan.tiling.n * plan.tiling.rows
    plan.pitch = (4 * plan.tiling.cols + 2) * tile.nr
    plan.dy_panels, plan.mr_panels = ceil_div(plan.tiling.filters, tile.nr), ceil_div(plan.tiling.filters, tile.mr)
    return plan


cdef void set_range(Plan *plan, Py_ssize_t first_channel, Py_ssize_t channels, Tile tile) noexcept nogil:
    plan.first_channel, plan.channels = first_channel, min(channels, plan.tiling.channels - first_channel)
    plan.x_panels = ceil_div(plan.channels, tile.nr)
    set_strides(plan, plan.all_strips, STRIP_BLOCK_ELEMENTS, SKEW, tile)


cdef void set_strides(
    Plan *plan, Py_ssize_t all_strips, Py_ssize_t block_elements, Py_ssize_t gap, Tile tile
) noexcept nogil:
    """Blocks of equal size of so many strips, and where their transforms lie, with a gap after each tile."""
    cdef Py_ssize_t most, blocks
    plan.x_tile, plan.dy_tile = plan.x_panels * tile.nr + gap, plan.dy_panels * tile.nr + gap
    most = block_elements // (POINTS * plan.tiling.cols * (plan.x_tile + plan.dy_tile))
    blocks = ceil_div(all_strips, max(<Py_ssize_t>1, min(all_strips, most)))
    plan.most = ceil_div(all_strips, blocks)
    plan.x_point = plan.most * plan.tiling.cols * plan.x_tile + SKEW
    plan.dy_point = plan.most * plan.tiling.cols * plan.dy_tile + SKEW
    plan.sums_point = plan.mr_panels * tile.mr * plan.x_panels * tile.nr


cdef size_t shared_bytes(const Plan *plan, Tile tile) noexcept:
    """Of a range: S, V, DY, and the sums of dbias."""
    return (
        POINTS * (plan.sums_point + plan.x_point + plan.dy_point) * tile.element + plan.tiling.filters * sizeof(double)
    )


cdef void strip_task(const Plan *plan, Py_ssize_t task, real *lines) noexcept nogil:
    transform_strip(plan, task % plan.strips, task // plan.strips, 0, lines)


cdef void point_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """One point and a run of panels of channels; with one of them, dbias."""
    cdef Py_ssize_t runs = ceil_div(plan.x_panels, PANELS_OF_POINT)
    add_point(plan, task // runs, task % runs * PANELS_OF_POINT, <real *>plan.sums)
    if plan.sums_dy and task == SUM_POINT * runs:
        add_tiles(plan, <const real *>plan.u, plan.bias_sums)


cdef void write_task(const Plan *plan, Py_ssize_t filter, real *scratch) noexcept nogil:
    cdef real *dbias = <real *>plan.dbias
    write_dweight(plan, filter, <const real *>plan.sums)
    if plan.sums_dy:
        dbias[filter] = <real>(9 * plan.bias_sums[filter])


cdef void own_strips_task(const Plan *shared, Py_ssize_t task, real *scratch) noexcept nogil:
    """A run of strips, in blocks. scratch: V and DY of a block, and lines."""
    cdef Plan plan = shared[0]
    cdef Py_ssize_t runs = ceil_div(plan.x_panels, PANELS_OF_POINT), panel, strip, kept, i
    cdef Py_ssize_t end = min(plan.all_strips, (task + 1) * plan.of_task)
    cdef real *lines = scratch + POINTS * (plan.x_point + plan.dy_point)
    cdef real *sums = <real *>plan.sums + task * POINTS * plan.sums_point
    cdef double *bias_sums = plan.bias_sums + task * plan.tiling.filters
    plan.v, plan.u = scratch, scratch + POINTS * plan.x_point
    memset(sums, 0, POINTS * plan.sums_point * sizeof(real))
    memset(bias_sums, 0, plan.tiling.filters * sizeof(double))
    plan.first = task * plan.of_task
    while plan.first < end:
        plan.strips = min(plan.most, end - plan.first)
        for panel in range(plan.x_panels + plan.dy_panels):
            for strip in range(plan.strips):
                kept = 2 if strip > 0 and (plan.first + strip) % plan.tiling.rows > 0 else 0
                transform_strip(&plan, strip, panel, kept, lines)
        for i in range(POINTS * runs):
            add_point(&plan, i // runs, i % runs * PANELS_OF_POINT, sums)
        add_tiles(&plan, <const real *>plan.u, bias_sums)
        plan.first += plan.most


cdef void add_and_write_task(const Plan *plan, Py_ssize_t filter, real *scratch) noexcept nogil:
    """What all tasks found for one filter."""
    cdef Py_ssize_t width = plan.x_panels * kernels_for(scratch).nr, task, point
    cdef real *sums = <real *>plan.sums
    cdef real *dbias = <real *>plan.dbias
    cdef real *row
    cdef double bias_sum = 0
    for point in range(POINTS):
        row = sums + point * plan.sums_point + filter * width
        for task in range(1, plan.tasks):
            kernels_for(scratch).add(width, row + task * POINTS * plan.sums_point, row)
    write_dweight(plan, filter, <const real *>sums)
    for task in range(plan.tasks):
        bias_sum += plan.bias_sums[task * plan.tiling.filters + filter]
    dbias[filter] = <real>(9 * bias_sum)


cdef void transform_strip(
    const Plan *plan,
    Py_ssize_t strip,           # within the block
    Py_ssize_t panel,           # of the range's channels of x, then of filters of dy
    Py_ssize_t kept,            # rows of x that are in the lines from the strip above: the last two, or none
    real *lines,                # scratch: rows of pixels, channels side by side
) noexcept nogil:
    """V or DY of one panel of channels or filters, in one strip."""
    cdef const Tiling *tiling = &plan.tiling
    cdef Py_ssize_t nr = kernels_for(lines).nr, pitch = plan.pitch, tile = strip * tiling.cols
    cdef Py_ssize_t image = (plan.first + strip) // tiling.rows, row = (plan.first + strip) % tiling.rows * 4, channel
    cdef const real *from_x = <const real *>plan.x
    cdef const real *from_dy = <const real *>plan.dy
    cdef cnnx_strip lanes
    if panel < plan.x_panels:
        channel = image * tiling.channels + plan.first_channel + panel * nr
        memcpy(lines, lines + 4 * pitch, kept * pitch * sizeof(real))
        interleave_rows(
            Rows(min(nr, plan.channels - panel * nr), tiling.h, tiling.w, row - tiling.top + kept, 6 - kept,
                 tiling.left, 4 * tiling.cols + 2),
            from_x + channel * tiling.h * tiling.w, lines + kept * pitch, pitch,
        )
        lanes = cnnx_strip(tiling.cols, nr, 0, 6, 0, 4 * tiling.cols + 2, nr, pitch, plan.x_tile, plan.x_point)
        kernels_for(lines).winograd_x_strip(&lanes, lines, <real *>plan.v + tile * plan.x_tile + panel * nr)
    else:
        panel -= plan.x_panels
        channel = image * tiling.filters + panel * nr
        interleave_rows(
            Rows(min(nr, tiling.filters - panel * nr), tiling.oh, tiling.ow, row, 4, 0, 4 * tiling.cols),
            from_dy + channel * tiling.oh * tiling.ow, lines, pitch,
        )
        kernels_for(lines).winograd_dy_strip(
            tiling.cols, lines, pitch, <real *>plan.u + tile * plan.dy_tile + panel * nr, plan.dy_tile, plan.dy_point
        )


cdef struct Rows:               # of planes; beyond a plane's own rows and columns are zeros
    Py_ssize_t channels, h, w
    Py_ssize_t first, count     # rows
    Py_ssize_t left, cols       # columns: so many, of which `left` are before the plane


cdef void interleave_rows(
    Rows rows,
    const real *x,              # IN   (channels, h, w)
    real *lines,                # OUT  (rows, cols, nr)
    Py_ssize_t pitch,           # elements from one line to the next
) noexcept nogil:
    """Pixels of up to nr channels side by side."""
    cdef Py_ssize_t nr = kernels_for(lines).nr, i, row
    cdef Py_ssize_t before = max(<Py_ssize_t>0, min(rows.left, rows.cols)), skipped = max(<Py_ssize_t>0, -rows.left)
    cdef Py_ssize_t inside = max(<Py_ssize_t>0, min(rows.cols - before, rows.w - skipped))
    for i in range(rows.count):
        row = rows.first + i
        if row < 0 or row >= rows.h:
            memset(lines + i * pitch, 0, rows.cols * nr * sizeof(real))
            continue
        memset(lines + i * pitch, 0, before * nr * sizeof(real))
        kernels_for(lines).pack(
            rows.channels, inside, x + row * rows.w + skipped, rows.h * rows.w, 1, nr, lines + i * pitch + before * nr
        )
        memset(lines + i * pitch + (before + inside) * nr, 0, (rows.cols - before - inside) * nr * sizeof(real))


cdef void add_point(
    const Plan *plan,
    Py_ssize_t point,
    Py_ssize_t first_panel,     # of a run
    real *sums,                 # OUT  += (POINTS, mr_panels * mr, x_panels * nr)
) noexcept nogil:
    """The products of one point, over all tiles of the block."""
    cdef Py_ssize_t mr = kernels_for(sums).mr, nr = kernels_for(sums).nr, width = plan.x_panels * nr, start = 0
    cdef Py_ssize_t tiles = plan.strips * plan.tiling.cols, panel, f, filters, k
    cdef const real *u = <const real *>plan.u + point * plan.dy_point
    cdef const real *v = <const real *>plan.v + point * plan.x_point
    cdef cnnx_tile tile
    cdef const real *of_filters
    cdef const real *of_channels
    cdef real *out
    sums += point * plan.sums_point
    while start < tiles:
        k = min(<Py_ssize_t>TILES_AT_A_TIME, tiles - start)
        for panel in range(first_panel, min(plan.x_panels, first_panel + PANELS_OF_POINT)):
            for f in range(plan.mr_panels):
                filters = plan.tiling.filters - f * mr
                of_filters = u + start * plan.dy_tile + f * mr
                of_channels = v + start * plan.x_tile + panel * nr
                out = sums + f * mr * width + panel * nr
                if filters >= mr:
                    kernels_for(sums).gemm_strided(k, of_filters, plan.dy_tile, of_channels, plan.x_tile, out, width)
                else:
                    tile = cnnx_tile(filters, nr, k, 1, plan.dy_tile, plan.x_tile, width, 1, width)
                    kernels_for(sums).product(&tile, of_filters, of_channels, out, out)
        start += TILES_AT_A_TIME


cdef void add_tiles(const Plan *plan, const real *u, double *sums) noexcept nogil:
    """What dbias is made of: the transform of every filter's dy at SUM_POINT, over all tiles of the block."""
    cdef Py_ssize_t t, f
    for t in range(plan.strips * plan.tiling.cols):
        for f in range(plan.tiling.filters):
            sums[f] += u[SUM_POINT * plan.dy_point + t * plan.dy_tile + f]


cdef void write_dweight(const Plan *plan, Py_ssize_t filter, const real *sums) noexcept nogil:
    """The sums of one filter and the range's channels, back from points to taps."""
    cdef Py_ssize_t nr = kernels_for(sums).nr, panel, c, t
    cdef real *dweight = <real *>plan.dweight + (filter * plan.tiling.channels + plan.first_channel) * 9
    cdef real taps[9 * CNNX_ACROSS]
    for panel in range(plan.x_panels):
        kernels_for(sums).winograd_dweight(sums + (filter * plan.x_panels + panel) * nr, plan.sums_point, taps)
        for c in range(min(nr, plan.channels - panel * nr)):
            for t in range(9):
                dweight[(panel * nr + c) * 9 + t] = taps[t * nr + c]
