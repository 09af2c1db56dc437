"""Depthwise convolution, forward, of arrays whose channels are last: (n, h, w, channels).

# Design:
# Channels are the lanes, as they lie: nothing is staged, transposed or padded, and taps outside the image are left out
# (micro/depthwise_last.inc.c). So it takes little longer than to read x and to write y.
# A task is a band of output rows of an image, and a block of channels: as many as keep their rows of x, which the next
# rows of y read again, in the first-level cache. Weights are packed as (blocks, taps, channels of a block), so that a
# block's lie together. A block holds a vector of channels at least, if there is one: its last vector may overlap.
"""

from costs cimport GEMM_NANOSECONDS, MEMORY_NANOSECONDS
from kernels cimport Ending, cnnx_channel_windows, kernels_for, real
from tile cimport Tile, tile_of

from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry

cdef enum:
    CACHED_BYTES = 24576        # of the rows of x that a row of y reads: half of a first-level cache
    STREAMED_BYTES = 1500000    # of an image: it does not stay in the second-level cache, and is read as one stream
    TASK_OUTPUTS = 16384        # more or less: work for some microseconds


cdef struct Plan:
    Geometry geometry
    Py_ssize_t vectors, blocks          # whole vectors of channels; blocks of them
    Py_ssize_t bands, band_rows         # bands of an image, and rows of one
    Py_ssize_t lanes                    # of a vector
    cnnx_channel_windows windows        # all but the channels
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # (n, h, w, channels)
    const void *weight                  # (blocks, taps, channels of the block)
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *y                             # (n, oh, ow, channels)


cdef class DepthwiseLast(Convolution):
    cdef Plan plan

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        """Not on the team: these are so few that to meet would take longer."""
        if self.single:
            pack_taps(&self.plan, <const float *>weight, <float *>packed)
        else:
            pack_taps(&self.plan, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Plan plan = self.plan
        cdef Task task = <Task>band_task[float] if self.single else <Task>band_task[double]
        plan.x, plan.weight, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        plan.add, plan.y = arrays[ARG_ADD], arrays[ARG_Y]
        run_team(team, task, &plan, plan.geometry.n * plan.bands * plan.blocks, ON_DEMAND)


cdef Job prepare_depthwise_last(const Geometry *geometry, bint single, Ending activation):
    cdef DepthwiseLast job = DepthwiseLast.__new__(DepthwiseLast)
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    cdef const Geometry *g = geometry
    cdef Py_ssize_t channels = g.groups, taps = g.kh * g.kw, most
    job.set_up(g, FORWARD, "depthwise_channels_last", single, activation)
    plan.geometry, plan.activation, plan.lanes = g[0], activation, tile.lanes
    plan.windows = cnnx_channel_windows(0, channels, g.ow, g.w, g.left, g.kw, g.sw, g.dw, g.dh * g.w * channels)
    plan.vectors = max(<Py_ssize_t>1, channels // tile.lanes)
    most = CACHED_BYTES // (g.kh * g.w * tile.lanes * <Py_ssize_t>tile.element)
    plan.blocks = ceil_div(plan.vectors, max(<Py_ssize_t>1, most))
    if g.h * g.w * channels * <Py_ssize_t>tile.element > STREAMED_BYTES:
        plan.blocks = 1
    plan.band_rows = ceil_div(TASK_OUTPUTS, g.ow * ceil_div(channels, plan.blocks))
    plan.bands = ceil_div(g.oh, plan.band_rows)
    plan.band_rows = ceil_div(g.oh, plan.bands)
    job.packed = taps * channels * tile.element
    job.cost = g.n * channels * (
        MEMORY_NANOSECONDS / 2 * (g.h * g.w + g.oh * g.ow) + GEMM_NANOSECONDS * taps * g.oh * g.ow
    )
    return job


cdef inline Py_ssize_t first_channel(const Plan *plan, Py_ssize_t block) noexcept nogil:
    """Of a block; blocks are of nearly the same size, and the last one ends with the channels."""
    return plan.geometry.groups if block == plan.blocks else plan.vectors * block // plan.blocks * plan.lanes


cdef void pack_taps(
    const Plan *plan,
    const real *weight,         # IN   (channels, taps)
    real *packed,               # OUT  (blocks, taps, channels of the block)
) noexcept nogil:
    cdef Py_ssize_t taps = plan.geometry.kh * plan.geometry.kw, block, first, channels
    for block in range(plan.blocks):
        first = first_channel(plan, block)
        channels = first_channel(plan, block + 1) - first
        kernels_for(packed).transpose(channels, taps, weight + first * taps, taps, packed + first * taps, channels)


cdef void band_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """A band of a block of channels of one image."""
    cdef const Geometry *g = &plan.geometry
    cdef Py_ssize_t block = task % plan.blocks, band = task // plan.blocks % plan.bands
    cdef Py_ssize_t image = task // plan.blocks // plan.bands, channel = first_channel(plan, block), row, top, low, high
    cdef Py_ssize_t line = g.w * g.groups, out_line = g.ow * g.groups, at
    cdef const real *x = <const real *>plan.x + image * g.h * line + channel
    cdef const real *weight = <const real *>plan.weight + channel * g.kh * g.kw
    cdef const real *bias = <const real *>plan.bias + channel if plan.bias != NULL else NULL
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y
    cdef cnnx_channel_windows windows = plan.windows
    windows.channels = first_channel(plan, block + 1) - channel
    for row in range(band * plan.band_rows, min(g.oh, (band + 1) * plan.band_rows)):
        top = row * g.sh - g.top            # rows of taps from low to high lie inside the image
        low = min(g.kh, ceil_div(max(<Py_ssize_t>0, -top), g.dh))
        high = max(low, min(g.kh, ceil_div(max(<Py_ssize_t>0, g.h - top), g.dh)))
        at = (image * g.oh + row) * out_line + channel
        kernels_for(y).depthwise_row(
            &windows, high - low, x + (top + low * g.dh) * line, weight + low * g.kw * windows.channels, bias,
            add + at if add != NULL else NULL, plan.activation, y + at,
        )
