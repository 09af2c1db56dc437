"""Images of another size.

# Design:
# A task is a band of rows of one plane of the result: what lies in it depends on nothing else. Which row and column
# each one reads is computed once, in double (nearest: in float, as PyTorch does). Pixels are gathered along a row of x,
# once for each row; rows of the result are blends of whole rows, in vectors. Backward goes the other way round: whole
# rows of dy are added up for a row of dx, and then shared out along it. There each pixel collects from all that read
# it, which are neighbours: no sum is added to twice, and none depends on threads.
"""

import numpy as np

from .jobs import Array

cimport cython
from libc.string cimport memcpy, memset

from arrays cimport data_of, is_single, shape_of, size_of
from costs cimport BLEND_NANOSECONDS, MEMORY_NANOSECONDS
from kernels cimport kernels_for, real
from .jobs cimport Job
from .memory cimport Block, empty, take
from .parallel cimport EVENLY, Task, Team, ceil_div, run_tasks, run_team

cdef enum:
    BAND_PIXELS = 16384             # of the result

cdef extern from *:
    """
    /* Rounded, as the reference's: for a CPU with FMA (64-bit ARM), compilers fuse it with the next subtraction. */
    static double cnnx_product(double a, double b) {
        volatile double product = a * b;
        return product;
    }
    """
    double product "cnnx_product"(double a, double b) noexcept nogil

# x is (planes, h, w) and y (planes, oh, ow), dx as x and dy as y. Row i of y reads row p = row_pixels[i] of x, and
# bilinear p + 1, with weights row_shares[2*i] and row_shares[2*i + 1]. Those that read p are the rows row_begins[p] to
# row_begins[p + 1] - 1. The same holds for columns.
cdef struct Resampling:
    Py_ssize_t h, w, oh, ow
    Py_ssize_t bands                # of a plane of the result
    Py_ssize_t most                 # rows of a band
    Py_ssize_t *row_pixels          # (oh,)
    Py_ssize_t *column_pixels       # (ow,)
    Py_ssize_t *row_begins          # (h + 1,)
    Py_ssize_t *column_begins       # (w + 1,)
    void *row_shares                # (oh, 2); bilinear only
    void *column_shares             # (ow, 2)
    const void *source              # IN   x, or dy
    void *result                    # OUT  y, or dx
    Task task
    Py_ssize_t tasks
    double cost                     # nanoseconds
    size_t scratch                  # bytes of a thread


def interpolate(x, size, steps, mode, align_corners):
    cdef bint bilinear = mode != "nearest"
    y = empty((x.shape[0], x.shape[1], *size), x)
    if size_of(y):
        resample(x, y, False, steps, bilinear, align_corners)
    return y


def interpolate_backward(dy, x_shape, steps, mode, align_corners):
    cdef bint bilinear = mode != "nearest"
    dx = empty(tuple(x_shape), dy)
    if size_of(dx):
        resample(dx, dy, True, steps, bilinear, align_corners)
    return dx


cdef int resample(x, y, bint backward, steps, bint bilinear, bint align_corners) except -1:
    """From x to y, or, backward, from dy to dx."""
    cdef Resampling job
    cdef Block tables = set_up(
        &job, shape_of(x)[0] * shape_of(x)[1], shape_of(x)[2], shape_of(x)[3], shape_of(y)[2], shape_of(y)[3],
        is_single(x), backward, steps, bilinear, align_corners,
    )
    job.source, job.result = data_of(y if backward else x), data_of(x if backward else y)
    return run_tasks(job.task, &job, job.tasks, EVENLY, job.cost, job.scratch)


