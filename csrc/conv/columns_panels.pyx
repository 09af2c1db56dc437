"""Convolution of a few windows, forward, with weights that are packed once, for many calls.

# Design:
# The linear layer over the window matrix of im2col.pyx, with the weights in panels of nr filters:
#
#     y (windows x filters) = windows (windows x terms) * weights (terms x filters)
#
# Filters fill the lanes of vectors, which a few pixels would not, and windows are the rows of the register tile. Each
# weight is read once, in order, and meets all windows: what takes time is to bring the weights from the memory.
# The windows lie side by side, (terms x windows): those of one image and 1x1 kernels are the image itself. A task of
# the second loop is a panel of filters, whose sums are then transposed into y. Where windows are more than one tile has
# rows, the terms are cut into blocks, so that a panel's stay in the first-level cache.
# A sum runs over terms in order: any number of threads gives the same bits.
"""

import numpy as np

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport CNNX_ACROSS, Ending, cnnx_tile, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..gemm cimport K_BLOCK
from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from .gather cimport gather_windows
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_WEIGHT, ARG_X, ARG_Y, FORWARD, Convolution, Geometry, is_dense

cdef enum:
    STREAM_ROWS = 3         # to read a weight takes as long as to multiply with it so often


cdef struct Plan:
    Geometry geometry
    Py_ssize_t windows, pixels          # of all images, of one
    Py_ssize_t terms, filters
    Py_ssize_t panels                   # of filters
    Py_ssize_t depth, blocks            # of terms
    const Py_ssize_t *offsets           # of the rows of a block: multiples of `windows`
    bint in_place                       # x is the matrix of windows
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x                       # (n, channels, h, w)
    const void *weight                  # (panels, terms, nr)
    const void *bias                    # or NULL
    const void *add                     # as y, or NULL
    void *cols                          # (terms, windows), and what the last tile may read beyond
    void *y                             # (n, filters, pixels)


