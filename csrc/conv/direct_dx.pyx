"""Backward-data of a convolution, straight from dy; so a transposed convolution too.

# Design:
# With stride 1, dx is a convolution of dy by the weights rotated by 180 degrees: the loops of direct.pyx.
# With a stride, the pixels of dx fall into sh * sw classes by their row and column modulo the stride. Each class meets
# some of the kernel's taps only, and is a convolution of stride 1 over dy: pixel (i*sh + p, j*sw + q) of class (p, q)
# has tap (u, v) from dy at row i + (p + top - u*dh) / sh and column j + (q + left - v*dw) / sw, where these are whole.
# Along a row, with sw = 2, left = 1 and kw = 3:
#
#     column of dx            0           1           2           3
#     class                   q = 0       q = 1       q = 0       q = 1
#     its terms               v=1 dy[0]   v=0 dy[1]   v=1 dy[1]   v=0 dy[2]
#                                         v=2 dy[0]               v=2 dy[1]
#
# All classes of a band of rows read one block of dy, which is staged once (staging.pyx), and where rows are short
# (`copied`), one copy of a tile's windows, those of all taps. Their sums are (class, filter, row, column) in scratch
# memory that stays in the cache; rows of dx are then made of them, every sw-th pixel from one class.
# A task is a band of rows of as many channels of dx as keep these sums small.
# What is summed over, dy's channels, is `channels` here, and what is written, dx's, is `filters`.
"""

import numpy as np

from arrays cimport data_of
from costs cimport GEMM_NANOSECONDS
from kernels cimport NO_ACTIVATION, Ending, kernels_for, real
from tile cimport Tile, tile_of
from ..jobs cimport Job
from ..parallel cimport FEW_AT_A_TIME, Task, Team, ceil_div, run_team
from .direct cimport COPIED, IN_PLACE, Direct, Plan, Product, multiply_tile
from .geometry cimport ARG_BIAS, ARG_DX, ARG_DY, ARG_WEIGHT, BACKWARD_DATA, Convolution, Geometry
from .geometry cimport Lattice, backward_lattice, tap_cols, tap_rows
from .staging cimport STAGED_ELEMENTS, Band, Taps, make_band, make_taps, stage, tap_offsets

cdef enum:
    CLASS_ELEMENTS = STAGED_ELEMENTS    # of the sums of all classes: as much as what is staged


cdef Job prepare_direct_dx(const Geometry *geometry, bint single, Ending activation):
    return prepare(geometry, "direct", False, single)


cdef Job prepare_implicit_gemm_dx(const Geometry *geometry, bint single, Ending activation):
    return prepare(geometry, "implicit_gemm", True, single)


cdef Job prepare(const Geometry *geometry, str name, bint copied, bint single):
    cdef DirectDx whole
    cdef StridedDx strided
    if geometry.sh == 1 and geometry.sw == 1:
        whole = DirectDx.__new__(DirectDx)
        whole.set_up(geometry, BACKWARD_DATA, name, single, NO_ACTIVATION)
        whole.make_dx_plan(geometry, copied)
        return whole
    strided = StridedDx.__new__(StridedDx)
    strided.set_up(geometry, BACKWARD_DATA, name, single, NO_ACTIVATION)
    strided.make_plan(geometry, copied)
    return strided


