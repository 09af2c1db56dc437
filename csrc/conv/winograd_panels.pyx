"""Convolution with 3x3 windows at stride 1 by Winograd's algorithm, of weights that are packed once, for many calls.

# Design:
# The same 36 products as in winograd.pyx, the other way round: lanes are channels, then filters, and tiles are the rows
# of the register tile. So a few tiles are no waste, and neighbouring pixels need not be cut apart:
#
#     M[point] (tiles x filters) = V[point] (tiles x channels) * U[point] (channels x filters)
#
# It takes U in panels of nr filters, which only packing can pay for. A strip is a row of tiles of an image; a band is
# some strips, of one or more images, so that few tiles of each still share what is read of U. For each panel of nr
# channels, pixels become V; for each panel of filters, M becomes pixels. Where x and y have their channels last, these
# are read and written in the images; of planes they are transposed before and after.
# Where there are many bands, or U stays in the second-level cache, a task owns a band (`owned`), and V is scratch.
# Otherwise tasks are panels of channels, which make V of a band, then panels of filters: each reads its part of U once,
# from one end to the other.
# A sum runs over channels in order, whoever makes it: any number of threads gives the same bits.
"""

from libc.string cimport memcpy, memset

from costs cimport GEMM_NANOSECONDS
from kernels cimport CNNX_ACROSS, CNNX_MAX_LANES, CNNX_MR_MULTIPLE, NO_ACTIVATION, Ending
from kernels cimport cnnx_strip, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry
from .winograd cimport POINTS, SKEW, Tiling, tiling_of

cdef enum:
    CHANNELS_PACKED = 8             # together
    SMALL_WEIGHTS = 16384           # so many or fewer, and U, 36 / 9 times as large, stays in the second-level cache
    LARGE_WEIGHTS = 131072          # more, and it comes from memory
    # Elements of V: of a band that a task owns, with small weights or larger ones; of one that tasks share, and with
    # large weights, which then are read once for more tiles: 360 kB, 800 kB, 1.6 MB and 4 MB of floats.
    OWNED_SMALL_V = 90_000
    OWNED_V = 200_000
    SHARED_V = 400_000
    SHARED_LARGE_V = 1_000_000
    ENOUGH_TASKS = 8
    ENOUGH_TILES = 8                # of a band, where it can be smaller


cdef struct Plan:
    Tiling tiling
    Py_ssize_t strips                   # of all images
    Py_ssize_t band, bands              # strips of a band; bands
    bint owned                          # a task makes all of a band
    bint channels_last                  # of x, add and y
    Py_ssize_t x_panels, y_panels       # of nr channels, of nr filters
    Py_ssize_t width                    # of a panel of U and M: nr, or the vectors of fewer filters
    Py_ssize_t v_tile, v_point, v_band  # elements of V from one tile, point or band to the next
    Py_ssize_t m_point                  # of M, which is scratch
    Py_ssize_t u_panel                  # of U
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x
    const void *weight
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *u                             # (y_panels, POINTS, channels, width)
    void *v                             # (bands, POINTS, tiles of a band, vectors of channels)
    void *y


cdef class WinogradByPanels(Convolution):
    cdef Plan plan

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.weight, plan.u = weight, packed
        task = <Task>weight_task[float] if self.single else <Task>weight_task[double]
        run_team(team, task, &plan, plan.y_panels, EVENLY)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.x, plan.u, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        plan.add, plan.y, plan.v = arrays[ARG_ADD], arrays[ARG_Y], shared
        if plan.owned:
            task = <Task>band_task[float] if self.single else <Task>band_task[double]
            run_team(team, task, &plan, plan.bands, ON_DEMAND)
            return
        task = <Task>channels_task[float] if self.single else <Task>channels_task[double]
        run_team(team, task, &plan, plan.bands * plan.x_panels, EVENLY)
        task = <Task>filters_task[float] if self.single else <Task>filters_task[double]
        run_team(team, task, &plan, plan.bands * plan.y_panels, ON_DEMAND)


cdef Job prepare_winograd_by_panels(const Geometry *geometry, bint single, Ending activation):
    return prepare(geometry, "winograd_by_panels", single, activation, False)


