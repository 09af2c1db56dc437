"""Planes in lanes: the plan of a convolution that takes as many groups at once as a vector has lanes, and its staging.

# Design:
# The planes of a block of groups are staged in lanes, with zeros around them, so that the convolution (grouped.pyx)
# knows no borders. Two lanes, planes of 2 x 3 pixels, padding 1, `.` a vector of zeros:
#
#     x: a plane per group                staged: a vector per pixel, a = (a0, a1)
#     a0 b0 c0     a1 b1 c1               .  .  .  .  .
#     d0 e0 f0     d1 e1 f1               .  a  b  c  .
#                                         .  d  e  f  .
#                                         .  .  .  .  .
#                                         <- pitch  -->       left = 1
#
# Which inputs an output reads is a `Lattice` along each axis. Backward-data with a stride has a class of outputs for
# each position modulo the stride, each row lattice with each column lattice.
# A band of output rows stays in the second-level cache with all that it reads.
"""

from kernels cimport cnnx_lane_windows, kernels_for, real
from libc.string cimport memset

from ..parallel cimport ceil_div
from .geometry cimport Geometry, Lattice, backward_lattice, forward_lattice

cdef enum:
    LANE_BAND_PIXELS = 1024     # in or out, whichever are more: 32 kB of 8 floats


cdef Py_ssize_t class_count(const Geometry *geometry, bint backward_data) noexcept:
    return min(geometry.sh, geometry.h) * min(geometry.sw, geometry.w) if backward_data else 1


cdef LanePlan lane_plan(
    const Geometry *geometry,
    bint backward_data,         # inputs are dy, outputs dx
    Py_ssize_t lanes,
    LaneClass *of_class,        # OUT  class_count of them, for as long as the plan is used
) noexcept:
    cdef LanePlan plan
    plan.lanes, plan.n, plan.groups, plan.blocks = lanes, geometry.n, geometry.groups, ceil_div(geometry.groups, lanes)
    if backward_data:
        plan.inputs, plan.h, plan.w = geometry.filters, geometry.oh, geometry.ow
        plan.outputs, plan.oh, plan.ow = geometry.channels, geometry.h, geometry.w
    else:
        plan.inputs, plan.h, plan.w = geometry.channels, geometry.h, geometry.w
        plan.outputs, plan.oh, plan.ow = geometry.filters, geometry.oh, geometry.ow
    plan.classes, plan.of_class = class_count(geometry, backward_data), of_class
    set_classes(&plan, geometry, backward_data)
    set_bands(&plan)
    return plan


