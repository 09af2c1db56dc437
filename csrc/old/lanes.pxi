# Groups in lanes: the plan of a convolution that takes as many groups at once as a vector has lanes, and its staging.
#
# Design:
# The planes of a block of groups are brought into lanes, their pixels side by side and zeros around them, so that
# the convolution (depthwise.pyx) knows no borders; its weights and biases are packed as vectors of lanes too.
# Which inputs an output meets is a `Walk` along each axis. Backward-data with a stride has a class of outputs for each
# position modulo the stride (see conv.pyx), so a plan has classes: each row walk with each column walk.
# A band of output rows stays in the second-level cache with all that it reads.
# Small planes are short streams from many places, which no hardware sees coming: while a block's are brought into lanes
# those of the next are asked for.

cdef enum:
    LANE_BAND_PIXELS = 1024     # in or out, whichever are more: 32 kB of 8 floats
    LANE_TASKS = 16             # at least, if there is enough to do
    TASKS_AHEAD = 2             # the next is another thread's
    SMALL_STREAM = 1024         # pixels: larger planes fill pages, and the hardware sees them coming

cdef double LANE_NANOSECONDS = 0.15     # to bring one element into lanes, or back


cdef struct Walk:               # along one axis, which inputs the outputs of one class meet
    Py_ssize_t count            # outputs
    Py_ssize_t first, step      # output k is row first + k*step
    Py_ssize_t source, source_step      # its first tap meets row source + k*source_step
    Py_ssize_t taps, tap_step   # and tap t that row + t*tap_step
    Py_ssize_t cell, cell_step  # which is row cell + t*cell_step of the kernel


cdef struct LaneClass:
    Walk rows, cols
    Py_ssize_t packed           # element where its weights begin


cdef struct LanePlan:
    Py_ssize_t lanes, groups, blocks
    Py_ssize_t inputs, h, w     # planes per group, and their size
    Py_ssize_t outputs, oh, ow
    Py_ssize_t left, pitch      # zeros before a staged row, and its pixels with the zeros on both sides
    Py_ssize_t staged_rows      # of a band, at most
    Py_ssize_t band_rows, bands
    Py_ssize_t images           # of a task; several where a band is a whole image
    Py_ssize_t count            # classes
    LaneClass *classes


cdef object forward_walks(out_size, kernel, stride, padding, dilation):
    """One class: all outputs meet all taps."""
    return [Walk(out_size, 0, 1, -padding, stride, kernel, dilation, 0, 1)]


cdef object backward_walks(size, kernel, stride, padding, dilation):
    """A class for each position modulo the stride; its taps in the order of the dy that they meet."""
    walks = []
    for position in range(stride):
        pixels = lattice(size, kernel, stride, padding, dilation, position)
        taps, offsets = pixels.taps[::-1], pixels.offsets[::-1]
        source, cell = (offsets[0], taps[0]) if taps else (0, 0)
        tap_step, cell_step = (offsets[1] - offsets[0], taps[1] - taps[0]) if len(taps) > 1 else (1, 1)
        walks.append(
            Walk(pixels.count, pixels.first, stride, source, 1, len(taps), tap_step, cell, cell_step)
        )
    return [walk for walk in walks if walk["count"]]


cdef Block lane_classes(row_walks, col_walks):
    """Every class of rows with every class of columns."""
    cdef Block block = take(len(row_walks) * len(col_walks) * sizeof(LaneClass))
    cdef LaneClass *classes = <LaneClass *>block.data
    cdef Py_ssize_t i = 0
    for rows in row_walks:
        for cols in col_walks:
            classes[i] = LaneClass(rows, cols, 0)
            i += 1
    return block


cdef Py_ssize_t last_source(const Walk *walk, Py_ssize_t end) noexcept nogil:
    """The row after the last that outputs before `end` meet."""
    return walk.source + (end - 1) * walk.source_step + (walk.taps - 1) * walk.tap_step + 1