cdef Job prepare_winograd_channels_last(const Geometry *geometry, bint single, Ending activation):
    return prepare(geometry, "winograd_channels_last", single, activation, True)


cdef Job prepare(const Geometry *geometry, str name, bint single, Ending activation, bint channels_last):
    cdef WinogradByPanels job = WinogradByPanels()
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    cdef Tiling *tiling = &plan.tiling
    cdef Py_ssize_t tiles, v_elements, staged, results
    job.set_up(geometry, FORWARD, name, single, activation)
    memset(plan, 0, sizeof(Plan))
    tiling[0], plan.activation, plan.channels_last = tiling_of(geometry, False), activation, channels_last
    plan.x_panels, plan.y_panels = ceil_div(tiling.channels, tile.nr), ceil_div(tiling.filters, tile.nr)
    plan.v_tile = vectors_of(tiling.channels, tile.lanes)
    plan.width = min(tile.nr, vectors_of(tiling.filters, tile.lanes))
    set_bands(plan)
    tiles = plan.band * tiling.cols
    plan.v_point, plan.m_point = tiles * plan.v_tile + SKEW, tiles * plan.width + SKEW
    plan.v_band, plan.u_panel = POINTS * plan.v_point, POINTS * tiling.channels * plan.width
    staged = 0 if channels_last else (4 * min(plan.band, tiling.rows) + 2) * tiling.w * tile.nr
    results = POINTS * plan.m_point + (0 if channels_last else 4 * min(plan.band, tiling.rows) * tiling.ow * tile.nr)
    job.cost = GEMM_NANOSECONDS * POINTS * tiling.tiles * plan.y_panels * plan.width * tiling.channels
    job.packed = plan.y_panels * plan.u_panel * tile.element
    job.shared = 0 if plan.owned else plan.bands * plan.v_band * tile.element
    job.scratch = (max(staged, results) + (plan.v_band if plan.owned else 0)) * tile.element
    return job


