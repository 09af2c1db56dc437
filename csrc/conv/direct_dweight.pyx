"""Backward-weight of a convolution: sums over pixels of dy times the windows of x, read where they are staged.

# Design:
# dweight ((channel, tap) x filters) = sum over images of windows ((channel, tap) x pixels) * dy (pixels x filters). An
# element of a window is one load at an offset in the staged rows of x (staging.pyx); dy is transposed, so that its
# filters are the lanes of a vector. The images are cut into a fixed number of groups, each with sums of its own, and
# these are added in order at the end: so nothing depends on the number of threads. A task is one group of images and a
# run of (channel, tap) rows. The runs may follow the threads, because a row's sum does not depend on its run; but each
# run transposes dy again.
"""

import numpy as np

from libc.string cimport memset

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport Ending, cnnx_dweight_tile, kernels_for, real
from tile cimport Tile, tile_of
from ..jobs cimport Job
from ..parallel cimport EVENLY, ON_DEMAND, Task, Team, ceil_div, run_team
from ..sums cimport row_sum
from .geometry cimport ARG_DBIAS, ARG_DWEIGHT, ARG_DY, ARG_WINDOWS, BACKWARD_WEIGHT, Convolution, Geometry
from .geometry cimport MOST_IMAGE_GROUPS, add_bias_sums, image_groups, tap_cols, tap_rows
from .staging cimport STAGED_ELEMENTS, Band, Taps, make_band, make_taps, stage, tap_offsets

cdef enum:
    TASKS_OF_A_THREAD = 4
    WRITTEN_ROWS = 64                   # of dweight's (channel, tap) rows, in a task


cdef struct Plan:
    Taps taps
    Band band
    const Py_ssize_t *offsets   # (panels * mr) of (channel, tap) in the staged channels; of the last panel, zeros too
    Py_ssize_t images, groups   # groups of the convolution
    Py_ssize_t channels, filters        # of one of them
    Py_ssize_t oh, ow
    Py_ssize_t rows             # (channel, tap)
    Py_ssize_t panels           # of mr rows
    Py_ssize_t width            # of a row of sums: filters, and zeros up to a whole panel
    Py_ssize_t sums             # elements of the sums of a group of images and one of the convolution
    Py_ssize_t image_groups
    size_t bias_sums            # where they begin in the shared memory
    Py_ssize_t runs             # at most


cdef struct Call:
    const Plan *plan
    Py_ssize_t runs
    const void *dy
    const void *x
    void *dweight
    void *sums                  # (image_groups, groups, panels * mr, width)
    double *bias_sums           # (image_groups, groups, filters)


cdef Job prepare_direct_dweight(const Geometry *geometry, bint single, Ending activation):
    cdef DirectDweight job = DirectDweight.__new__(DirectDweight)
    job.set_up(geometry, BACKWARD_WEIGHT, "direct", single, activation)
    job.make_plan(geometry)
    return job