# Eleven parameters: the shapes and settings of the op.
cdef Block set_up(
    Resampling *job, Py_ssize_t planes, Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, bint single,
    bint backward, steps, bint bilinear, bint align_corners,
):
    """All but the arrays; the tables are in the result."""
    cdef size_t item = sizeof(float) if single else sizeof(double)
    cdef double down = steps[0], across = steps[1]      # rows and columns of x for one of y
    cdef Block tables
    job.h, job.w, job.oh, job.ow = h, w, oh, ow
    job.most = max(<Py_ssize_t>1, BAND_PIXELS // (w if backward else ow))
    job.bands = ceil_div(h if backward else oh, job.most)
    job.task, job.tasks, job.scratch = task_of(single, backward, bilinear), planes * job.bands, 2 * ow * item
    job.cost = BLEND_NANOSECONDS if bilinear else MEMORY_NANOSECONDS
    job.cost *= planes * (oh * ow + (h * w if backward else 0))
    tables = place_tables(job, item)
    if not bilinear:
        nearest_pixels(h, oh, down, job.row_pixels)
        nearest_pixels(w, ow, across, job.column_pixels)
    elif single:
        linear_pixels(h, oh, down, align_corners, job.row_pixels, <float *>job.row_shares)
        linear_pixels(w, ow, across, align_corners, job.column_pixels, <float *>job.column_shares)
    else:
        linear_pixels(h, oh, down, align_corners, job.row_pixels, <double *>job.row_shares)
        linear_pixels(w, ow, across, align_corners, job.column_pixels, <double *>job.column_shares)
    if backward:
        begins_of(h, oh, job.row_pixels, job.row_begins)
        begins_of(w, ow, job.column_pixels, job.column_begins)
    return tables


cdef Task task_of(bint single, bint backward, bint bilinear) noexcept:
    if bilinear and backward:
        return <Task>bilinear_backward_task[float] if single else <Task>bilinear_backward_task[double]
    if bilinear:
        return <Task>bilinear_task[float] if single else <Task>bilinear_task[double]
    if backward:
        return <Task>nearest_backward_task[float] if single else <Task>nearest_backward_task[double]
    return <Task>nearest_task[float] if single else <Task>nearest_task[double]


# ----------------------------------------------------------------------------------- where each pixel is read


cdef Block place_tables(Resampling *job, size_t item):
    """Memory for the tables, item bytes a share. What is read in vectors, column_shares, comes first: aligned."""
    cdef Py_ssize_t indices = job.oh + job.ow + job.h + 1 + job.w + 1
    cdef Block block = take(2 * (job.ow + job.oh) * item + indices * sizeof(Py_ssize_t))
    job.column_shares = block.data
    job.row_shares = <char *>job.column_shares + 2 * job.ow * item
    job.row_pixels = <Py_ssize_t *>(<char *>job.row_shares + 2 * job.oh * item)
    job.column_pixels = job.row_pixels + job.oh
    job.row_begins = job.column_pixels + job.ow
    job.column_begins = job.row_begins + job.h + 1
    return block


cdef void nearest_pixels(Py_ssize_t n, Py_ssize_t count, double step, Py_ssize_t *pixels) noexcept nogil:
    """As the reference."""
    cdef Py_ssize_t i
    for i in range(count):
        if count == n:
            pixels[i] = i
        elif count == 2 * n:
            pixels[i] = i // 2
        else:
            pixels[i] = min(n - 1, <Py_ssize_t>(<float>i * <float>step))


cdef void linear_pixels(
    Py_ssize_t n, Py_ssize_t count, double step, bint align_corners, Py_ssize_t *pixels, real *shares
) noexcept nogil:
    """As the reference."""
    cdef Py_ssize_t i
    cdef double place, share
    for i in range(count):
        place = product(i, step) if align_corners else max(0.0, product(i + 0.5, step) - 0.5)
        pixels[i] = min(n - 1, <Py_ssize_t>place)
        share = min(1.0, place - pixels[i])
        shares[2 * i] = <real>(1 - share)
        shares[2 * i + 1] = <real>share


cdef void begins_of(Py_ssize_t n, Py_ssize_t count, const Py_ssize_t *pixels, Py_ssize_t *begins) noexcept nogil:
    """Of the n pixels, from what each of `count` reads."""
    cdef Py_ssize_t i = 0, p
    for p in range(n):
        begins[p] = i
        while i < count and pixels[i] == p:
            i += 1
    begins[n] = count


# ------------------------------------------------------------------------------------------------------ nearest


cdef void nearest_task(const Resampling *job, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t plane = task // job.bands, first = task % job.bands * job.most, w = job.w, ow = job.ow, i, j
    cdef const real *x = <const real *>job.source + plane * job.h * w
    cdef real *y = <real *>job.result + (plane * job.oh + first) * ow
    cdef const real *row
    for i in range(first, min(job.oh, first + job.most)):
        row = x + job.row_pixels[i] * w
        if i > first and job.row_pixels[i] == job.row_pixels[i - 1]:
            memcpy(y, y - ow, ow * sizeof(real))
        elif ow == w:
            memcpy(y, row, ow * sizeof(real))
        elif ow == 2 * w:
            kernels_for(x).interleave(ow, 2, row, 0, y)
        else:
            for j in range(ow):
                y[j] = row[job.column_pixels[j]]
        y += ow


cdef void nearest_backward_task(const Resampling *job, Py_ssize_t task, real *sums) noexcept nogil:
    cdef Py_ssize_t plane = task // job.bands, first = task % job.bands * job.most, w = job.w, ow = job.ow
    cdef Py_ssize_t r, s, i, j, begin, end
    cdef const real *dy = <const real *>job.source + plane * job.oh * ow
    cdef real *dx = <real *>job.result + (plane * job.h + first) * w
    cdef const real *row
    for r in range(first, min(job.h, first + job.most)):
        begin, end = job.row_begins[r], job.row_begins[r + 1]
        row = dy + begin * ow
        if end > begin + 1:
            kernels_for(dx).plus(ow, row, row + ow, sums)
            for i in range(begin + 2, end):
                kernels_for(dx).add(ow, dy + i * ow, sums)
            row = sums
        if end == begin:
            memset(dx, 0, w * sizeof(real))
        elif ow == w:
            memcpy(dx, row, w * sizeof(real))
        elif ow == 2 * w:
            kernels_for(dx).add_pairs(w, row, dx)
        else:
            for s in range(w):
                dx[s] = 0
                for j in range(job.column_begins[s], job.column_begins[s + 1]):
                    dx[s] += row[j]
        dx += w


# ----------------------------------------------------------------------------------------------------- bilinear


cdef void bilinear_task(const Resampling *job, Py_ssize_t task, real *scratch) noexcept nogil:
    """Two rows of x, resampled along, are kept: nearly always the next row of y needs one of them again."""
    cdef Py_ssize_t plane = task // job.bands, first = task % job.bands * job.most, w = job.w, ow = job.ow
    cdef Py_ssize_t i, p, upper = -1, lower = -1
    cdef const real *x = <const real *>job.source + plane * job.h * w
    cdef const real *row_shares = <const real *>job.row_shares
    cdef const real *column_shares = <const real *>job.column_shares
    cdef real *y = <real *>job.result + plane * job.oh * ow
    cdef real *above = scratch
    cdef real *below = scratch + ow
    for i in range(first, min(job.oh, first + job.most)):
        p = job.row_pixels[i]
        if upper != p:
            if lower == p:
                above, below = below, above
                upper, lower = lower, upper
            else:
                upper = p
                kernels_for(y).read_between(ow, w, job.column_pixels, column_shares, x + p * w, above)
        if p + 1 < job.h and lower != p + 1:
            lower = p + 1
            kernels_for(y).read_between(ow, w, job.column_pixels, column_shares, x + lower * w, below)
        kernels_for(y).blend(
            ow, above, row_shares[2 * i], below if p + 1 < job.h else above, row_shares[2 * i + 1], y + i * ow
        )


cdef void bilinear_backward_task(const Resampling *job, Py_ssize_t task, real *sums) noexcept nogil:
    cdef Py_ssize_t plane = task // job.bands, first = task % job.bands * job.most, w = job.w, ow = job.ow, r, i
    cdef const real *dy = <const real *>job.source + plane * job.oh * ow
    cdef const real *row_shares = <const real *>job.row_shares
    cdef const real *column_shares = <const real *>job.column_shares
    cdef real *dx = <real *>job.result + plane * job.h * w
    for r in range(first, min(job.h, first + job.most)):
        memset(sums, 0, ow * sizeof(real))
        if r > 0:
            for i in range(job.row_begins[r - 1], job.row_begins[r]):
                kernels_for(dx).add_scaled(ow, dy + i * ow, row_shares[2 * i + 1], sums)
        for i in range(job.row_begins[r], job.row_begins[r + 1]):
            kernels_for(dx).add_scaled(ow, dy + i * ow, row_shares[2 * i], sums)
            if r == job.h - 1:
                kernels_for(dx).add_scaled(ow, dy + i * ow, row_shares[2 * i + 1], sums)
        kernels_for(dx).write_between(
            ow, w, job.column_pixels, job.column_begins, column_shares, sums, dx + r * w
        )


# --------------------------------------------------------------------------------------------------------- jobs


def prepare_interpolate(tuple x_shape, dtype, size, steps, str mode, bint align_corners):
    """The job of `interpolate`: job.run(x, y), none of them empty."""
    return Interpolation(x_shape, np.dtype(dtype), size, steps, mode, align_corners)


@cython.final
cdef class Interpolation(Job):
    cdef Resampling resampling          # with undefined arrays
    cdef Block tables

    def __init__(self, tuple x_shape, dtype, size, steps, str mode, bint align_corners):
        n, c, h, w = x_shape
        self.tables = set_up(
            &self.resampling, n * c, h, w, size[0], size[1], dtype == np.float32, False, steps, mode != "nearest",
            align_corners,
        )
        self.name, self.cost, self.scratch = mode, self.resampling.cost, self.resampling.scratch
        self.arrays = Array("x", "in", x_shape, dtype), Array("y", "out", (n, c, *size), dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Resampling resampling = self.resampling
        resampling.source, resampling.result = arrays[0], arrays[1]
        run_team(team, resampling.task, &resampling, resampling.tasks, EVENLY)