cdef void set_bands(Plan *plan) noexcept:
    """Strips of a band, and whether a task owns it."""
    cdef const Tiling *tiling = &plan.tiling
    cdef Py_ssize_t strip = POINTS * tiling.cols * plan.v_tile, most, tasks
    cdef Py_ssize_t weights = tiling.channels * tiling.filters
    plan.strips = tiling.n * tiling.rows
    plan.owned = (
        plan.strips >= ENOUGH_TASKS // 2 if weights <= SMALL_WEIGHTS else plan.strips * strip >= 5 * OWNED_V
    )
    if plan.owned:
        most = (OWNED_SMALL_V if weights <= SMALL_WEIGHTS else OWNED_V) // strip
    else:
        most = (SHARED_V if weights <= LARGE_WEIGHTS else SHARED_LARGE_V) // strip
    tasks = ENOUGH_TASKS if plan.owned else ceil_div(ENOUGH_TASKS, plan.y_panels)       # for which bands are needed
    most = min(most, max(plan.strips // tasks, ceil_div(ENOUGH_TILES, tiling.cols)))
    plan.bands = ceil_div(plan.strips, max(<Py_ssize_t>1, most))
    plan.band = ceil_div(plan.strips, plan.bands)
    plan.bands = ceil_div(plan.strips, plan.band)


cdef void weight_task(const Plan *plan, Py_ssize_t panel, real *scratch) noexcept nogil:
    """U of one panel of filters: from the transform's own panels, of mr filters and some channels."""
    cdef Py_ssize_t mr = kernels_for(scratch).mr, nr = kernels_for(scratch).nr, channels = plan.tiling.channels
    cdef Py_ssize_t first = panel * nr, filters = min(nr, plan.tiling.filters - first), f, c, part, block, i, j, point
    cdef Py_ssize_t rows, count, stride = CHANNELS_PACKED * CNNX_MR_MULTIPLE + CNNX_MAX_LANES
    cdef const real *weight = <const real *>plan.weight + first * channels * 9
    cdef real *u = <real *>plan.u + panel * plan.u_panel
    cdef real[POINTS * (CHANNELS_PACKED * CNNX_MR_MULTIPLE + CNNX_MAX_LANES)] made
    memset(u, 0, plan.u_panel * sizeof(real))
    for part in range(ceil_div(filters, mr)):
        f = part * mr
        rows = min(mr, filters - f)
        for block in range(ceil_div(channels, CHANNELS_PACKED)):
            c = block * CHANNELS_PACKED
            count = min(<Py_ssize_t>CHANNELS_PACKED, channels - c)
            kernels_for(scratch).winograd_weight(
                rows, count, weight + (f * channels + c) * 9, channels * 9, 9, False, made, stride
            )
            for point in range(POINTS):
                for j in range(count):
                    for i in range(rows):
                        u[(point * channels + c + j) * plan.width + f + i] = made[point * stride + j * mr + i]


cdef void band_task(const Plan *plan, Py_ssize_t band, real *scratch) noexcept nogil:
    cdef Py_ssize_t panel
    for panel in range(plan.x_panels):
        transform_band(plan, band, panel, scratch, scratch + plan.v_band)
    for panel in range(plan.y_panels):
        multiply_band(plan, band, panel, scratch, scratch + plan.v_band)


cdef void channels_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t band = task // plan.x_panels
    transform_band(plan, band, task % plan.x_panels, <real *>plan.v + band * plan.v_band, scratch)


cdef void filters_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t band = task // plan.y_panels
    multiply_band(plan, band, task % plan.y_panels, <const real *>plan.v + band * plan.v_band, scratch)


cdef struct Part:           # of a band: strips of one image
    Py_ssize_t image, first, strips
    Py_ssize_t tile         # the first, within the band


cdef Py_ssize_t strips_of(const Plan *plan, Py_ssize_t band) noexcept nogil:
    return min(plan.band, plan.strips - band * plan.band)


cdef Part part_of(const Plan *plan, Py_ssize_t band, Py_ssize_t done) noexcept nogil:
    """What follows the first strips of a band, `done` of them, as far as it is of one image."""
    cdef Py_ssize_t strip = band * plan.band + done, rows = plan.tiling.rows, first = strip % rows
    return Part(strip // rows, first, min(rows - first, strips_of(plan, band) - done), done * plan.tiling.cols)


cdef void transform_band(
    const Plan *plan, Py_ssize_t band, Py_ssize_t panel, real *v, real *pixels
) noexcept nogil:
    cdef Py_ssize_t done = 0, strips = strips_of(plan, band)
    cdef Part part
    while done < strips:
        part = part_of(plan, band, done)
        transform_part(plan, part, panel, v + part.tile * plan.v_tile, pixels)
        done += part.strips


cdef void transform_part(
    const Plan *plan,
    Part part,
    Py_ssize_t panel,           # of channels
    real *v,                    # OUT  (POINTS, tiles, vectors of channels), of these
    real *pixels,               # scratch, of planes: (lines, w, nr), of these channels
) noexcept nogil:
    cdef const Tiling *tiling = &plan.tiling
    cdef Py_ssize_t nr = kernels_for(v).nr, lanes = kernels_for(v).lanes, plane = tiling.h * tiling.w
    cdef Py_ssize_t channel = panel * nr, channels = min(nr, tiling.channels - channel), row, line
    cdef Py_ssize_t top = 4 * part.first - tiling.top, low = max(<Py_ssize_t>0, min(top, tiling.h))
    cdef Py_ssize_t lines = min(top + 4 * part.strips + 2, tiling.h) - low
    cdef Py_ssize_t pixel = tiling.channels if plan.channels_last else nr, pitch = tiling.w * pixel
    cdef const real *x = <const real *>plan.x + part.image * tiling.channels * plane
    cdef cnnx_strip strip = cnnx_strip(
        tiling.cols, channels, 0, 0, tiling.left, tiling.left + tiling.w, pixel, pitch, plan.v_tile, plan.v_point
    )
    if plan.channels_last:
        x += low * pitch + channel
    else:
        kernels_for(v).transpose(
            channels, max(<Py_ssize_t>0, lines) * tiling.w, x + channel * plane + low * tiling.w, plane, pixels, nr
        )
        x, strip.channels = pixels, vectors_of(channels, lanes)
    for row in range(part.strips):
        line = top + 4 * row
        strip.top, strip.bottom = max(<Py_ssize_t>0, -line), min(<Py_ssize_t>6, tiling.h - line)
        kernels_for(v).winograd_x_strip(
            &strip, x + (max(low, line) - low) * pitch, v + row * tiling.cols * plan.v_tile + channel
        )


cdef void multiply_band(
    const Plan *plan,
    Py_ssize_t band,
    Py_ssize_t panel,           # of filters
    const real *v,
    real *m,                    # scratch: M, and the pixels that it becomes
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(m).mr, nr = kernels_for(m).nr, channels = plan.tiling.channels, point, part, t
    cdef Py_ssize_t strips = strips_of(plan, band), tiles = strips * plan.tiling.cols, parts = ceil_div(tiles, mr)
    cdef Py_ssize_t done = 0
    cdef const real *u = <const real *>plan.u + panel * plan.u_panel
    cdef Py_ssize_t cols = vectors_of(min(nr, plan.tiling.filters - panel * nr), kernels_for(m).lanes)
    cdef Part each
    cdef cnnx_tile tile = cnnx_tile(0, cols, channels, plan.v_tile, 1, plan.width, 0, 0, plan.width)
    for point in range(POINTS):
        for part in range(parts):       # of nearly the same size
            t = tiles * part // parts
            tile.rows = tiles * (part + 1) // parts - t
            kernels_for(m).product(
                &tile, v + point * plan.v_point + t * plan.v_tile, u + point * channels * plan.width,
                <const real *>NULL, m + point * plan.m_point + t * plan.width,
            )
    while done < strips:
        each = part_of(plan, band, done)
        write_part(plan, each, panel * nr, m + each.tile * plan.width, m + POINTS * plan.m_point)
        done += each.strips


cdef void write_part(
    const Plan *plan,
    Part part,
    Py_ssize_t filter,          # the first of the panel
    const real *m,              # IN   (POINTS, tiles, width)
    real *pixels,               # scratch, of planes
) noexcept nogil:
    cdef const Tiling *tiling = &plan.tiling
    cdef Py_ssize_t nr = kernels_for(m).nr, ow = tiling.ow, plane = tiling.oh * ow
    cdef Py_ssize_t filters = min(nr, tiling.filters - filter)
    cdef Py_ssize_t height = min(4 * part.strips, tiling.oh - 4 * part.first)
    cdef Py_ssize_t pixel = tiling.filters if plan.channels_last else nr, pitch = ow * pixel
    cdef Py_ssize_t at = part.image * tiling.filters * plane
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y
    cdef real[CNNX_ACROSS] shift
    cdef cnnx_strip strip = cnnx_strip(tiling.cols, filters, 0, 0, 0, ow, pixel, pitch, plan.width, plan.m_point)
    memset(shift, 0, nr * sizeof(real))
    if plan.bias != NULL:
        memcpy(shift, <const real *>plan.bias + filter, filters * sizeof(real))
    if plan.channels_last:
        at += 4 * part.first * pitch + filter
        write_strips(&strip, part.strips, height, m, shift, add + at if add != NULL else NULL, plan.activation, y + at)
        return
    at += filter * plane + 4 * part.first * ow
    strip.channels = vectors_of(filters, kernels_for(m).lanes)
    write_strips(&strip, part.strips, height, m, shift, <const real *>NULL, NO_ACTIVATION, pixels)
    kernels_for(m).transpose(height * ow, filters, pixels, nr, y + at, plane)
    finish_rows(filters, plane, height * ow, add + at if add != NULL else NULL, plan.activation, y + at)


cdef void write_strips(
    cnnx_strip *strip,
    Py_ssize_t rows,            # of tiles
    Py_ssize_t height,          # of pixels
    const real *m,
    const real *shift,
    const real *add,            # as y, or NULL
    Ending activation,
    real *y,                    # OUT  pixels, with channels side by side
) noexcept nogil:
    cdef Py_ssize_t row, at
    for row in range(rows):
        strip.bottom, at = min(<Py_ssize_t>4, height - 4 * row), 4 * row * strip.pitch
        kernels_for(m).winograd_y_strip(
            strip, m + row * strip.tiles * strip.tile, shift, add + at if add != NULL else NULL, activation, y + at
        )


cdef inline Py_ssize_t vectors_of(Py_ssize_t elements, Py_ssize_t lanes) noexcept nogil:
    """Elements of so many whole vectors."""
    return ceil_div(elements, lanes) * lanes