cdef class DirectDweight(Convolution):
    cdef Plan plan
    cdef object offsets         # the table

    cdef int make_plan(self, const Geometry *geometry) except -1:
        cdef Plan *plan = &self.plan
        cdef Tile tile = tile_of(self.single)
        cdef Py_ssize_t mr = tile.mr, nr = tile.nr, all_sums
        rows, cols = tap_rows(geometry), tap_cols(geometry)
        plan.taps = make_taps(
            (geometry.h, geometry.w), (geometry.sh, geometry.sw), (-geometry.top, -geometry.left), rows, cols
        )
        plan.band = make_band(&plan.taps, geometry.oh, geometry.ow, nr, geometry.channels)
        plan.band.channels = geometry.channels
        plan.images, plan.groups, plan.oh, plan.ow = geometry.n, geometry.groups, geometry.oh, geometry.ow
        plan.channels, plan.filters = geometry.channels, geometry.filters
        plan.rows = plan.channels * plan.taps.count
        plan.panels, plan.width = ceil_div(plan.rows, mr), ceil_div(plan.filters, nr) * nr
        plan.sums = plan.panels * mr * plan.width
        all_sums = plan.groups * plan.sums
        plan.image_groups = image_groups(plan.images, all_sums)
        plan.runs = min(plan.panels, max(1, MOST_IMAGE_GROUPS // (plan.image_groups * plan.groups)))
        self.offsets = np.zeros(plan.panels * mr, np.intp)
        self.offsets[:plan.rows] = tap_offsets(&plan.taps, &plan.band, rows, cols).ravel()
        plan.offsets = <const Py_ssize_t *>data_of(self.offsets)
        plan.bias_sums = plan.image_groups * all_sums * tile.element
        self.scratch = (plan.band.rows * plan.ow * plan.width + plan.channels * plan.band.plane) * tile.element
        self.shared = plan.bias_sums + plan.image_groups * plan.groups * plan.filters * sizeof(double)
        self.cost = GEMM_NANOSECONDS * plan.images * plan.oh * plan.ow * all_sums
        return 0

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef const Plan *plan = &self.plan
        cdef Py_ssize_t units = plan.image_groups * plan.groups, filters = plan.groups * plan.filters
        cdef Call call = Call(
            plan, runs_for(plan, team.threads), arrays[ARG_DY], arrays[ARG_WINDOWS], arrays[ARG_DWEIGHT], shared,
            <double *>(shared + plan.bias_sums),
        )
        memset(shared, 0, self.shared)
        run_team(
            team, <Task>sums_task[float] if self.single else <Task>sums_task[double], &call, units * call.runs,
            ON_DEMAND,
        )
        run_team(
            team, <Task>write_task[float] if self.single else <Task>write_task[double], &call,
            plan.groups * ceil_div(plan.rows, WRITTEN_ROWS), EVENLY,
        )
        if self.single:
            add_bias_sums(plan.image_groups, filters, call.bias_sums, <float *>arrays[ARG_DBIAS])
        else:
            add_bias_sums(plan.image_groups, filters, call.bias_sums, <double *>arrays[ARG_DBIAS])


cdef Py_ssize_t runs_for(const Plan *plan, Py_ssize_t threads) noexcept nogil:
    """Into how many runs the rows are cut: enough for the threads, and for their channels to stay in the cache."""
    cdef Py_ssize_t tasks = TASKS_OF_A_THREAD * threads if threads > 1 else 1
    return min(plan.runs, max(
        ceil_div(tasks, plan.image_groups * plan.groups), ceil_div(plan.channels * plan.band.plane, STAGED_ELEMENTS)
    ))


cdef void sums_task(const Call *call, Py_ssize_t task, real *transposed) noexcept nogil:
    """A run of rows, of one group of the convolution, over one group of images. transposed: dy of a band, with filters
    side by side, and then the staged channels."""
    cdef const Plan *plan = call.plan
    cdef Py_ssize_t mr = kernels_for(transposed).mr, nr = kernels_for(transposed).nr, size = plan.oh * plan.ow
    cdef Py_ssize_t run = task % call.runs, unit = task // call.runs
    cdef Py_ssize_t group = unit % plan.groups, image_group = unit // plan.groups
    cdef Py_ssize_t first_panel = plan.panels * run // call.runs, last_panel = plan.panels * (run + 1) // call.runs
    cdef Py_ssize_t first_channel = first_panel * mr // plan.taps.count
    cdef Py_ssize_t last_channel = min(plan.channels, ceil_div(last_panel * mr, plan.taps.count))
    cdef Py_ssize_t image, strip, lines, panel, f
    cdef cnnx_dweight_tile tile = cnnx_dweight_tile(0, 0, plan.ow, plan.taps.sh * plan.band.pitch, plan.width)
    cdef double *bias_sums = call.bias_sums + unit * plan.filters
    cdef real *sums = <real *>call.sums + unit * plan.sums
    cdef real *staged = transposed + plan.band.rows * plan.ow * plan.width
    cdef const real *x
    cdef const real *dy
    for image in range(
        plan.images * image_group // plan.image_groups, plan.images * (image_group + 1) // plan.image_groups
    ):
        x = <const real *>call.x + (image * plan.groups + group) * plan.channels * plan.taps.h * plan.taps.w
        x += first_channel * plan.taps.h * plan.taps.w
        for strip in range(plan.band.count):
            dy = <const real *>call.dy + (image * plan.groups + group) * plan.filters * size
            dy += strip * plan.band.rows * plan.ow
            tile.lines = lines = min(plan.band.rows, plan.oh - strip * plan.band.rows)
            stage(
                &plan.taps, &plan.band, last_channel - first_channel, strip * plan.band.rows, x,
                staged + first_channel * plan.band.plane,
            )
            for f in range(plan.filters if run == 0 else 0):
                bias_sums[f] += row_sum(lines * plan.ow, dy + f * size)
            for f in range(plan.width // nr):
                transpose(min(nr, plan.filters - f * nr), lines * plan.ow, dy + f * nr * size, size, transposed)
                tile.filters = min(nr, plan.filters - f * nr)
                for panel in range(first_panel, last_panel):
                    kernels_for(transposed).direct_dweight(
                        &tile, staged, plan.offsets + panel * mr, transposed, sums + panel * mr * plan.width + f * nr
                    )


cdef inline void transpose(
    Py_ssize_t filters,         # at most nr
    Py_ssize_t pixels,
    const real *dy,
    Py_ssize_t plane,           # elements from one filter's to the next
    real *transposed,           # OUT  (pixels, nr), or (pixels, lanes) if all filters fit into a vector
) noexcept nogil:
    if filters <= kernels_for(dy).lanes:
        kernels_for(dy).to_lanes(filters, pixels, dy, plane, pixels, 0, 0, transposed)
    else:
        kernels_for(dy).pack(filters, pixels, dy, plane, 1, kernels_for(dy).nr, transposed)


cdef void write_task(const Call *call, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of dweight, of one group of the convolution: those of all groups of images, added in order."""
    cdef const Plan *plan = call.plan
    cdef Py_ssize_t tasks = ceil_div(plan.rows, WRITTEN_ROWS), group = task // tasks, i
    cdef Py_ssize_t first = task % tasks * WRITTEN_ROWS, rows = min(<Py_ssize_t>WRITTEN_ROWS, plan.rows - first)
    cdef real *sums = <real *>call.sums + group * plan.sums + first * plan.width
    cdef real *dweight = <real *>call.dweight + group * plan.filters * plan.rows + first
    for i in range(1, plan.image_groups):
        kernels_for(sums).add(rows * plan.width, sums + i * plan.groups * plan.sums, sums)
    kernels_for(sums).transpose(rows, plan.filters, sums, plan.width, dweight, plan.rows)