cdef class ColumnsByPanels(Convolution):
    cdef Plan plan
    cdef object offsets

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        if self.single:
            pack_filters(&self.plan, <const float *>weight, <float *>packed)
        else:
            pack_filters(&self.plan, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Task task
        cdef Plan plan = self.plan
        plan.x, plan.weight, plan.bias = arrays[ARG_X], arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        plan.add, plan.y, plan.cols = arrays[ARG_ADD], arrays[ARG_Y], shared
        if plan.in_place:
            plan.cols = arrays[ARG_X]
        else:
            task = <Task>windows_task[float] if self.single else <Task>windows_task[double]
            run_team(team, task, &plan, plan.geometry.n * plan.blocks, EVENLY)
        task = <Task>filters_task[float] if self.single else <Task>filters_task[double]
        run_team(team, task, &plan, plan.panels, ON_DEMAND)


cdef Job prepare_columns_by_panels(const Geometry *geometry, bint single, Ending activation):
    cdef ColumnsByPanels job = ColumnsByPanels.__new__(ColumnsByPanels)
    cdef Tile tile = tile_of(single)
    cdef Plan *plan = &job.plan
    job.set_up(geometry, FORWARD, "columns_by_panels", single, activation)
    plan.geometry, plan.activation = geometry[0], activation
    plan.pixels = geometry.oh * geometry.ow
    plan.windows, plan.terms = geometry.n * plan.pixels, geometry.channels * geometry.kh * geometry.kw
    plan.filters, plan.panels = geometry.filters, ceil_div(geometry.filters, tile.nr)
    plan.in_place = geometry.n == 1 and is_dense(geometry)
    plan.blocks = 1 if plan.windows <= tile.mr else ceil_div(plan.terms, K_BLOCK)
    plan.depth = ceil_div(plan.terms, plan.blocks)
    job.offsets = np.arange(plan.depth, dtype=np.intp) * plan.windows
    plan.offsets = <const Py_ssize_t *>data_of(job.offsets)
    job.cost = GEMM_NANOSECONDS * max(plan.windows, <Py_ssize_t>STREAM_ROWS) * plan.terms * plan.panels * tile.nr
    job.packed = plan.panels * tile.nr * plan.terms * tile.element
    job.shared = 0 if plan.in_place else plan.windows * plan.terms * tile.element
    job.scratch = plan.windows * tile.nr * tile.element
    return job


cdef void pack_filters(
    const Plan *plan,
    const real *weight,         # IN   (filters, terms)
    real *panels,               # OUT  (panels, terms, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(panels).nr, panel
    for panel in range(plan.panels):
        kernels_for(panels).pack(
            min(nr, plan.filters - panel * nr), plan.terms, weight + panel * nr * plan.terms, plan.terms, 1, nr,
            panels + panel * nr * plan.terms,
        )


cdef void windows_task(const Plan *plan, Py_ssize_t task, real *scratch) noexcept nogil:
    """A block of terms of all windows of an image."""
    cdef Py_ssize_t image = task // plan.blocks, term = task % plan.blocks * plan.depth, pixel = 0
    cdef const real *x = <const real *>plan.x + image * plan.geometry.channels * plan.geometry.h * plan.geometry.w
    cdef real *cols = <real *>plan.cols + term * plan.windows + image * plan.pixels
    while pixel < plan.pixels:
        gather_windows(
            &plan.geometry, pixel, min(plan.pixels - pixel, <Py_ssize_t>CNNX_ACROSS), term,
            min(plan.depth, plan.terms - term), x, cols + pixel, plan.windows,
        )
        pixel += CNNX_ACROSS


cdef void filters_task(const Plan *plan, Py_ssize_t panel, real *sums) noexcept nogil:
    """y of all windows for a panel of filters. sums: (windows, nr)."""
    cdef Py_ssize_t block
    for block in range(plan.blocks):
        multiply(plan, panel, block, sums)
    write_sums(plan, panel * kernels_for(sums).nr, sums)


cdef void multiply(const Plan *plan, Py_ssize_t panel, Py_ssize_t block, real *sums) noexcept nogil:
    """Add a block of terms to the sums of a panel of filters; the first block stores."""
    cdef Py_ssize_t mr = kernels_for(sums).mr, nr = kernels_for(sums).nr, term = block * plan.depth, part, row
    cdef Py_ssize_t parts = ceil_div(plan.windows, mr), filter = panel * nr
    cdef const real *cols = <const real *>plan.cols + term * plan.windows
    cdef const real *weight = <const real *>plan.weight + (panel * plan.terms + term) * nr
    cdef const real *bias = <const real *>plan.bias
    cdef const real *start = NULL
    cdef cnnx_tile tile = cnnx_tile(
        0, min(nr, plan.filters - filter), min(plan.depth, plan.terms - term), 1, 0, nr, nr if block else 0, 1, nr
    )
    for part in range(parts):       # of nearly the same size
        row = plan.windows * part // parts
        tile.rows = plan.windows * (part + 1) // parts - row
        if block:
            start = sums + row * nr
        elif bias != NULL:
            start = bias + filter
        kernels_for(sums).product_from(&tile, cols + row, plan.offsets, weight, start, sums + row * nr)


cdef void write_sums(
    const Plan *plan,
    Py_ssize_t filter,          # the first of the panel
    const real *sums,           # IN   (windows, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(sums).nr, filters = min(nr, plan.filters - filter), image, at
    cdef const real *add = <const real *>plan.add
    cdef real *y = <real *>plan.y
    for image in range(plan.geometry.n):
        at = (image * plan.filters + filter) * plan.pixels
        kernels_for(sums).transpose(plan.pixels, filters, sums + image * plan.pixels * nr, nr, y + at, plan.pixels)
        finish_rows(1, 0, filters * plan.pixels, add + at if add != NULL else NULL, plan.activation, y + at)
