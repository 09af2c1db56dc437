"""Convolution straight from the image: forward, and what backward-data with stride 1 shares with it (direct_dx.pyx).

# Design:
# For every image and group, y (filters x pixels) = weights (filters x terms) * windows (terms x pixels), a term being a
# (channel, tap). A task is a band of output rows of one image and group, or some of the filters of one, where there are
# few bands. It takes the channels in blocks, in order, and stages the rows that the band's windows meet (staging.pyx):
# so each term of a tile of neighbouring pixels is a load of whole vectors at an offset. Where rows are too short for
# that, or fill tiles only in part and many filters pay for it, a tile takes pixels of several rows, and its windows are
# copied together first (implicit GEMM); or the sides of the product change places:
#
#     IN_PLACE, COPIED    y (filters x pixels) = weights (filters x terms) * windows (terms x pixels)
#     AS_ROWS             y (pixels x filters) = windows (pixels x terms) * weights (terms x filters)
#
# so that filters fill the lanes of vectors ("filter lanes"). The sums of a band are then (filter panel, pixel, filter)
# in scratch memory, and transposed at the end.
# A window's terms are those of one channel after another; or, where all channels are one block, of one row of taps
# after another: then an output row leaves out the rows of taps that lie above or below the image. In backward-data of
# LeNet's second layer, these are more than a quarter of all.
"""

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of
from ..epilogue cimport finish_rows
from ..jobs cimport Job
from ..parallel cimport FEW_AT_A_TIME, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry
from .geometry cimport tap_cols, tap_rows
from .staging cimport Band, Taps, make_band, make_taps, stage, tap_offsets

cdef enum:
    ENOUGH_BANDS = 4            # for the threads to share: fewer are cut into
    FILTER_BLOCK = 16           # so many filters or more: each stages the band again
    COPIED_FILTER_BLOCK = 32    # and copies its windows
    MANY_FILTERS = 128          # pay for copies where an eighth of the tiles is empty; and make ENOUGH_BANDS blocks


cdef struct Call:               # of `convolve`
    const Plan *plan
    const void *x               # (images, groups * channels, taps.h, taps.w)
    const void *weights         # (groups, panels, terms, width)
    const void *bias            # (groups * filters,), or NULL
    const void *add             # as y, or NULL
    Ending activation
    void *y                     # (images, groups * filters, oh, ow)


cdef class Direct(Convolution):
    """A convolution of x (forward) or of dy (backward-data)."""

    cdef int make_plan(self, const Taps *taps, rows, cols, Reading reading, bint skips_rows) except -1:
        """The rest of a plan whose sizes are set. rows, cols: of the taps. skips_rows: the terms may be one row of taps
        after another; `plan.row_terms` says whether they are."""
        cdef Plan *plan = &self.plan
        cdef Tile tile = tile_of(self.single)
        cdef Py_ssize_t mr = tile.mr, nr = tile.nr, scratch, packed
        cdef Py_ssize_t least = FILTER_BLOCK if reading == IN_PLACE else COPIED_FILTER_BLOCK
        if reading == AS_ROWS:
            least = plan.filters
        plan.taps, plan.reading, plan.width = taps[0], reading, nr if reading == AS_ROWS else mr
        plan.band = make_band(taps, plan.oh, plan.ow, mr if reading == AS_ROWS else nr, plan.channels)
        plan.blocks = max(<Py_ssize_t>1, min(
            plan.filters // least, ENOUGH_BANDS // (plan.images * plan.groups * plan.band.count)
        ))
        plan.block = ceil_div(ceil_div(plan.filters, plan.blocks), plan.width) * plan.width
        plan.blocks = ceil_div(plan.filters, plan.block)
        offsets = tap_offsets(taps, &plan.band, rows, cols)
        plan.row_terms, plan.tap_rows, plan.dh = 0, len(rows), rows[1] - rows[0] if len(rows) > 1 else 1
        if skips_rows and plan.band.channels == plan.channels:
            plan.row_terms = plan.channels * len(cols)
            offsets = offsets.transpose(1, 0, 2)
        self.offsets = offsets.ravel()
        plan.offsets = <const Py_ssize_t *>data_of(self.offsets)
        plan.staged = plan.band.channels * plan.band.plane + nr      # the last vector may reach beyond it
        scratch = plan.staged
        if reading == COPIED:
            scratch += (plan.band.channels * taps.count + 1) * nr
        elif reading == AS_ROWS:
            scratch += plan.band.rows * plan.ow * ceil_div(plan.filters, nr) * nr
        packed = plan.groups * ceil_div(plan.filters, plan.width) * plan.width * plan.channels * taps.count
        self.scratch, self.packed = scratch * tile.element, packed * tile.element
        self.cost = GEMM_NANOSECONDS * plan.images * plan.groups * plan.filters * plan.channels * taps.count * (
            ceil_div(plan.oh * plan.ow, nr) * nr
        )
        return 0

    cdef void convolve(self, void **arrays, const void *add, void *y, const Team *team) noexcept nogil:
        cdef Call call = Call(
            &self.plan, arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS], add, self.activation, y
        )
        run_team(
            team, <Task>band_task[float] if self.single else <Task>band_task[double], &call,
            self.plan.images * self.plan.groups * self.plan.band.count * self.plan.blocks, FEW_AT_A_TIME,
        )


