"""Convolution with 3x3 windows at stride 1 by Winograd's algorithm: forward and backward-data.

# Design:
# The plane that is written is cut into 4x4 tiles, of all images one after another. With V = transform of x, 36 numbers
# a tile and channel, and U = transform of the weights, 36 a filter and channel, the result is the inverse transform of
# 36 matrix products M[point] = U[point] (filters x channels) * V[point] (channels x tiles). Lanes of a vector are
# tiles: nr tiles are one panel of V. Their pixels are first copied to six lines, side by side (`lay_out`). Columns of
# lines are transformed there, those that two tiles share once; then tiles are cut out and transformed across. Results
# go back by lines too.
# A task owns a block of panels, and takes the filters in chunks, so that V and M stay in the second-level cache. Where
# tiles are few, U would be written and read for one or two blocks only: there (`by_filters`) V of all tiles is made
# first, and a task owns a chunk of filters, whose weights it transforms in its cache.
# Backward-data is the same with weights rotated and transposed: x is dy, and y is dx. A sum runs over channels in
# order: any number of threads gives the same bits.
"""

from libc.string cimport memset

from costs cimport GEMM_NANOSECONDS
from kernels cimport CNNX_ACROSS, CNNX_MR_MULTIPLE, Ending, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..gemm cimport K_BLOCK
from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DX, ARG_WEIGHT, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, FORWARD, Convolution, Direction, Geometry

cdef enum:
    FILTERS_AT_A_TIME = CNNX_MR_MULTIPLE    # whole panels
    TILE_BLOCK_ELEMENTS = 60_000    # of V and M: 240 kB of floats, half of a second-level cache of 512
    MOST_TILE_PANELS = 8
    ENOUGH_BLOCKS = 16              # of tiles: they are smaller where there would be fewer
    WEIGHT_BLOCK_ELEMENTS = 60_000  # of U, where a task owns filters
    CHANNELS_AT_A_TIME = 16         # of a task that only transforms tiles


cdef struct Plan:
    Tiling tiling
    Py_ssize_t panels               # of nr tiles
    Py_ssize_t block                # panels of a task
    Py_ssize_t chunk                # filters that are multiplied together: whole panels; by_filters: of a task
    Py_ssize_t filter_stride, channel_stride        # of the weights
    bint rotated                    # backward-data
    Py_ssize_t u_stride, v_stride, m_stride         # elements from one point to the next
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x
    const void *weight
    const void *bias                # or NULL
    const void *add                 # as y, or NULL
    void *u                         # (filter panels, POINTS, channels, mr)
    void *v                         # by_filters: (panels, POINTS, channels, nr)
    void *y


cdef class Winograd(Convolution):
    """Tasks are blocks of tiles; packed weights are U."""
    cdef Plan plan

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.weight, plan.u = weight, packed
        task = <Task>weight_task[float] if self.single else <Task>weight_task[double]
        run_team(team, task, &plan, ceil_div(plan.tiling.filters, tile_of(self.single).mr), EVENLY)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = called(&self.plan, arrays)
        plan.u = arrays[ARG_WEIGHT]
        task = <Task>block_task[float] if self.single else <Task>block_task[double]
        run_team(team, task, &plan, ceil_div(plan.panels, plan.block), ON_DEMAND)


cdef class WinogradByFilters(Convolution):
    """Tasks are chunks of filters. Weights are not packed: to read U, four times as large, takes as long as to make
    it."""
    cdef Plan plan

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = called(&self.plan, arrays)
        plan.v = shared
        task = <Task>piece_task[float] if self.single else <Task>piece_task[double]
        run_team(team, task, &plan, plan.panels * ceil_div(plan.tiling.channels, CHANNELS_AT_A_TIME), EVENLY)
        task = <Task>chunk_task[float] if self.single else <Task>chunk_task[double]
        run_team(team, task, &plan, ceil_div(plan.tiling.filters, plan.chunk), ON_DEMAND)


