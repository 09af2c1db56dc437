"""Depthwise convolution of 3x3 taps, plane by plane: forward at strides 1 and 2, and backward-data at stride 1.

# Design:
# A plane that has a kernel of its own is a stream of rows, with little arithmetic: to transpose it into lanes
# (grouped.pyx) takes longer, where rows are long enough to fill vectors. So a band of it is staged with its borders, in
# the first-level cache, and each row is convolved by whole vectors (micro/planes.inc.c), with the bias and the
# activation. The planes of a task have their borders in the same place: the zeros are written once. At a stride of 2
# the even and the odd columns of a row are staged apart (as in staging.pyx): the pixels of a tap are then neighbours.
# A task is a band of the planes of some channels of one image. Where rows are not whole vectors, what a plane's last
# vector writes beyond it belongs to the next plane, which follows; the last ones of a task are written by a copy.
# Backward-data is the convolution of dy with the kernel turned by half a turn.
"""

from libc.string cimport memset

from costs cimport GEMM_NANOSECONDS, MEMORY_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, cnnx_plane_windows, kernels_for, real
from tile cimport Tile, tile_of

from ..epilogue cimport finish_rows
from ..jobs cimport Job
from ..parallel cimport ON_DEMAND, Task, Team, ceil_div, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DX, ARG_DY, ARG_WEIGHT, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, FORWARD, Convolution, Direction, Geometry

cdef enum:
    TAPS = 9
    BAND_PIXELS = 2048          # of a band, more or less: 8 kB of floats
    TASK_PIXELS = 8192          # of the bands of a task, more or less: work for some microseconds


cdef struct Plan:
    Py_ssize_t n, channels
    Py_ssize_t h, w             # of x; backward-data: of dy
    Py_ssize_t oh, ow           # of y; of dx
    Py_ssize_t top, left        # zeros before the first row and column of x; negative: rows that nobody reads
    Py_ssize_t stride, columns  # of rows and of columns: 1 or 2
    Py_ssize_t phase            # elements of the even columns of a staged row
    cnnx_plane_windows windows  # of a band
    Py_ssize_t bands, band_rows         # bands of a plane, and rows of one
    Py_ssize_t share, shares    # channels of a task, tasks of a band
    Py_ssize_t pitch            # elements of a staged row
    Py_ssize_t staged           # of a staged band, and a vector, which the last may reach beyond it
    Py_ssize_t lanes            # of a vector
    bint rotated                # the kernel
    Ending activation
    # Addresses, set in a copy for each call:
    const void *x
    const void *weight          # (channels, 3, 3)
    const void *bias            # or NULL
    const void *add             # as y, or NULL
    void *y


cdef class Depthwise(Convolution):
    cdef Plan plan

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Plan plan = self.plan
        cdef Task task = <Task>band_task[float] if self.single else <Task>band_task[double]
        plan.weight, plan.bias = arrays[ARG_WEIGHT], arrays[ARG_BIAS]
        if plan.rotated:
            plan.x, plan.add, plan.y = arrays[ARG_DY], NULL, arrays[ARG_DX]
        else:
            plan.x, plan.add, plan.y = arrays[ARG_X], arrays[ARG_ADD], arrays[ARG_Y]
        run_team(team, task, &plan, plan.n * plan.shares * plan.bands, ON_DEMAND)


cdef Job prepare_depthwise(const Geometry *geometry, bint single, Ending activation):
    cdef Depthwise job = Depthwise.__new__(Depthwise)
    cdef Plan *plan = &job.plan
    plan.h, plan.w, plan.oh, plan.ow = geometry.h, geometry.w, geometry.oh, geometry.ow
    plan.top, plan.left, plan.stride, plan.columns = geometry.top, geometry.left, geometry.sh, geometry.sw
    return finished(job, geometry, FORWARD, single, activation)


cdef Job prepare_depthwise_dx(const Geometry *geometry, bint single, Ending activation):
    cdef Depthwise job = Depthwise.__new__(Depthwise)
    cdef Plan *plan = &job.plan
    plan.h, plan.w, plan.oh, plan.ow = geometry.oh, geometry.ow, geometry.h, geometry.w
    plan.top, plan.left, plan.stride, plan.columns = 2 - geometry.top, 2 - geometry.left, 1, 1
    plan.rotated = True
    return finished(job, geometry, BACKWARD_DATA, single, activation)


