"""Convolutions with few channels per group: a lane of a vector is a group.

# Design:
# Such a convolution reads and writes memory and does little between, so a matrix product of 1 x 9 numbers has nothing
# to win. Here the planes of some groups are staged in lanes (lanes.pyx), convolved without borders or shuffles, and
# written back: micro/lanes.inc.c, micro/depthwise.inc.c. So planes of 2 x 2 run as well as large ones, and any stride
# and dilation is as good as none. Weights are packed as vectors of lanes too. Depthwise convolutions whose rows fill
# much of a vector need no transposition: depthwise.pyx.
# A task is one block of groups, and one band of an image's output rows, or some small images. Of every group it takes
# all channels in and all filters out, a pair at a time. Backward-data is the same with the two exchanged; all classes
# of a band are written before it goes back.
# Backward-weight: a task is one block of groups and a part of the images, whose number follows from the shapes; it sums
# in lanes, with dbias as the weight of a pixel that is always one. The parts are added in order.
# Small planes are short streams from many places, which no hardware prefetches: while those of one block are staged,
# those of the thread's next are prefetched.
"""

import numpy as np

from libc.string cimport memset

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport CNNX_MAX_LANES, Ending, cnnx_lane_windows, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DBIAS, ARG_DWEIGHT, ARG_DX, ARG_DY, ARG_WEIGHT, ARG_WINDOWS, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, BACKWARD_WEIGHT, FORWARD, Convolution, Direction, Geometry
from .lanes cimport LANE_TASKS, LaneClass, LanePlan, band_outputs, class_count, lane_plan, lane_windows, stage_lanes
from .lanes cimport staged_elements, taps_of

cdef enum:
    TASKS_AHEAD = 2             # the next is another thread's
    SMALL_STREAM = 1024         # pixels: larger planes fill pages, which the hardware prefetches

cdef double LANE_NANOSECONDS = 0.15     # to bring one element into lanes, or back


cdef struct Call:               # of a job
    const LanePlan *plan
    Ending activation
    const void *x               # forward, backward-weight: x; backward-data: dy
    const void *weight          # packed
    const void *bias            # or NULL
    const void *add             # as y, or NULL
    void *y                     # forward: y; backward-data: dx
    const void *dy              # backward-weight
    void *sums                  # of it: (parts, blocks, outputs, (inputs * taps, then one)) vectors of lanes
    Py_ssize_t parts, sums_size         # parts of the images; elements of a block's sums


cdef class Grouped(Convolution):
    """All directions have a plan."""
    cdef LanePlan plan
    cdef object classes         # memory of the plan's

    cdef int set_up_plan(self, const Geometry *geometry, Direction direction, bint single, Ending activation) except -1:
        cdef Tile tile = tile_of(single)
        cdef bint backward_data = direction == BACKWARD_DATA
        cdef Py_ssize_t taps = 0, i
        cdef LanePlan *plan = &self.plan
        self.set_up(geometry, direction, "depthwise", single, activation)
        self.classes = np.empty(class_count(geometry, backward_data) * sizeof(LaneClass), np.uint8)
        plan[0] = lane_plan(geometry, backward_data, tile.lanes, <LaneClass *>data_of(self.classes))
        for i in range(plan.classes):
            taps += taps_of(&plan.of_class[i])
        self.cost = plan.n * plan.blocks * plan.lanes * (
            LANE_NANOSECONDS * (plan.inputs * plan.h * plan.w + plan.outputs * plan.oh * plan.ow)
            + GEMM_NANOSECONDS * plan.inputs * plan.outputs * plan.oh * plan.ow * taps / plan.classes
        )
        if direction != BACKWARD_WEIGHT:
            self.packed = plan.blocks * plan.outputs * plan.inputs * taps * plan.lanes * tile.element
        return 0