cdef Job prepare_winograd(const Geometry *geometry, bint single, Ending activation):
    return by_tiles(geometry, FORWARD, single, activation)


cdef Job prepare_winograd_dx(const Geometry *geometry, bint single, Ending activation):
    return by_tiles(geometry, BACKWARD_DATA, single, activation)


cdef Job prepare_winograd_by_filters(const Geometry *geometry, bint single, Ending activation):
    return by_filters(geometry, FORWARD, single, activation)


cdef Job prepare_winograd_dx_by_filters(const Geometry *geometry, bint single, Ending activation):
    return by_filters(geometry, BACKWARD_DATA, single, activation)


cdef Job by_tiles(const Geometry *geometry, Direction direction, bint single, Ending activation):
    cdef Winograd job = Winograd()
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    job.set_up(geometry, direction, "winograd", single, activation)
    plan[0] = plan_of(geometry, direction == BACKWARD_DATA, activation, tile)
    set_chunk(plan, FILTERS_AT_A_TIME // tile.mr, tile)
    cdef Py_ssize_t panel = POINTS * (plan.v_stride + plan.m_stride)
    plan.block = max(1, min(<Py_ssize_t>MOST_TILE_PANELS, TILE_BLOCK_ELEMENTS // panel, plan.panels // ENOUGH_BLOCKS))
    job.cost = GEMM_NANOSECONDS * POINTS * plan.panels * tile.nr * plan.tiling.filters * plan.tiling.channels
    job.packed = ceil_div(plan.tiling.filters, tile.mr) * POINTS * plan.u_stride * tile.element
    job.scratch = plan.block * panel * tile.element
    return job


cdef Job by_filters(const Geometry *geometry, Direction direction, bint single, Ending activation):
    cdef WinogradByFilters job = WinogradByFilters()
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    job.set_up(geometry, direction, "winograd_by_filters", single, activation)
    plan[0] = plan_of(geometry, direction == BACKWARD_DATA, activation, tile)
    cdef Py_ssize_t panel = POINTS * plan.u_stride
    set_chunk(plan, min(FILTERS_AT_A_TIME // tile.mr, WEIGHT_BLOCK_ELEMENTS // panel), tile)
    job.cost = GEMM_NANOSECONDS * POINTS * plan.panels * tile.nr * plan.tiling.filters * plan.tiling.channels
    job.shared = plan.panels * POINTS * plan.v_stride * tile.element
    job.scratch = (plan.chunk // tile.mr * panel + POINTS * plan.m_stride) * tile.element
    return job


cdef Plan plan_of(const Geometry *geometry, bint rotated, Ending activation, Tile tile) noexcept:
    cdef Plan plan
    memset(&plan, 0, sizeof(Plan))
    plan.tiling, plan.rotated, plan.activation = tiling_of(geometry, rotated), rotated, activation
    plan.panels = ceil_div(plan.tiling.tiles, tile.nr)
    plan.filter_stride = 9 if rotated else geometry.channels * 9
    plan.channel_stride = geometry.channels * 9 if rotated else 9
    plan.u_stride, plan.v_stride = plan.tiling.channels * tile.mr + SKEW, plan.tiling.channels * tile.nr + SKEW
    return plan


cdef void set_chunk(Plan *plan, Py_ssize_t panels, Tile tile) noexcept:
    """Up to so many panels of filters are multiplied together."""
    plan.chunk = max(<Py_ssize_t>1, min(panels, ceil_div(plan.tiling.filters, tile.mr))) * tile.mr
    plan.m_stride = plan.chunk * tile.nr + SKEW


cdef Tiling tiling_of(const Geometry *geometry, bint rotated) noexcept:
    """Of a layer's x and y; rotated: of dy, which is read, and dx."""
    cdef Tiling tiling
    if rotated:
        tiling.channels, tiling.h, tiling.w = geometry.filters, geometry.oh, geometry.ow
        tiling.filters, tiling.oh, tiling.ow = geometry.channels, geometry.h, geometry.w
        tiling.top, tiling.left = 2 - geometry.top, 2 - geometry.left
    else:
        tiling.channels, tiling.h, tiling.w = geometry.channels, geometry.h, geometry.w
        tiling.filters, tiling.oh, tiling.ow = geometry.filters, geometry.oh, geometry.ow
        tiling.top, tiling.left = geometry.top, geometry.left
    tiling.n, tiling.rows, tiling.cols = geometry.n, ceil_div(tiling.oh, 4), ceil_div(tiling.ow, 4)
    tiling.tiles = tiling.n * tiling.rows * tiling.cols
    return tiling


cdef Plan called(const Plan *plan, void **arrays) noexcept nogil:
    """A plan with the addresses of a call."""
    cdef Plan call = plan[0]
    call.x, call.weight, call.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
    if plan.rotated:
        call.y = arrays[ARG_DX]
    else:
        call.add, call.y = arrays[ARG_ADD], arrays[ARG_Y]
    return call


cdef void weight_task(const Plan *plan, Py_ssize_t panel, real *scratch) noexcept nogil:
    """U of one panel of filters."""
    cdef real *u = <real *>plan.u
    transform_weights(plan, panel * kernels_for(u).mr, u + panel * POINTS * plan.u_stride)


cdef void block_task(const Plan *plan, Py_ssize_t block, real *scratch) noexcept nogil:
    """All filters of one block of tile panels. scratch: V of the block, M of the block and a chunk of filters."""
    cdef Py_ssize_t mr = kernels_for(scratch).mr, nr = kernels_for(scratch).nr, v_panel = POINTS * plan.v_stride
    cdef Py_ssize_t first_panel = block * plan.block, panels = min(plan.block, plan.panels - first_panel)
    cdef Py_ssize_t first = 0, filters, panel
    cdef const real *u = <const real *>plan.u
    cdef real *v = scratch
    cdef real *m = v + panels * v_panel
    for panel in range(panels):
        transform_tiles(plan, (first_panel + panel) * nr, 0, plan.tiling.channels, v + panel * v_panel)
    while first < plan.tiling.filters:
        filters = min(plan.chunk, plan.tiling.filters - first)
        multiply_points(plan, panels, filters, u + first // mr * POINTS * plan.u_stride, v, m)
        for panel in range(panels):
            write_tiles(plan, (first_panel + panel) * nr, first, filters, m + panel * POINTS * plan.m_stride)
        first += plan.chunk


cdef void piece_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """V of one panel and some channels."""
    cdef Py_ssize_t pieces = ceil_div(plan.tiling.channels, CHANNELS_AT_A_TIME)
    cdef Py_ssize_t panel = task // pieces, first = task % pieces * CHANNELS_AT_A_TIME
    cdef real *v = <real *>plan.v
    transform_tiles(
        plan, panel * kernels_for(v).nr, first, min(plan.tiling.channels, first + CHANNELS_AT_A_TIME),
        v + panel * POINTS * plan.v_stride,
    )


cdef void chunk_task(const Plan *plan, Py_ssize_t chunk, real *scratch) noexcept nogil:
    """One chunk of filters of all tiles. scratch: U of the filters, M of one panel."""
    cdef Py_ssize_t mr = kernels_for(scratch).mr, nr = kernels_for(scratch).nr, u_panel = POINTS * plan.u_stride, panel
    cdef Py_ssize_t first = chunk * plan.chunk, filters = min(plan.chunk, plan.tiling.filters - first)
    cdef const real *v = <const real *>plan.v
    cdef real *u = scratch
    cdef real *m = u + plan.chunk // mr * u_panel
    for panel in range(ceil_div(filters, mr)):
        transform_weights(plan, first + panel * mr, u + panel * u_panel)
    for panel in range(plan.panels):
        multiply_points(plan, 1, filters, u, v + panel * POINTS * plan.v_stride, m)
        write_tiles(plan, panel * nr, first, filters, m)


cdef void transform_weights(const Plan *plan, Py_ssize_t first, real *u) noexcept nogil:
    """One panel of filters, from `first` on."""
    kernels_for(u).winograd_weight(
        min(kernels_for(u).mr, plan.tiling.filters - first), plan.tiling.channels,
        <const real *>plan.weight + first * plan.filter_stride, plan.filter_stride, plan.channel_stride, plan.rotated,
        u, plan.u_stride,
    )


cdef struct Run:                    # tiles of a panel side by side in one image
    Py_ssize_t rows, cols           # pixels of it inside the plane of x
    Py_ssize_t x                    # the first of these, in the first channel
    Py_ssize_t line, col            # and its place in the lines
    Py_ssize_t y, height, width     # what it writes, in the first filter


cdef struct Lines:                  # where nr tiles, or what is left, lie in the lines
    Py_ssize_t tiles, runs
    Run[CNNX_ACROSS] run
    Py_ssize_t run_width            # of pixels in a line: 4 a tile, and what the last tile needs beyond
    Py_ssize_t pitch                # from one line to the next: whole vectors
    Py_ssize_t[CNNX_ACROSS] places  # of the tiles in a line


cdef enum:
    LINES_SIZE = 6 * (20 * CNNX_ACROSS + 12)    # nr runs of one tile, or three of nr, are less


# A panel of nr = 4 tiles that begins with tile 1, of planes of 3 x 2 tiles, in two runs. A tile is 4 pixels wide, and
# its windows read two more, which are those of the tile beside it (`.`: read, but no tile's own):
#
#     planes of y       lines of x, 6 of them
#      0 [1][2]         |1111|2222|..      |3333|4444|..      |
#     [3][4] 5           ^    ^             ^    ^
#                        places[0]          places[2] = run_width
#                             places[1] = 4      places[3] = run_width + 4
#
# The columns of the lines are those of x from `left` pixels before the run's first tile on, the lines its rows from
# `top` before: what lies outside of x is zero, and copied never. Results of a panel lie in 4 lines in the same places.
cdef void lay_out(const Tiling *tiling, Py_ssize_t tile, Py_ssize_t nr, Lines *lines) noexcept nogil:
    """Where the tiles from `tile` on find their pixels. Missing tiles are placed behind the last, on zeros."""
    cdef Py_ssize_t at = 0, t, row, col, count, image, top, left
    cdef Run *run
    lines.tiles, lines.runs, lines.run_width = min(nr, tiling.tiles - tile), 0, 4 * min(nr, tiling.cols) + 4
    while at < lines.tiles:
        row, col = (tile + at) // tiling.cols, (tile + at) % tiling.cols
        image, row = row // tiling.rows, row % tiling.rows
        count = min(tiling.cols - col, lines.tiles - at)
        top, left = 4 * row - tiling.top, 4 * col - tiling.left
        run = &lines.run[lines.runs]
        run.rows = max(<Py_ssize_t>0, min(top + 6, tiling.h) - max(<Py_ssize_t>0, top))
        run.cols = max(<Py_ssize_t>0, min(left + 4 * count + 2, tiling.w) - max(<Py_ssize_t>0, left))
        run.x = (image * tiling.channels * tiling.h + max(<Py_ssize_t>0, top)) * tiling.w + max(<Py_ssize_t>0, left)
        run.line, run.col = max(<Py_ssize_t>0, -top), lines.runs * lines.run_width + max(<Py_ssize_t>0, -left)
        run.y = (image * tiling.filters * tiling.oh + 4 * row) * tiling.ow + 4 * col
        run.height, run.width = min(<Py_ssize_t>4, tiling.oh - 4 * row), min(4 * count, tiling.ow - 4 * col)
        for t in range(count):
            lines.places[at + t] = lines.runs * lines.run_width + 4 * t
        lines.runs += 1
        at += count
    for t in range(lines.tiles, nr):
        lines.places[t] = lines.runs * lines.run_width
    lines.pitch = ceil_div((lines.runs + (lines.tiles < nr)) * lines.run_width, nr) * nr


cdef void transform_tiles(
    const Plan *plan,
    Py_ssize_t tile,            # the first of the panel
    Py_ssize_t first_channel,
    Py_ssize_t last_channel,
    real *v,                    # OUT  (POINTS, channels, nr)
) noexcept nogil:
    """Lines of pixels with the zeros around the plane, the same for all channels; columns of these; rows of tiles."""
    cdef Py_ssize_t nr = kernels_for(v).nr, plane = plan.tiling.h * plan.tiling.w, c, i
    cdef const real *x = <const real *>plan.x
    cdef Lines lines
    cdef real[LINES_SIZE] pixels, columns
    cdef Run *run
    lay_out(&plan.tiling, tile, nr, &lines)
    memset(pixels, 0, 6 * lines.pitch * sizeof(real))
    for c in range(first_channel, last_channel):
        for i in range(lines.runs):
            run = &lines.run[i]
            kernels_for(v).copy_rows(
                run.rows, run.cols, x + run.x + c * plane, plan.tiling.w, plane if c + 1 < last_channel else 0,
                pixels + run.line * lines.pitch + run.col, lines.pitch, 0,
            )
        kernels_for(v).winograd_down(lines.pitch, pixels, columns, lines.pitch)
        kernels_for(v).winograd_across(columns, lines.pitch, lines.places, v + c * nr, plan.v_stride)


cdef void multiply_points(
    const Plan *plan,
    Py_ssize_t panels,          # of tiles
    Py_ssize_t filters,
    const real *u,              # IN   (filter panels, POINTS, channels, mr)
    const real *v,              # IN   (panels, POINTS, channels, nr)
    real *m,                    # OUT  (panels, POINTS, filters, nr)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(u).mr, nr = kernels_for(u).nr, channels = plan.tiling.channels
    cdef Py_ssize_t point, panel, filter_panel, start
    cdef cnnx_tile tile = cnnx_tile(mr, nr, 0, 1, mr, nr, nr, 1, nr)
    cdef real *sums
    for point in range(POINTS):
        for panel in range(panels):
            start = 0
            while start < channels:
                tile.k = min(<Py_ssize_t>K_BLOCK, channels - start)
                for filter_panel in range(ceil_div(filters, mr)):
                    sums = m + (panel * POINTS + point) * plan.m_stride + filter_panel * mr * nr
                    tile.rows = min(mr, filters - filter_panel * mr)
                    kernels_for(u).product(
                        &tile, u + (filter_panel * POINTS + point) * plan.u_stride + start * mr,
                        v + (panel * POINTS + point) * plan.v_stride + start * nr, sums if start > 0 else NULL, sums,
                    )
                start += K_BLOCK


cdef void write_tiles(
    const Plan *plan,
    Py_ssize_t tile,
    Py_ssize_t first,
    Py_ssize_t filters,
    const real *m,              # IN   (POINTS, filters, nr)
) noexcept nogil:
    """One panel of tiles of the filters from `first` on, with their bias, into y."""
    cdef Py_ssize_t plane = plan.tiling.oh * plan.tiling.ow, ow = plan.tiling.ow, f, i, at
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y
    cdef Lines lines
    cdef real[LINES_SIZE] results
    cdef Run *run
    lay_out(&plan.tiling, tile, kernels_for(m).nr, &lines)
    for f in range(filters):
        kernels_for(m).winograd_y(
            m + f * kernels_for(m).nr, plan.m_stride, bias[first + f] if bias != NULL else 0, lines.places, results,
            lines.pitch,
        )
        for i in range(lines.runs):
            run = &lines.run[i]
            at = (first + f) * plane + run.y
            kernels_for(m).copy_rows(
                run.height, run.width, results + i * lines.run_width, lines.pitch, 0, y + at, ow,
                plane if f + 1 < filters else 0,
            )
            finish_rows(run.height, ow, run.width, add + at if add != NULL else NULL, plan.activation, y + at)