cdef Job finished(Depthwise job, const Geometry *geometry, Direction direction, bint single, Ending activation):
    """All but what the directions differ in."""
    cdef Plan *plan = &job.plan
    cdef Tile tile = tile_of(single)
    job.set_up(geometry, direction, "depthwise_by_planes", single, activation)
    plan.n, plan.channels, plan.lanes, plan.activation = geometry.n, geometry.groups, tile.lanes, activation
    plan.band_rows = min(plan.oh, ceil_div(BAND_PIXELS, plan.ow))
    plan.bands = ceil_div(plan.oh, plan.band_rows)
    plan.share = min(plan.channels, ceil_div(TASK_PIXELS, plan.band_rows * plan.ow))
    plan.shares = ceil_div(plan.channels, plan.share)
    if plan.columns == 1:
        plan.phase = plan.pitch = plan.ow + 2
        plan.windows.tap[0], plan.windows.tap[1], plan.windows.tap[2] = 0, 1, 2
    else:
        plan.phase = plan.ow + 1
        plan.pitch = 2 * plan.phase
        plan.windows.tap[0], plan.windows.tap[1], plan.windows.tap[2] = 0, plan.phase, 1
    plan.windows.cols, plan.windows.step, plan.windows.x_row = plan.ow, plan.stride * plan.pitch, plan.pitch
    plan.staged = ((plan.band_rows - 1) * plan.stride + 3) * plan.pitch + tile.lanes
    job.cost = plan.n * plan.channels * (
        MEMORY_NANOSECONDS * plan.h * plan.w + GEMM_NANOSECONDS * TAPS * plan.oh * plan.ow
    )
    job.scratch = (plan.staged + TAPS + plan.band_rows * plan.ow + tile.lanes) * tile.element
    return job


cdef void band_task(const Plan *plan, Py_ssize_t task, real *staged) noexcept nogil:
    """A band of the planes of some channels of one image. staged: scratch for a band, a kernel, and a band of y."""
    cdef Py_ssize_t band = task % plan.bands, share = task // plan.bands % plan.shares, row = band * plan.band_rows
    cdef Py_ssize_t image = task // plan.bands // plan.shares * plan.channels, channel, tap, at, after
    cdef Py_ssize_t end = min(plan.channels, (share + 1) * plan.share), size = plan.oh * plan.ow
    cdef Py_ssize_t pitch = plan.pitch, band_rows = min(plan.band_rows, plan.oh - row)
    # Staged row i is row first + i of x: from low to high it lies inside; so do columns, from left to right.
    cdef Py_ssize_t first = row * plan.stride - plan.top, rows = (plan.band_rows - 1) * plan.stride + 3
    cdef Py_ssize_t low = min(rows, max(<Py_ssize_t>0, -first)), high = max(low, min(rows, plan.h - first))
    cdef Py_ssize_t left = min(pitch, max(<Py_ssize_t>0, plan.left)), right = min(pitch, plan.w + plan.left)
    cdef Py_ssize_t source = (first + low) * plan.w + left - plan.left
    cdef Ending activation = plan.activation if plan.add == NULL else NO_ACTIVATION
    cdef const real *bias = <const real *>plan.bias
    cdef const real *add = <const real *>plan.add
    cdef const real *weight
    cdef const real *x
    cdef real *kernel = staged + plan.staged
    cdef real *copy = kernel + TAPS
    cdef real *y
    cdef cnnx_plane_windows windows = plan.windows
    windows.rows = band_rows
    memset(staged, 0, plan.staged * sizeof(real))
    for channel in range(share * plan.share, end):
        at = (image + channel) * size + row * plan.ow
        after = (end - 1 - channel) * size if plan.bands == 1 else 0
        y = <real *>plan.y + at if plan.ow % plan.lanes == 0 or after >= plan.lanes else copy
        weight = <const real *>plan.weight + channel * TAPS
        if plan.rotated:
            for tap in range(TAPS):
                kernel[tap] = weight[TAPS - 1 - tap]
            weight = kernel
        x = <const real *>plan.x + (image + channel) * plan.h * plan.w + source
        if right > left and plan.columns == 1:
            kernels_for(y).copy_rows(high - low, right - left, x, plan.w, 0, staged + low * pitch + left, pitch, 0)
        elif right > left:
            kernels_for(y).split_rows(
                high - low, right - left, x, plan.w, staged + low * pitch + left % 2 * plan.phase + left // 2,
                staged + low * pitch + (left + 1) % 2 * plan.phase + (left + 1) // 2, pitch,
            )
        kernels_for(y).convolve_3x3(
            &windows, staged, weight, bias[channel] if bias != NULL else 0, activation, y
        )
        if y == copy:
            y = <real *>plan.y + at
            kernels_for(y).copy_rows(1, band_rows * plan.ow, copy, 0, 0, y, 0, 0)
        if add != NULL:
            finish_rows(1, 0, band_rows * plan.ow, add + at, plan.activation, y)