cdef void set_classes(LanePlan *plan, const Geometry *g, bint backward_data) noexcept:
    cdef Py_ssize_t across = min(g.sw, g.w) if backward_data else 1, packed = 0, i
    cdef LaneClass *one
    for i in range(plan.classes):
        one = &plan.of_class[i]
        if backward_data:
            one.rows = backward_lattice(i // across, g.h, g.kh, g.sh, g.top, g.dh)
            one.cols = backward_lattice(i % across, g.w, g.kw, g.sw, g.left, g.dw)
        else:
            one.rows = forward_lattice(g.oh, g.kh, g.sh, g.top, g.dh)
            one.cols = forward_lattice(g.ow, g.kw, g.sw, g.left, g.dw)
        one.packed = packed
        packed += plan.blocks * plan.outputs * plan.inputs * taps_of(one) * plan.lanes


cdef Py_ssize_t taps_of(const LaneClass *one) noexcept nogil:
    return one.rows.taps * one.cols.taps


cdef void set_bands(LanePlan *plan) noexcept:
    """How rows are cut into bands, and how they are staged."""
    cdef Py_ssize_t i, low, high, right = plan.w
    cdef Py_ssize_t pixels = max(plan.h * plan.w, plan.oh * plan.ow) * ceil_div(plan.inputs, 2)
    cdef const Lattice *cols
    plan.band_rows = ceil_div(plan.oh, ceil_div(pixels, LANE_BAND_PIXELS))
    plan.bands = ceil_div(plan.oh, plan.band_rows)
    plan.images = max(1, min(LANE_BAND_PIXELS // pixels, plan.n * plan.blocks // LANE_TASKS, plan.n))
    plan.left = 0
    for i in range(plan.classes):
        cols = &plan.of_class[i].cols
        if cols.taps:
            plan.left = max(plan.left, -cols.source)
            right = max(right, source_end(cols, cols.count))
    plan.pitch = plan.left + right
    plan.staged_rows = 0
    for i in range(plan.bands):
        band_sources(plan, i, &low, &high)
        plan.staged_rows = max(plan.staged_rows, high - low)


cdef Py_ssize_t source_end(const Lattice *lattice, Py_ssize_t end) noexcept nogil:
    """The pixel after the last that outputs before `end` read."""
    return lattice.source + (end - 1) * lattice.source_stride + (lattice.taps - 1) * lattice.tap_stride + 1


cdef void band_outputs(
    const LanePlan *plan, const Lattice *rows, Py_ssize_t band, Py_ssize_t *begin, Py_ssize_t *end
) noexcept nogil:
    """The output rows of a class that lie in a band."""
    cdef Py_ssize_t row = band * plan.band_rows, last = min(plan.oh, row + plan.band_rows)
    begin[0] = ceil_div(max(<Py_ssize_t>0, row - rows.first), rows.stride)
    end[0] = min(rows.count, ceil_div(max(<Py_ssize_t>0, last - rows.first), rows.stride))


cdef void band_sources(const LanePlan *plan, Py_ssize_t band, Py_ssize_t *low, Py_ssize_t *high) noexcept nogil:
    """The input rows, low to high - 1, that a band reads; some may lie outside the image."""
    cdef Py_ssize_t i, begin, end
    cdef const Lattice *rows
    low[0], high[0] = plan.h, -plan.h
    for i in range(plan.classes):
        rows = &plan.of_class[i].rows
        band_outputs(plan, rows, band, &begin, &end)
        if begin < end and rows.taps:
            low[0] = min(low[0], rows.source + begin * rows.source_stride)
            high[0] = max(high[0], source_end(rows, end))
    if low[0] >= high[0]:
        low[0] = high[0] = 0


cdef Py_ssize_t staged_elements(const LanePlan *plan) noexcept nogil:
    """Of one channel of all images of a task, and the zeros that follow the last row."""
    return (plan.images * plan.staged_rows + 1) * plan.pitch * plan.lanes


cdef Py_ssize_t stage_lanes(
    const LanePlan *plan,
    Py_ssize_t images,
    Py_ssize_t block,
    Py_ssize_t band,
    Py_ssize_t ahead,           # prefetch x + ahead; 0 disables
    const real *x,              # IN   (images, groups, inputs, h, w)
    real *staged,               # OUT  (inputs, staged_elements); of these (images, staged_rows, pitch) vectors
) noexcept nogil:
    """What a band reads of all inputs of a block, in lanes, with the zeros around it. Returns its first row, which may
    lie outside x."""
    cdef Py_ssize_t group = block * plan.lanes, planes = min(plan.lanes, plan.groups - group)
    cdef Py_ssize_t size = plan.h * plan.w, low, high, first, last, before, after, rows, c, m
    cdef real *to
    band_sources(plan, band, &low, &high)
    first = min(high, max(low, <Py_ssize_t>0))
    last = max(first, min(high, plan.h))
    rows = last - first
    before = (first - low) * plan.pitch + plan.left
    after = max(<Py_ssize_t>0, (high - last) * plan.pitch - plan.left)
    for c in range(plan.inputs):
        to = staged + c * staged_elements(plan)
        for m in range(images):
            memset(to, 0, before * plan.lanes * sizeof(real))
            kernels_for(staged).to_lanes(
                planes, rows * plan.w, x + ((m * plan.groups + group) * plan.inputs + c) * size + first * plan.w,
                plan.inputs * size, plan.w, plan.pitch - plan.w, ahead, to + before * plan.lanes,
            )
            memset(to + (before + rows * plan.pitch) * plan.lanes, 0, after * plan.lanes * sizeof(real))
            to += plan.staged_rows * plan.pitch * plan.lanes
    return low


cdef cnnx_lane_windows lane_windows(
    const LanePlan *plan, const LaneClass *one, Py_ssize_t images, Py_ssize_t rows
) noexcept nogil:
    """The windows of a class in staged images, for so many of its output rows."""
    return cnnx_lane_windows(
        images, rows, one.cols.count, plan.band_rows * plan.ow, one.rows.stride * plan.ow, one.cols.stride,
        plan.staged_rows * plan.pitch, one.rows.source_stride * plan.pitch, one.cols.source_stride,
        one.rows.taps if one.cols.taps else 0, one.cols.taps, one.rows.tap_stride * plan.pitch, one.cols.tap_stride,
    )