cdef void pack_transposed(
    const Geometry *geometry,
    const Py_ssize_t *cells,    # positions in the kernel
    Py_ssize_t count,           # of cells
    Py_ssize_t run,             # cells of a filter that follow each other; divides count
    const real *weight,         # IN   (groups, filters, channels, cell), the layer's
    real *packed,               # OUT  (groups, panels, (run, filter, cell), mr): channels are rows
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(weight).mr, kernel = geometry.kh * geometry.kw, group, panel, part, f, t, i, rows
    cdef const real *source
    for group in range(geometry.groups):
        for panel in range(ceil_div(geometry.channels, mr)):
            rows = min(mr, geometry.channels - panel * mr)
            for part in range(count // run):
                for f in range(geometry.filters):
                    source = weight + (f * geometry.channels + panel * mr) * kernel
                    for t in range(part * run, (part + 1) * run):
                        for i in range(rows):
                            packed[i] = source[i * kernel + cells[t]]
                        for i in range(rows, mr):
                            packed[i] = 0
                        packed += mr
        weight += geometry.filters * geometry.channels * kernel


cdef class DirectDx(Direct):
    """With stride 1."""
    cdef object cells           # of the rotated kernel
    cdef const Py_ssize_t *cell

    cdef int make_dx_plan(self, const Geometry *geometry, bint copied) except -1:
        cdef Plan *plan = &self.plan
        rows, cols = tap_rows(geometry), tap_cols(geometry)
        cdef Taps taps = make_taps(
            (geometry.oh, geometry.ow), (1, 1), (geometry.top - max(rows), geometry.left - max(cols)), rows, cols
        )
        plan.images, plan.groups, plan.oh, plan.ow = geometry.n, geometry.groups, geometry.h, geometry.w
        plan.channels, plan.filters = geometry.filters, geometry.channels
        self.cells = np.arange(taps.count, dtype=np.intp)[::-1].copy()
        self.cell = <const Py_ssize_t *>data_of(self.cells)
        return self.make_plan(&taps, rows, cols, COPIED if copied else IN_PLACE, not copied)

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        cdef Py_ssize_t count = self.plan.taps.count, run = self.geometry.kw if self.plan.row_terms else count
        if self.single:
            pack_transposed(&self.geometry, self.cell, count, run, <const float *>weight, <float *>packed)
        else:
            pack_transposed(&self.geometry, self.cell, count, run, <const double *>weight, <double *>packed)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        self.convolve(arrays, NULL, arrays[ARG_DX], team)


cdef struct PixelClass:
    Py_ssize_t taps             # of the kernel that reach its pixels
    const Py_ssize_t *cells     # and which: positions in the kernel
    const Py_ssize_t *offsets   # (channels, taps) of a window's elements in the staged block, or in the copied windows
    Py_ssize_t weights          # where its packed weights begin


cdef struct StridedPlan:
    Taps taps                   # of dy, those of all classes
    Band band
    bint copied
    const Py_ssize_t *offsets   # of all taps in the staged block
    Py_ssize_t images, groups, channels, filters
    Py_ssize_t h, w, sh, sw     # of dx; a stride beyond its end counts as far as that
    Py_ssize_t oh, ow           # pixels of a class; some of the last ones may lie outside of dx
    Py_ssize_t block, blocks    # filters of a task; tasks of a band
    Py_ssize_t classes
    const PixelClass *of_class  # (sh, sw)
    Py_ssize_t windows, sums    # where the copied windows and the sums begin in a thread's scratch


cdef struct StridedCall:
    const StridedPlan *plan
    const void *dy
    const void *weights
    const void *bias
    void *dx


cdef class StridedDx(Convolution):
    cdef StridedPlan plan
    cdef object tables          # arrays that the plan points to

    cdef int make_plan(self, const Geometry *geometry, bint copied) except -1:
        cdef StridedPlan *plan = &self.plan
        cdef Tile tile = tile_of(self.single)
        cdef Py_ssize_t mr = tile.mr, nr = tile.nr, size
        rows = taps_of_classes(geometry.h, geometry.kh, geometry.sh, geometry.top, geometry.dh)
        cols = taps_of_classes(geometry.w, geometry.kw, geometry.sw, geometry.left, geometry.dw)
        from_rows = sorted({row for _, places in rows for row in places}) or [0]   # none: all in the padding
        from_cols = sorted({col for _, places in cols for col in places}) or [0]
        first = from_rows[0], from_cols[0]
        of_rows, of_cols = [row - first[0] for row in from_rows], [col - first[1] for col in from_cols]
        plan.taps = make_taps((geometry.oh, geometry.ow), (1, 1), first, of_rows, of_cols)
        plan.copied, plan.images, plan.groups = copied, geometry.n, geometry.groups
        plan.channels, plan.filters = geometry.filters, geometry.channels
        plan.h, plan.w, plan.sh, plan.sw = geometry.h, geometry.w, len(rows), len(cols)
        plan.oh, plan.ow = ceil_div(plan.h, plan.sh), ceil_div(plan.w, plan.sw)
        plan.classes = plan.sh * plan.sw
        plan.band = make_band(&plan.taps, plan.oh, plan.ow, nr, plan.channels)
        size = plan.classes * plan.band.rows * plan.ow
        plan.block = min(ceil_div(plan.filters, mr), max(<Py_ssize_t>1, CLASS_ELEMENTS // (size * mr))) * mr
        plan.blocks = ceil_div(plan.filters, plan.block)
        offsets = tap_offsets(&plan.taps, &plan.band, of_rows, of_cols)
        plan.offsets = <const Py_ssize_t *>data_of(offsets)
        self.tables = [offsets]
        self.make_classes(rows, cols, from_rows, from_cols, offsets)
        plan.windows = plan.band.channels * plan.band.plane + nr
        plan.sums = plan.windows + (plan.band.channels * plan.taps.count + 1) * nr * copied
        self.scratch = (plan.sums + size * plan.block) * tile.element
        self.packed = plan.groups * ceil_div(plan.filters, mr) * mr * plan.channels * (
            geometry.kh * geometry.kw * tile.element
        )
        self.cost = GEMM_NANOSECONDS * plan.images * plan.groups * plan.channels * plan.filters * (
            geometry.kh * geometry.kw * plan.oh * plan.ow
        )
        return 0

    cdef int make_classes(self, list rows, list cols, list from_rows, list from_cols, offsets) except -1:
        """The taps of every class, in the kernel and in what is read: staged rows at `offsets`, or their copy."""
        cdef Tile tile = tile_of(self.single)
        cdef Py_ssize_t panels = self.plan.groups * ceil_div(self.plan.filters, tile.mr), begin = 0, number = 0
        cdef PixelClass *of_class
        classes = np.zeros(self.plan.classes * sizeof(PixelClass), np.uint8)
        of_class = <PixelClass *>data_of(classes)
        self.plan.of_class = of_class
        self.tables.append(classes)
        if self.plan.copied:
            offsets = np.arange(offsets.size).reshape(offsets.shape) * tile.nr
        for row_taps, dy_rows in rows:
            for col_taps, dy_cols in cols:
                cells = np.array([u * self.geometry.kw + v for u in row_taps for v in col_taps], np.intp)
                in_rows = [from_rows.index(row) for row in dy_rows]
                in_cols = [from_cols.index(col) for col in dy_cols]
                of_taps = np.ascontiguousarray(offsets[:, in_rows][:, :, in_cols], np.intp)
                of_class[number] = PixelClass(
                    len(cells), <const Py_ssize_t *>data_of(cells), <const Py_ssize_t *>data_of(of_taps), begin
                )
                self.tables += [cells, of_taps]
                begin += panels * tile.mr * self.plan.channels * len(cells)
                number += 1
        return 0

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        cdef Py_ssize_t number
        cdef const PixelClass *of_class
        for number in range(self.plan.classes):
            of_class = self.plan.of_class + number
            if of_class.taps == 0:
                continue
            if self.single:
                pack_transposed(
                    &self.geometry, of_class.cells, of_class.taps, of_class.taps, <const float *>weight,
                    <float *>packed + of_class.weights,
                )
            else:
                pack_transposed(
                    &self.geometry, of_class.cells, of_class.taps, of_class.taps, <const double *>weight,
                    <double *>packed + of_class.weights,
                )

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef const StridedPlan *plan = &self.plan
        cdef StridedCall call = StridedCall(plan, arrays[ARG_DY], arrays[ARG_WEIGHT], arrays[ARG_BIAS], arrays[ARG_DX])
        run_team(
            team, <Task>strided_task[float] if self.single else <Task>strided_task[double], &call,
            plan.images * plan.groups * plan.band.count * plan.blocks, FEW_AT_A_TIME,
        )


cdef list taps_of_classes(
    Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t padding, Py_ssize_t dilation
):
    """Along one axis, for the pixels 0, 1, ... stride - 1 and those a stride apart from them: the taps that reach them,
    and which dy these are for the first."""
    cdef Lattice of
    cdef Py_ssize_t p, t
    classes = []
    for p in range(min(stride, size)):
        of = backward_lattice(p, size, kernel, stride, padding, dilation)
        last_first = range(of.taps)[::-1]
        classes.append((
            [of.cell + t * of.cell_stride for t in last_first], [of.source + t * of.tap_stride for t in last_first]
        ))
    return classes


cdef struct Part:               # of a task: one block of channels
    Py_ssize_t group
    Py_ssize_t filter, filters  # the first; how many
    Py_ssize_t channel, channels
    Py_ssize_t rows             # of the band
    const void *bias            # of the first filter, or NULL


cdef void strided_task(const StridedCall *call, Py_ssize_t task, real *staged) noexcept nogil:
    """A band of rows of all classes, for some filters of one image and group."""
    cdef const StridedPlan *plan = call.plan
    cdef Py_ssize_t image_group = task // plan.blocks // plan.band.count
    cdef Py_ssize_t row = task // plan.blocks % plan.band.count * plan.band.rows, block
    cdef const real *dy = <const real *>call.dy + image_group * plan.channels * plan.taps.h * plan.taps.w
    cdef const real *bias = <const real *>call.bias
    cdef real *dx = <real *>call.dx
    cdef Part part
    part.group, part.rows = image_group % plan.groups, min(plan.band.rows, plan.oh - row)
    part.filter = task % plan.blocks * plan.block
    part.filters = min(plan.block, plan.filters - part.filter)
    part.bias = bias + part.group * plan.filters + part.filter if bias != NULL else NULL
    for block in range(ceil_div(plan.channels, plan.band.channels)):
        part.channel = block * plan.band.channels
        part.channels = min(plan.band.channels, plan.channels - part.channel)
        stage(&plan.taps, &plan.band, part.channels, row, dy + part.channel * plan.taps.h * plan.taps.w, staged)
        if plan.copied:
            multiply_copies(call, &part, staged)
        else:
            multiply_in_place(call, &part, staged)
    interleave_classes(
        plan, &part, row, <const real *>staged + plan.sums,
        dx + (image_group * plan.filters + part.filter) * plan.h * plan.w,
    )


cdef void multiply_in_place(const StridedCall *call, const Part *part, real *staged) noexcept nogil:
    """Of one class after the other, the tiles of the band, read where they are staged."""
    cdef const Band *band = &call.plan.band
    cdef Py_ssize_t mr = kernels_for(staged).mr, ow = call.plan.ow, number, panel, row, tile
    cdef Product product
    for number in range(call.plan.classes):
        product = class_product(call, part, number, staged + call.plan.sums)
        for panel in range(ceil_div(part.filters, mr)):
            for row in range(part.rows):
                for tile in range(band.tiles):
                    multiply_tile(
                        &product, panel, row * ow + tile * band.tile, min(band.tile, ow - tile * band.tile),
                        <const real *>staged + row * band.pitch + tile * band.tile,
                    )


cdef void multiply_copies(const StridedCall *call, const Part *part, real *staged) noexcept nogil:
    """Of one tile after the other, all classes: its windows are copied once."""
    cdef const StridedPlan *plan = call.plan
    cdef Py_ssize_t mr = kernels_for(staged).mr, nr = kernels_for(staged).nr, pixels = part.rows * plan.ow
    cdef Py_ssize_t tile, number, panel
    cdef real *windows = staged + plan.windows
    cdef Product product
    for tile in range(ceil_div(pixels, nr)):
        kernels_for(staged).pack_windows(
            part.channels * plan.taps.count, plan.offsets, plan.ow, plan.band.pitch, tile * nr,
            min(nr, pixels - tile * nr), staged, windows,
        )
        for number in range(plan.classes):
            product = class_product(call, part, number, staged + plan.sums)
            for panel in range(ceil_div(part.filters, mr)):
                multiply_tile(
                    &product, panel, tile * nr, min(nr, pixels - tile * nr), <const real *>windows
                )


cdef Product class_product(
    const StridedCall *call,
    const Part *part,
    Py_ssize_t number,
    real *sums,                 # of all classes
) noexcept nogil:
    """The weights, terms and sums of one class."""
    cdef const StridedPlan *plan = call.plan
    cdef const PixelClass *of_class = plan.of_class + number
    cdef Py_ssize_t mr = kernels_for(sums).mr, terms = plan.channels * of_class.taps
    cdef const real *weights = <const real *>call.weights + of_class.weights
    cdef Product product
    weights += (part.group * ceil_div(plan.filters, mr) * mr + part.filter) * terms
    product.filters, product.terms = part.filters, part.channels * of_class.taps
    product.weights, product.panel = weights + part.channel * of_class.taps * mr, mr * terms
    product.offsets, product.bias, product.more = of_class.offsets, part.bias, part.channel > 0
    product.plane = part.rows * plan.ow
    product.sums = sums + number * part.filters * product.plane
    return product


cdef void interleave_classes(
    const StridedPlan *plan,
    const Part *part,
    Py_ssize_t first,           # row of a class
    const real *sums,           # IN   (class, filters, rows, ow)
    real *dx,                   # OUT  (filters, h, w), those of the rows that lie in it
) noexcept nogil:
    cdef Py_ssize_t plane = part.rows * plan.ow, filter, i, p
    for filter in range(part.filters):
        for i in range(part.rows):
            for p in range(min(plan.sh, plan.h - (first + i) * plan.sh)):
                kernels_for(dx).interleave(
                    plan.w, plan.sw, sums + (p * plan.sw * part.filters + filter) * plane + i * plan.ow,
                    part.filters * plane, dx + (filter * plan.h + (first + i) * plan.sh + p) * plan.w,
                )
