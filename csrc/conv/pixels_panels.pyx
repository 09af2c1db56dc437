"""Convolution of images (n, h, w, channels), forward, with weights that are packed once, for many calls.

# Design:
# A product, with pixels of y as the rows of the register tile, and filters in lanes:
#
#     y (pixels x filters) = windows (pixels x terms) * weights (terms x filters)
#
# The terms of a row of taps lie side by side in x, kw * channels elements (those of one tap, where there is dilation).
# So a window is some runs of elements, which are at the same distances in each: the tile takes an offset for each pixel
# and each run, and no window is copied. Where windows leave the image, the rows of x that a task meets are copied with
# zeros around them (`stage`): by the task, or, if several tasks meet them, before.
# Weights lie in panels of nr filters, in the order in which they are used: one stream from memory, which the tile
# prefetches. A task is a block of filters, and a group of pixels: rows of an image, or small images. Terms are cut into
# blocks, and summed in order; the last ends the sum in registers (bias, add, activation). All tiles of pixels meet
# first some panels of a block of terms, which stay in the second-level cache, then the next: so weights come from
# memory once, and a row of y is written some panels at a time.
# Pixels of a 1x1 convolution at stride 1 are one row, whatever image they are from.
"""

import numpy as np

from libc.string cimport memcpy, memset

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, cnnx_runs, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry, is_dense

cdef enum:
    PIXELS = 256                # of a group, more or less: enough to be worth reading the weights again
    STAGED_ELEMENTS = 1 << 17   # of a group: 512 kB of floats, a part of the second-level cache
    TERMS = 512                 # of a block: so many of the pixels of a tile take half of the first-level cache
    WEIGHTS_KEPT = 1 << 16      # of some panels and a block of terms: 256 kB of floats, a part of the second
    STREAM_PIXELS = 3           # to read a weight takes as long as to multiply with it so often
    TASKS = 8                   # at least, for threads to share what takes as long as that pays
    SHARED_NANOSECONDS = 50000


cdef struct Group:                      # of pixels: some images, or some rows of one
    Py_ssize_t images, rows, pixels
    Py_ssize_t bands                    # groups of an image, of rows
    Py_ssize_t count                    # of all groups
    Py_ssize_t lines, width             # pixels of x that its windows meet, of an image
    Py_ssize_t image, line              # elements from one image, and line, to the next, as windows are read
    Py_ssize_t staged                   # elements; 0: windows are read in x


cdef struct Runs:                       # of a window: a row of taps, or a tap
    Py_ssize_t length, count
    Py_ssize_t cuts, depth              # a long one is cut into so many parts, of `depth` elements
    Py_ssize_t together                 # parts, or short runs, that are a block of terms
    Py_ssize_t blocks


cdef struct Plan:
    Geometry geometry
    Group group
    Runs runs
    Py_ssize_t panels, height, down     # of filters, of a task; tasks of a group
    Py_ssize_t kept                     # panels that tiles of pixels meet together
    bint shared                         # groups are staged before
    const Py_ssize_t *pixel_offsets     # where the window of each pixel of a group begins
    const Py_ssize_t *run_offsets       # and a run, or each part of one
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # (n, h, w, channels)
    const void *weight                  # (down, blocks, panels, terms of the block, nr); or (filters, channels, kh, kw)
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *packed                        # weights, as above
    void *staged                        # groups, or NULL
    void *y                             # (n, oh, ow, filters)


cdef class PixelsByPanels(Convolution):
    cdef Plan plan
    cdef object pixel_offsets, run_offsets

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        cdef Task task = <Task>panel_task[float] if self.single else <Task>panel_task[double]
        cdef Plan plan = self.plan
        plan.weight, plan.packed = weight, packed
        run_team(team, task, &plan, plan.panels, EVENLY)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.x, plan.weight, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        plan.add, plan.y, plan.staged = arrays[ARG_ADD], arrays[ARG_Y], shared
        if plan.shared:
            task = <Task>stage_task[float] if self.single else <Task>stage_task[double]
            run_team(team, task, &plan, plan.group.count, EVENLY)
        task = <Task>block_task[float] if self.single else <Task>block_task[double]
        run_team(team, task, &plan, plan.group.count * plan.down, ON_DEMAND)