cdef class GroupedWindows(Grouped):
    """Forward and backward-data."""
    cdef bint backward_data

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        """Not on the team: these are so few that to meet would take longer."""
        if self.single:
            pack_lanes(&self.plan, &self.geometry, self.backward_data, <const float *>weight, <float *>packed)
        else:
            pack_lanes(&self.plan, &self.geometry, self.backward_data, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef const LanePlan *plan = &self.plan
        cdef Call call
        call.plan, call.activation = plan, self.activation
        call.x, call.weight, call.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        if self.backward_data:
            call.add, call.y = NULL, arrays[ARG_DX]
        else:
            call.add, call.y = arrays[ARG_ADD], arrays[ARG_Y]
        task = <Task>band_task[float] if self.single else <Task>band_task[double]
        run_team(team, task, &call, ceil_div(plan.n, plan.images) * plan.blocks * plan.bands, ON_DEMAND)


cdef class GroupedDweight(Grouped):
    """Backward-weight."""
    cdef Py_ssize_t parts, sums_size

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Call call
        call.plan, call.x, call.dy, call.sums = &self.plan, arrays[ARG_WINDOWS], arrays[ARG_DY], shared
        call.parts, call.sums_size = self.parts, self.sums_size
        memset(shared, 0, self.shared)
        task = <Task>part_task[float] if self.single else <Task>part_task[double]
        run_team(team, task, &call, self.plan.blocks * self.parts, ON_DEMAND)
        if self.single:
            add_parts(&call, <float *>shared, <float *>arrays[ARG_DWEIGHT], <float *>arrays[ARG_DBIAS])
        else:
            add_parts(&call, <double *>shared, <double *>arrays[ARG_DWEIGHT], <double *>arrays[ARG_DBIAS])


cdef Job prepare_grouped(const Geometry *geometry, bint single, Ending activation):
    return of_windows(geometry, FORWARD, single, activation)


cdef Job prepare_grouped_dx(const Geometry *geometry, bint single, Ending activation):
    return of_windows(geometry, BACKWARD_DATA, single, activation)


cdef Job of_windows(const Geometry *geometry, Direction direction, bint single, Ending activation):
    cdef GroupedWindows job = GroupedWindows()
    cdef LanePlan *plan = &job.plan
    job.set_up_plan(geometry, direction, single, activation)
    job.backward_data = direction == BACKWARD_DATA
    job.scratch = tile_of(single).element * (
        plan.inputs * staged_elements(plan) + plan.images * plan.band_rows * plan.ow * plan.lanes
    )
    return job


cdef Job prepare_grouped_dweight(const Geometry *geometry, bint single, Ending activation):
    cdef GroupedDweight job = GroupedDweight()
    cdef LanePlan *plan = &job.plan
    job.set_up_plan(geometry, BACKWARD_WEIGHT, single, activation)
    job.parts = min(plan.n, ceil_div(LANE_TASKS, plan.blocks))
    job.sums_size = plan.outputs * (plan.inputs * taps_of(plan.of_class) + 1) * plan.lanes
    job.shared = job.parts * plan.blocks * job.sums_size * tile_of(single).element
    job.scratch = tile_of(single).element * (
        plan.inputs * staged_elements(plan) + plan.outputs * plan.images * plan.band_rows * plan.ow * plan.lanes
    )
    return job


cdef void pack_lanes(
    const LanePlan *plan,
    const Geometry *geometry,
    bint backward_data,
    const real *weight,         # IN   (groups, filters, channels, kh, kw)
    real *packed,               # OUT  of every class, (blocks, outputs, inputs, its taps) vectors of lanes
) noexcept nogil:
    cdef Py_ssize_t kw = geometry.kw, of_channel = geometry.kh * kw, of_filter = geometry.channels * of_channel
    cdef Py_ssize_t of_group = geometry.filters * of_filter, block, f, c, u, i
    cdef Py_ssize_t of_output = of_channel if backward_data else of_filter
    cdef Py_ssize_t of_input = of_filter if backward_data else of_channel
    cdef const LaneClass *one
    for i in range(plan.classes):
        one = &plan.of_class[i]
        for block in range(plan.blocks):
            for f in range(plan.outputs):
                for c in range(plan.inputs):
                    for u in range(one.rows.taps):
                        kernels_for(packed).pack(
                            min(plan.lanes, plan.groups - block * plan.lanes), one.cols.taps,
                            weight + block * plan.lanes * of_group + f * of_output + c * of_input
                            + (one.rows.cell + u * one.rows.cell_stride) * kw + one.cols.cell,
                            of_group, one.cols.cell_stride, plan.lanes, packed,
                        )
                        packed += one.cols.taps * plan.lanes


cdef void band_task(const Call *call, Py_ssize_t task, real *scratch) noexcept nogil:
    """One band of one block of groups, of some images. scratch: the staged inputs, and one output."""
    cdef const LanePlan *plan = call.plan
    cdef Py_ssize_t band = task % plan.bands, block = task // plan.bands % plan.blocks
    cdef Py_ssize_t image = task // plan.bands // plan.blocks * plan.images, images = min(plan.images, plan.n - image)
    cdef Py_ssize_t group = block * plan.lanes, planes = min(plan.lanes, plan.groups - group)
    cdef Py_ssize_t row = band * plan.band_rows, rows = min(plan.band_rows, plan.oh - row)
    cdef Py_ssize_t size = plan.h * plan.w, out_size = plan.oh * plan.ow, ahead = 0, low, f, m, at
    cdef const real *add = <const real *>call.add
    cdef real *y = <real *>call.y
    cdef real *out = scratch + plan.inputs * staged_elements(plan)
    if plan.bands == 1 and size < SMALL_STREAM:
        ahead = TASKS_AHEAD * plan.lanes * plan.inputs * size
    low = stage_lanes(
        plan, images, block, band, ahead, <const real *>call.x + image * plan.groups * plan.inputs * size, scratch
    )
    for f in range(plan.outputs):
        convolve_lanes(call, images, block, band, f, low, scratch, out)
        for m in range(images):
            at = (((image + m) * plan.groups + group) * plan.outputs + f) * out_size + row * plan.ow
            kernels_for(scratch).from_lanes(
                planes, rows * plan.ow, out + m * plan.band_rows * plan.ow * plan.lanes, y + at, plan.outputs * out_size
            )
            finish_rows(
                planes, plan.outputs * out_size, rows * plan.ow, add + at if add != NULL else NULL, call.activation,
                y + at,
            )


cdef void convolve_lanes(
    const Call *call,
    Py_ssize_t images,
    Py_ssize_t block,
    Py_ssize_t band,
    Py_ssize_t f,
    Py_ssize_t low,             # the first staged row
    const real *staged,         # IN   (inputs, staged_elements)
    real *out,                  # OUT  (rows of the band, ow) vectors of lanes
) noexcept nogil:
    """One output plane of every group of a block."""
    cdef const LanePlan *plan = call.plan
    cdef Py_ssize_t lanes = plan.lanes, taps, begin, end, i, c
    cdef const LaneClass *one
    cdef const real *source
    cdef const real *weight
    cdef real[CNNX_MAX_LANES] start
    cdef real *to
    cdef cnnx_lane_windows windows
    start_lanes(call, block, f, start)
    for i in range(plan.classes):
        one = &plan.of_class[i]
        band_outputs(plan, &one.rows, band, &begin, &end)
        if begin >= end:
            continue
        windows = lane_windows(plan, one, images, end - begin)
        taps, source = taps_of(one), staged
        weight = <const real *>call.weight + one.packed + (block * plan.outputs + f) * plan.inputs * taps * lanes
        if taps:
            source += (
                (one.rows.source + begin * one.rows.source_stride - low) * plan.pitch + plan.left + one.cols.source
            ) * lanes
        to = out
        to += ((one.rows.first + begin * one.rows.stride - band * plan.band_rows) * plan.ow + one.cols.first) * lanes
        for c in range(plan.inputs):
            kernels_for(out).depthwise(
                &windows, source + c * staged_elements(plan), weight + c * taps * lanes, start if c == 0 else NULL, to
            )


cdef void start_lanes(const Call *call, Py_ssize_t block, Py_ssize_t f, real *start) noexcept nogil:
    """What the sums of one output plane begin with: the bias, or zero."""
    cdef const LanePlan *plan = call.plan
    cdef Py_ssize_t group = block * plan.lanes
    if call.bias == NULL:
        memset(start, 0, plan.lanes * sizeof(real))
    else:
        kernels_for(start).pack(
            min(plan.lanes, plan.groups - group), 1, <const real *>call.bias + group * plan.outputs + f, plan.outputs,
            0, plan.lanes, start,
        )


cdef void part_task(const Call *call, Py_ssize_t task, real *scratch) noexcept nogil:
    """Sums of one block of groups over a part of the images. scratch: the staged inputs and outputs."""
    cdef const LanePlan *plan = call.plan
    cdef Py_ssize_t block = task % plan.blocks, part = task // plan.blocks, group = block * plan.lanes
    cdef Py_ssize_t planes = min(plan.lanes, plan.groups - group), image = plan.n * part // call.parts
    cdef Py_ssize_t last_image = plan.n * (part + 1) // call.parts, of_y = plan.oh * plan.ow, at
    cdef Py_ssize_t of_x = plan.h * plan.w, images, band, rows, f, m, ahead
    cdef const real *x = <const real *>call.x
    cdef const real *dy = <const real *>call.dy
    cdef real *outputs = scratch + plan.inputs * staged_elements(plan)
    cdef real *sums = <real *>call.sums + task * call.sums_size
    while image < last_image:
        images = min(plan.images, last_image - image)
        ahead = plan.images * plan.groups if plan.bands == 1 and image + images < last_image else 0
        for band in range(plan.bands):
            rows = min(plan.band_rows, plan.oh - band * plan.band_rows)
            stage_lanes(
                plan, images, block, band, ahead * plan.inputs * of_x, x + image * plan.groups * plan.inputs * of_x,
                scratch,
            )
            for f in range(plan.outputs):
                for m in range(images):
                    at = (((image + m) * plan.groups + group) * plan.outputs + f) * of_y
                    at += band * plan.band_rows * plan.ow
                    kernels_for(scratch).to_lanes(
                        planes, rows * plan.ow, dy + at, plan.outputs * of_y, rows * plan.ow, 0,
                        ahead * plan.outputs * of_y,
                        outputs + (f * plan.images + m) * plan.band_rows * plan.ow * plan.lanes,
                    )
            add_products(plan, images, rows, scratch, outputs, sums)
        image += images


cdef void add_products(
    const LanePlan *plan,
    Py_ssize_t images,
    Py_ssize_t rows,
    const real *x,              # IN   (inputs, staged_elements)
    const real *dy,             # IN   (outputs, images, band)
    real *sums,                 # OUT  += (outputs, (inputs * taps, then one))
) noexcept nogil:
    """Sums of dy times its windows, and of dy alone, over one band."""
    cdef const LaneClass *one = plan.of_class
    cdef Py_ssize_t lanes = plan.lanes, pixels = rows * plan.ow, c, f, i
    cdef cnnx_lane_windows windows = lane_windows(plan, one, images, rows)
    cdef cnnx_lane_windows pixel = cnnx_lane_windows(1, images, pixels, 0, windows.y_image, 1, 0, 0, 0, 1, 1, 0, 0)
    cdef const real *source = x + (plan.left + one.cols.source) * lanes
    cdef real[CNNX_MAX_LANES] ones
    for i in range(lanes):
        ones[i] = 1
    for f in range(plan.outputs):
        for c in range(plan.inputs):
            kernels_for(sums).depthwise_dweight(&windows, source + c * staged_elements(plan), dy, sums)
            sums += taps_of(one) * lanes
        kernels_for(sums).depthwise_dweight(&pixel, ones, dy, sums)
        sums += lanes
        dy += plan.images * plan.band_rows * plan.ow * lanes


cdef void add_parts(const Call *call, real *sums, real *dweight, real *dbias) noexcept nogil:
    """The sums of all parts, out of their lanes."""
    cdef const LanePlan *plan = call.plan
    cdef Py_ssize_t size = plan.blocks * call.sums_size, taps = taps_of(plan.of_class), part, block, group, planes, f, c
    cdef Py_ssize_t of_group = plan.outputs * plan.inputs * taps
    for part in range(1, call.parts):
        kernels_for(sums).add(size, sums + part * size, sums)
    for block in range(plan.blocks):
        group = block * plan.lanes
        planes = min(plan.lanes, plan.groups - group)
        for f in range(plan.outputs):
            for c in range(plan.inputs):
                kernels_for(sums).from_lanes(
                    planes, taps, sums, dweight + group * of_group + (f * plan.inputs + c) * taps, of_group
                )
                sums += taps * plan.lanes
            kernels_for(sums).from_lanes(planes, 1, sums, dbias + group * plan.outputs + f, plan.outputs)
            sums += plan.lanes