cdef void band_outputs(
    const LanePlan *plan, const Walk *walk, Py_ssize_t band, Py_ssize_t *begin, Py_ssize_t *end
) noexcept nogil:
    """The outputs of a class that lie in a band."""
    cdef Py_ssize_t row = band * plan.band_rows, last = min(plan.oh, row + plan.band_rows)
    begin[0] = ceil_div(max(<Py_ssize_t>0, row - walk.first), walk.step)
    end[0] = min(walk.count, ceil_div(max(<Py_ssize_t>0, last - walk.first), walk.step))


cdef void band_sources(const LanePlan *plan, Py_ssize_t band, Py_ssize_t *low, Py_ssize_t *high) noexcept nogil:
    """The input rows, low to high - 1, that a band meets; some may lie outside the image."""
    cdef Py_ssize_t i, begin, end
    cdef const Walk *walk
    low[0], high[0] = plan.h, -plan.h
    for i in range(plan.count):
        walk = &plan.classes[i].rows
        band_outputs(plan, walk, band, &begin, &end)
        if begin < end and walk.taps:
            low[0] = min(low[0], walk.source + begin * walk.source_step)
            high[0] = max(high[0], last_source(walk, end))
    if low[0] >= high[0]:
        low[0] = high[0] = 0


cdef LanePlan lane_plan(
    Py_ssize_t lanes, Py_ssize_t n, Py_ssize_t groups, Py_ssize_t inputs, Py_ssize_t h, Py_ssize_t w,
    Py_ssize_t outputs, Py_ssize_t oh, Py_ssize_t ow, Block classes, Py_ssize_t count,
) noexcept:
    cdef LanePlan plan
    cdef Py_ssize_t i, low, high, right = w, pixels = max(h * w, oh * ow) * ceil_div(inputs, 2)
    cdef const Walk *walk
    plan.lanes, plan.groups, plan.blocks = lanes, groups, ceil_div(groups, lanes)
    plan.inputs, plan.h, plan.w = inputs, h, w
    plan.outputs, plan.oh, plan.ow = outputs, oh, ow
    plan.band_rows = ceil_div(oh, ceil_div(pixels, LANE_BAND_PIXELS))
    plan.bands = ceil_div(oh, plan.band_rows)
    plan.images = max(1, min(LANE_BAND_PIXELS // pixels, n * plan.blocks // LANE_TASKS, n))
    plan.count, plan.classes = count, <LaneClass *>classes.data
    plan.left = 0
    for i in range(count):
        walk = &plan.classes[i].cols
        if walk.taps:
            plan.left = max(plan.left, -walk.source)
            right = max(right, last_source(walk, walk.count))
    plan.pitch = plan.left + right
    plan.staged_rows = 0
    for i in range(plan.bands):
        band_sources(&plan, i, &low, &high)
        plan.staged_rows = max(plan.staged_rows, high - low)
    return plan


cdef Py_ssize_t staged_elements(const LanePlan *plan) noexcept nogil:
    """Of one channel of all images of a task, and room for the zeros that follow the last row."""
    return (plan.images * plan.staged_rows + 1) * plan.pitch * plan.lanes


cdef void stage_lanes(
    const LanePlan *plan,
    Py_ssize_t images,
    Py_ssize_t planes,
    Py_ssize_t low,             # the first row, maybe outside
    Py_ssize_t high,            # the one after the last
    Py_ssize_t ahead,           # from a plane to that which this thread brings into lanes next, or 0
    const real *x,              # IN   (images, all groups, inputs, h, w), from the first group on
    real *staged,               # OUT  (inputs, staged_elements); of these (images, staged_rows, pitch) vectors
) noexcept nogil:
    """Some rows of all inputs into lanes, with the zeros around them."""
    cdef Py_ssize_t first = min(high, max(low, <Py_ssize_t>0)), last = max(first, min(high, plan.h))
    cdef Py_ssize_t before = (first - low) * plan.pitch + plan.left, rows = last - first, size = plan.h * plan.w
    cdef Py_ssize_t after = max(<Py_ssize_t>0, (high - last) * plan.pitch - plan.left), c, m
    cdef real *to
    for c in range(plan.inputs):
        to = staged + c * staged_elements(plan)
        for m in range(images):
            memset(to, 0, before * plan.lanes * sizeof(real))
            kernels_for(x).to_lanes(
                planes, rows * plan.w, x + (m * plan.groups * plan.inputs + c) * size + first * plan.w,
                plan.inputs * size, plan.w, plan.pitch - plan.w, ahead, to + before * plan.lanes,
            )
            memset(to + (before + rows * plan.pitch) * plan.lanes, 0, after * plan.lanes * sizeof(real))
            to += plan.staged_rows * plan.pitch * plan.lanes


cdef Block pack_lanes(
    const LanePlan *plan,
    const real *weight,         # IN   (groups, filters, channels, kh, kw)
    Py_ssize_t group_step,
    Py_ssize_t output_step,
    Py_ssize_t input_step,
    Py_ssize_t kw,
):
    """Every class' weights as (blocks, outputs, inputs, its taps) vectors of lanes."""
    cdef Py_ssize_t i, block, f, c, u, size = 0
    cdef LaneClass *taps
    cdef Block packed
    cdef real *to
    for i in range(plan.count):
        plan.classes[i].packed = size
        size += (
            plan.blocks * plan.outputs * plan.inputs
            * plan.classes[i].rows.taps * plan.classes[i].cols.taps * plan.lanes
        )
    packed = take(size * sizeof(real))
    to = <real *>packed.data
    for i in range(plan.count):
        taps = &plan.classes[i]
        for block in range(plan.blocks):
            for f in range(plan.outputs):
                for c in range(plan.inputs):
                    for u in range(taps.rows.taps):
                        kernels_for(weight).pack(
                            min(plan.lanes, plan.groups - block * plan.lanes), taps.cols.taps,
                            weight + block * plan.lanes * group_step + f * output_step + c * input_step
                            + (taps.rows.cell + u * taps.rows.cell_step) * kw + taps.cols.cell,
                            group_step, taps.cols.cell_step, plan.lanes, to,
                        )
                        to += taps.cols.taps * plan.lanes
    return packed


cdef Block pack_lane_starts(const LanePlan *plan, const real *bias):
    """What the sums begin with, (blocks, outputs) vectors of lanes: the bias, or zero."""
    cdef Py_ssize_t block, f, first
    cdef Block packed = take(plan.blocks * plan.outputs * plan.lanes * sizeof(real))
    cdef real *starts = <real *>packed.data
    if bias == NULL:
        memset(starts, 0, plan.blocks * plan.outputs * plan.lanes * sizeof(real))
        return packed
    for block in range(plan.blocks):
        first = block * plan.lanes
        for f in range(plan.outputs):
            kernels_for(bias).pack(
                min(plan.lanes, plan.groups - first), 1, bias + first * plan.outputs + f, plan.outputs, 0, plan.lanes,
                starts + (block * plan.outputs + f) * plan.lanes,
            )
    return packed


cdef cnnx_lane_windows lane_windows(
    const LanePlan *plan, const LaneClass *taps, Py_ssize_t images, Py_ssize_t rows
) noexcept nogil:
    return cnnx_lane_windows(
        images, rows, taps.cols.count, plan.band_rows * plan.ow, taps.rows.step * plan.ow, taps.cols.step,
        plan.staged_rows * plan.pitch, taps.rows.source_step * plan.pitch, taps.cols.source_step,
        taps.rows.taps if taps.cols.taps else 0, taps.cols.taps, taps.rows.tap_step * plan.pitch, taps.cols.tap_step,
    )