cdef Job prepare_pixels_by_panels(const Geometry *geometry, bint single, Ending activation):
    cdef PixelsByPanels job = PixelsByPanels.__new__(PixelsByPanels)
    cdef Tile tile = tile_of(single)
    cdef Plan *plan = &job.plan
    cdef Geometry *g = &plan.geometry
    cdef Py_ssize_t weights
    job.set_up(geometry, FORWARD, "pixels_by_panels", single, activation)
    g[0], plan.activation = geometry[0], activation
    if is_dense(g):
        g.oh, g.n, g.ow = g.n * g.oh * g.ow, 1, 1
        g.h, g.w = g.oh, 1
    plan.group, plan.runs = group_of(g, tile.mr), runs_of(g)
    plan.panels, plan.down = ceil_div(g.filters, tile.nr), 1
    plan.kept = max(<Py_ssize_t>1, WEIGHTS_KEPT // (plan.runs.together * plan.runs.depth * tile.nr))
    weights = plan.panels * tile.nr * plan.runs.count * plan.runs.length
    job.cost = GEMM_NANOSECONDS * max(g.n * g.oh * g.ow, <Py_ssize_t>STREAM_PIXELS) * weights
    if job.cost >= SHARED_NANOSECONDS:
        plan.down = ceil_div(TASKS, plan.group.count)
    plan.height = ceil_div(plan.panels, plan.down)
    plan.down = ceil_div(plan.panels, plan.height)
    plan.shared = plan.group.staged > 0 and plan.down > 1
    set_offsets(job)
    job.packed = weights * tile.element
    job.shared = plan.group.count * plan.group.staged * tile.element if plan.shared else 0
    job.scratch = 0 if plan.shared else plan.group.staged * tile.element
    return job


cdef Group group_of(const Geometry *g, Py_ssize_t mr):
    cdef Group group
    cdef Py_ssize_t below = (g.oh - 1) * g.sh - g.top + (g.kh - 1) * g.dh + 1 - g.h
    cdef Py_ssize_t beside
    group.width = (g.ow - 1) * g.sw + (g.kw - 1) * g.dw + 1
    beside = group.width - g.left - g.w
    cdef bint staged = g.top > 0 or g.left > 0 or below > 0 or beside > 0
    cdef Py_ssize_t most = max(<Py_ssize_t>1, PIXELS // g.ow), lines = STAGED_ELEMENTS // (group.width * g.channels)
    if staged:
        most = max(<Py_ssize_t>1, min(most, 1 + (lines - (g.kh - 1) * g.dh - 1) // g.sh))
    group.bands = ceil_div(g.oh, most)
    group.rows = ceil_div(g.oh, group.bands)
    if g.ow == 1 and group.bands > 1:       # whole register tiles
        group.rows = ceil_div(group.rows, mr) * mr
        group.bands = ceil_div(g.oh, group.rows)
    group.lines = (group.rows - 1) * g.sh + (g.kh - 1) * g.dh + 1
    group.images = 1 if group.bands > 1 else min(g.n, max(<Py_ssize_t>1, most // g.oh))
    group.images = ceil_div(g.n, ceil_div(g.n, group.images))
    group.count = group.bands * ceil_div(g.n, group.images)
    group.pixels = group.images * group.rows * g.ow
    group.line = (group.width if staged else g.w) * g.channels
    group.image = (group.lines if staged else g.h) * group.line
    group.staged = group.images * group.image if staged else 0
    return group


cdef Runs runs_of(const Geometry *g):
    cdef Runs runs
    cdef bint rows = g.dw == 1
    cdef Py_ssize_t parts
    runs.length, runs.count = g.channels * (g.kw if rows else 1), g.kh * (1 if rows else g.kw)
    runs.cuts = ceil_div(runs.length, TERMS)
    runs.depth = ceil_div(runs.length, runs.cuts)
    parts = runs.cuts * runs.count
    runs.together = ceil_div(parts, ceil_div(parts, TERMS // runs.depth)) if runs.cuts == 1 else 1
    runs.blocks = ceil_div(parts, runs.together)
    return runs


cdef int set_offsets(PixelsByPanels job) except -1:
    cdef Plan *plan = &job.plan
    cdef Geometry *g = &plan.geometry
    cdef Group *group = &plan.group
    cdef Runs *runs = &plan.runs
    image, row, col = np.ogrid[: group.images, : group.rows, : g.ow]
    job.pixel_offsets = np.array(image * group.image + row * g.sh * group.line + col * g.sw * g.channels, np.intp)
    row, col, part = np.ogrid[: g.kh, : runs.count // g.kh, : runs.cuts]
    job.run_offsets = np.array(row * g.dh * group.line + col * g.dw * g.channels + part * runs.depth, np.intp)
    plan.pixel_offsets = <const Py_ssize_t *>data_of(job.pixel_offsets)
    plan.run_offsets = <const Py_ssize_t *>data_of(job.run_offsets)
    return 0


cdef inline cnnx_runs block_of(const Plan *plan, Py_ssize_t block) noexcept nogil:
    """The runs of a block of terms."""
    cdef const Runs *runs = &plan.runs
    cdef Py_ssize_t first = block * runs.together, count = min(runs.together, runs.count * runs.cuts - first)
    cdef Py_ssize_t length = min(runs.depth, runs.length - first % runs.cuts * runs.depth)
    return cnnx_runs(NULL, plan.run_offsets + first, count, length)


cdef void panel_task(const Plan *plan, Py_ssize_t panel, real *scratch) noexcept nogil:
    """Pack a panel of filters: terms in the order (row of taps, tap, channel)."""
    cdef const Geometry *g = &plan.geometry
    cdef Py_ssize_t nr = kernels_for(scratch).nr, filters = min(nr, g.filters - panel * nr), taps = g.kh * g.kw
    cdef Py_ssize_t first = panel // plan.height * plan.height, height = min(plan.height, plan.panels - first)
    cdef Py_ssize_t terms = plan.runs.count * plan.runs.length, term = 0, block, k, at, channel, count
    cdef const real *weight = <const real *>plan.weight + panel * nr * g.channels * taps
    cdef real *packed
    cdef cnnx_runs runs
    for block in range(plan.runs.blocks):
        runs = block_of(plan, block)
        k, at = runs.count * runs.length, 0
        packed = <real *>plan.packed + (first * terms + term * height + (panel - first) * k) * nr
        while at < k:       # the channels of a tap
            channel = (term + at) % g.channels
            count = min(g.channels - channel, k - at)
            kernels_for(scratch).pack(
                filters, count, weight + channel * taps + (term + at) // g.channels, g.channels * taps, taps, nr,
                packed + at * nr,
            )
            at += count
        term += k


cdef void stage_task(const Plan *plan, Py_ssize_t number, real *scratch) noexcept nogil:
    stage(plan, number, <real *>plan.staged + number * plan.group.staged)


cdef void block_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some filters of a group of pixels. scratch: what its windows meet."""
    cdef const Geometry *g = &plan.geometry
    cdef const Group *group = &plan.group
    cdef Py_ssize_t nr = kernels_for(scratch).nr, terms = plan.runs.count * plan.runs.length, block, panel, width
    cdef Py_ssize_t number = task // plan.down, first = task % plan.down * plan.height
    cdef Py_ssize_t image = number // group.bands * group.images, row = number % group.bands * group.rows
    cdef Py_ssize_t images = min(group.images, g.n - image), rows = min(group.rows, g.oh - row)
    cdef Py_ssize_t last = min(plan.panels, first + plan.height), pixel = (image * g.oh + row) * g.ow
    cdef const real *weight = <const real *>plan.weight + first * terms * nr
    cdef const real *x = scratch
    cdef cnnx_runs runs
    if plan.shared:
        x = <const real *>plan.staged + number * group.staged
    elif group.staged:
        stage(plan, number, scratch)
    else:
        x = <const real *>plan.x + image * group.image + (row * g.sh - g.top) * group.line - g.left * g.channels
    for block in range(plan.runs.blocks):
        runs, panel = block_of(plan, block), first
        while panel < last:
            width = min(plan.kept, last - panel)
            multiply(plan, block, runs, panel, width, pixel, images * rows * g.ow, x, weight)
            weight += width * runs.count * runs.length * nr
            panel += width


cdef void multiply(
    const Plan *plan,
    Py_ssize_t block,           # of terms
    cnnx_runs runs,             # its
    Py_ssize_t panel,
    Py_ssize_t panels,
    Py_ssize_t pixel,
    Py_ssize_t pixels,
    const real *x,              # IN   where the window of the first pixel begins
    const real *weight,         # IN   (panels, terms of the block, nr)
) noexcept nogil:
    """The product of a group for a block of terms and some panels."""
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, filters = plan.geometry.filters, part, row, j
    cdef Py_ssize_t parts = ceil_div(pixels, mr), k = runs.count * runs.length, filter, at
    cdef bint more = block > 0, ends = block == plan.runs.blocks - 1
    cdef cnnx_tile tile = cnnx_tile(0, 0, k, 0, 1, nr, filters if more else 0, 1, filters)
    cdef Ending activation = plan.activation if ends else NO_ACTIVATION
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add if ends else NULL
    cdef const real *start = NULL
    cdef real *y = <real *>plan.y
    for part in range(parts):       # of nearly the same size
        row = pixels * part // parts
        tile.rows = pixels * (part + 1) // parts - row
        runs.rows = plan.pixel_offsets + row
        for j in range(panels):
            filter = (panel + j) * nr
            tile.cols = min(nr, filters - filter)
            at = (pixel + row) * filters + filter
            if more:
                start = y + at
            elif bias != NULL:
                start = bias + filter
            kernels_for(y).product_of_runs(
                &tile, x, &runs, weight + j * k * nr, start, add + at if add != NULL else NULL, activation, y + at,
            )


cdef void stage(
    const Plan *plan,
    Py_ssize_t number,          # of the group
    real *staged,               # OUT  (images, lines, width, channels)
) noexcept nogil:
    """What the windows of a group meet, and zeros where they leave the image."""
    cdef const Geometry *g = &plan.geometry
    cdef const Group *group = &plan.group
    cdef Py_ssize_t image = number // group.bands * group.images, top = number % group.bands * group.rows * g.sh - g.top
    cdef Py_ssize_t m, line, before = max(<Py_ssize_t>0, min(g.left, group.width)) * g.channels
    cdef Py_ssize_t first = max(<Py_ssize_t>0, -g.left) * g.channels
    cdef Py_ssize_t n = max(<Py_ssize_t>0, min(group.line - before, g.w * g.channels - first))
    cdef real *to
    for m in range(min(group.images, g.n - image)):
        for line in range(group.lines):
            to = staged + m * group.image + line * group.line
            if not 0 <= top + line < g.h:
                memset(to, 0, group.line * sizeof(real))
                continue
            memset(to, 0, before * sizeof(real))
            memcpy(
                to + before, <const real *>plan.x + ((image + m) * g.h + top + line) * g.w * g.channels + first,
                n * sizeof(real),
            )
            memset(to + before + n, 0, (group.line - before - n) * sizeof(real))