cdef class DirectForward(Direct):

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        if self.single:
            pack_filters(&self.plan, <const float *>weight, <float *>packed)
        else:
            pack_filters(&self.plan, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        self.convolve(arrays, arrays[ARG_ADD], arrays[ARG_Y], team)


cdef Job prepare_direct(const Geometry *geometry, bint single, Ending activation):
    cdef DirectForward job = DirectForward.__new__(DirectForward)
    cdef Plan *plan = &job.plan
    job.set_up(geometry, FORWARD, "direct", single, activation)
    plan.images, plan.groups, plan.oh, plan.ow = geometry.n, geometry.groups, geometry.oh, geometry.ow
    plan.channels, plan.filters = geometry.channels, geometry.filters
    rows, cols = tap_rows(geometry), tap_cols(geometry)
    cdef Taps taps = make_taps(
        (geometry.h, geometry.w), (geometry.sh, geometry.sw), (-geometry.top, -geometry.left), rows, cols
    )
    job.make_plan(&taps, rows, cols, reading_of(geometry, tile_of(single)), False)
    return job


cdef Reading reading_of(const Geometry *geometry, Tile tile) noexcept:
    """The kernel set's own tile may decide: the bits are the same, but for leftover columns of copied windows, which
    product_to_end sums in another order; and kernel sets differ by rounding anyway."""
    if fills_tiles(geometry.ow, tile.nr) or geometry.ow * 4 >= tile.nr * 3 and geometry.filters < MANY_FILTERS:
        return IN_PLACE
    if geometry.filters in (tile.nr, 2 * tile.nr) and geometry.ow % tile.lanes:
        return AS_ROWS                                      # filters fill whole tiles, and need no copies
    return COPIED if geometry.filters > tile.nr else IN_PLACE      # many filters pay for the copies


cdef bint fills_tiles(Py_ssize_t ow, Py_ssize_t nr) noexcept:
    """Whether less than a sixteenth of the tiles of a row is empty."""
    return ceil_div(ow, nr) * nr * 15 <= ow * 16


cdef void pack_filters(
    const Plan *plan,
    const real *weight,         # IN   (groups, filters, terms)
    real *packed,               # OUT  (groups, panels, terms, width)
) noexcept nogil:
    cdef Py_ssize_t terms = plan.channels * plan.taps.count, width = plan.width, group, panel
    for group in range(plan.groups):
        for panel in range(ceil_div(plan.filters, width)):
            kernels_for(weight).pack(
                min(width, plan.filters - panel * width), terms, weight + panel * width * terms, terms, 1, width,
                packed,
            )
            packed += width * terms
        weight += plan.filters * terms


cdef void band_task(const Call *call, Py_ssize_t task, real *staged) noexcept nogil:
    """A band of rows of one image and group, of some filters. staged: a block of the image, then what the way of
    reading takes."""
    cdef const Plan *plan = call.plan
    cdef Py_ssize_t filter = task % plan.blocks * plan.block, image_group = task // plan.blocks // plan.band.count
    cdef Py_ssize_t out_row = task // plan.blocks % plan.band.count * plan.band.rows
    cdef Py_ssize_t group = image_group % plan.groups, rows = min(plan.band.rows, plan.oh - out_row)
    cdef Py_ssize_t plane = plan.oh * plan.ow, first = (image_group * plan.filters + filter) * plane + out_row * plan.ow
    cdef Py_ssize_t terms = plan.channels * plan.taps.count, block, channel, count
    cdef const real *x = <const real *>call.x + image_group * plan.channels * plan.taps.h * plan.taps.w
    cdef const real *weights = <const real *>call.weights
    cdef const real *bias = <const real *>call.bias
    cdef const real *add = <const real *>call.add
    cdef real *y = <real *>call.y + first
    cdef real *other = staged + plan.staged
    cdef Product product
    weights += (group * ceil_div(plan.filters, plan.width) * plan.width + filter) * terms
    product.filters, product.panel, product.plane = min(plan.block, plan.filters - filter), terms * plan.width, plane
    product.offsets = plan.offsets
    product.bias = bias + group * plan.filters + filter if bias != NULL else NULL
    product.sums = other if plan.reading == AS_ROWS else y
    for block in range(ceil_div(plan.channels, plan.band.channels)):
        channel = block * plan.band.channels
        count = min(plan.band.channels, plan.channels - channel)
        stage(&plan.taps, &plan.band, count, out_row, x + channel * plan.taps.h * plan.taps.w, staged)
        product.terms, product.more = count * plan.taps.count, channel > 0
        product.weights = weights + channel * plan.taps.count * plan.width
        if plan.reading == IN_PLACE:
            multiply_in_place(plan, &product, out_row, rows, staged)
        elif plan.reading == COPIED:
            multiply_copies(plan, &product, rows, staged, other)
        else:
            multiply_as_rows(plan, &product, rows, staged)
    if plan.reading == AS_ROWS:
        sums_to_planes(plan, rows * plan.ow, other, y)
    finish_rows(product.filters, plane, rows * plan.ow, add + first if add != NULL else NULL, call.activation, y)


cdef void multiply_in_place(
    const Plan *plan,
    const Product *block,
    Py_ssize_t out_row,         # the band's first
    Py_ssize_t rows,
    const real *staged,
) noexcept nogil:
    # Tiles innermost: a panel of weights stays in the first-level cache, and y is written row after row.
    # Few channels make a tile as short as a division takes: here is none.
    cdef Py_ssize_t mr = kernels_for(staged).mr, panel, row, tile, first, begin
    cdef Product product = block[0]
    for panel in range(ceil_div(block.filters, mr)):
        for row in range(rows):
            if plan.row_terms:
                first = (out_row + row) * plan.taps.sh + plan.taps.first_row
                begin = rows_before(plan, first, 0) * plan.row_terms
                product.terms = rows_before(plan, first, plan.taps.h) * plan.row_terms - begin
                product.weights = <const real *>block.weights + begin * mr
                product.offsets = block.offsets + begin
            for tile in range(plan.band.tiles):
                multiply_tile(
                    &product, panel, row * plan.ow + tile * plan.band.tile,
                    min(plan.band.tile, plan.ow - tile * plan.band.tile),
                    staged + row * plan.taps.sh * plan.band.pitch + tile * plan.band.tile,
                )


cdef inline Py_ssize_t rows_before(const Plan *plan, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """Rows of taps, of a window whose first is row `first`, that are rows before `end`."""
    return min(plan.tap_rows, ceil_div(max(<Py_ssize_t>0, end - first), plan.dh))


cdef void multiply_copies(
    const Plan *plan,
    const Product *block,
    Py_ssize_t rows,
    const real *staged,
    real *copied,               # scratch: the windows of a tile
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(staged).nr, pixels = rows * plan.ow, panel, tile
    cdef Product product = block[0]
    product.offsets = NULL
    for tile in range(ceil_div(pixels, nr)):
        kernels_for(staged).pack_windows(
            product.terms, plan.offsets, plan.ow, plan.taps.sh * plan.band.pitch, tile * nr,
            min(nr, pixels - tile * nr), staged, copied,
        )
        for panel in range(ceil_div(block.filters, plan.width)):
            multiply_tile(&product, panel, tile * nr, min(nr, pixels - tile * nr), <const real *>copied)


cdef void multiply_tile(
    const Product *product,
    Py_ssize_t panel,
    Py_ssize_t pixel,           # the first, in a filter's plane
    Py_ssize_t pixels,          # side by side, at most nr
    const real *windows,        # IN   of these pixels
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(windows).mr, nr = kernels_for(windows).nr, first = panel * mr
    cdef Py_ssize_t filters = min(mr, product.filters - first), start_row = product.plane if product.more else 1
    cdef cnnx_tile tile = cnnx_tile(
        filters, pixels, product.terms, 1, mr, nr, start_row, product.more, product.plane
    )
    cdef const real *weights = <const real *>product.weights + panel * product.panel
    cdef const real *start = NULL
    cdef real *sums = <real *>product.sums + first * product.plane + pixel
    if product.more:
        start = sums
    elif product.bias != NULL:
        start = <const real *>product.bias + first
    if product.offsets != NULL:
        kernels_for(windows).product_at(&tile, weights, windows, product.offsets, start, sums)
    else:
        kernels_for(windows).product_to_end(
            &tile, weights, windows, start, <const real *>NULL, NO_ACTIVATION, sums
        )


cdef void multiply_as_rows(
    const Plan *plan,
    const Product *block,       # its sums: (panels, pixels of the band, nr)
    Py_ssize_t rows,
    const real *staged,
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(staged).nr, panel, row, i
    cdef cnnx_tile tile = cnnx_tile(0, 0, block.terms, 1, 0, nr, nr if block.more else 0, 1, nr)
    cdef const real *weights
    cdef const real *bias = <const real *>block.bias
    cdef const real *start
    cdef real *sums
    for panel in range(ceil_div(plan.filters, nr)):
        weights = <const real *>block.weights + panel * block.panel
        tile.cols = min(nr, plan.filters - panel * nr)
        for row in range(rows):
            for i in range(plan.band.tiles):
                tile.rows = min(plan.band.tile, plan.ow - i * plan.band.tile)
                sums = <real *>block.sums + ((panel * rows + row) * plan.ow + i * plan.band.tile) * nr
                start = <const real *>sums if block.more else bias + panel * nr if bias != NULL else NULL
                kernels_for(staged).product_from(
                    &tile, staged + row * plan.taps.sh * plan.band.pitch + i * plan.band.tile, block.offsets, weights,
                    start, sums,
                )


cdef void sums_to_planes(
    const Plan *plan,
    Py_ssize_t pixels,
    const real *sums,           # IN   (panels, pixels, nr)
    real *y,                    # OUT  (filters, oh * ow), of these pixels
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(y).nr, plane = plan.oh * plan.ow, panel
    for panel in range(ceil_div(plan.filters, nr)):
        kernels_for(y).transpose(
            pixels, min(nr, plan.filters - panel * nr), sums + panel * pixels * nr, nr, y + panel * nr * plane, plane
        )
