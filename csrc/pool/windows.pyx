"""Pooling over windows of any size and stride.

# Design:
# A task is a band of rows of as many planes (image, channel) as a vector has lanes. They are brought into lanes, pixel
# by pixel, where a window of any size and stride is a few operations on whole vectors (micro/pool.inc.c):
#     planes of x    a0 a1 a2 ...   b0 b1 b2 ...   c0 ...     in lanes    a0 b0 c0 ...  a1 b1 c1 ...  a2 ...
# Windows are clipped to the image instead of padding it. ReLU before pooling costs one more code, that of a window
# without a value above 0, and its backward nothing more. A band of dx receives, window after window, what of them lies
# in it: the order of a sum depends on nothing else.
"""

import numpy as np

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from arrays cimport data_of
from kernels cimport cnnx_window_row, kernels_for, real
from ..parallel cimport Task, ceil_div
from .pooling cimport FORWARD, Pool, Pooling

cdef enum:
    BAND_PIXELS = 2048      # of x or dx: 64 kB of 8 floats, which stay in the second-level cache

cdef double WINDOWS_NANOSECONDS = 0.3       # a pixel brought into lanes or back, or four cells of windows


cdef int plan_windows(Pooling job) except -1:
    """For a mean, `set_shares` too."""
    cdef Pool *p = &job.pool
    cdef Py_ssize_t lanes = kernels_for(<float *>NULL).lanes if job.single else kernels_for(<double *>NULL).lanes
    cdef Py_ssize_t pixels, windows
    cdef Task task
    if job.direction == FORWARD:
        p.band = min(p.oh, max(<Py_ssize_t>1, BAND_PIXELS // (p.w * p.sh)))
        p.bands = ceil_div(p.oh, p.band)
        pixels, windows = min(p.h, (p.band - 1) * p.sh + p.kh) * p.w, p.band * p.ow
        task = <Task>band_task[float] if job.single else <Task>band_task[double]
    else:
        p.band = min(p.h, max(<Py_ssize_t>1, BAND_PIXELS // p.w))
        p.bands = ceil_div(p.h, p.band)
        pixels, windows = p.band * p.w, min(p.oh, (p.band + p.kh - 2) // p.sh + 1) * p.ow
        task = <Task>band_backward_task[float] if job.single else <Task>band_backward_task[double]
    job.scratch = (pixels + 2 * windows) * lanes * (sizeof(float) if job.single else sizeof(double))
    job.loop(
        "windows", task, ceil_div(p.planes, lanes) * p.bands,
        WINDOWS_NANOSECONDS * p.planes * (p.h * p.w + 0.25 * p.oh * p.ow * p.kh * p.kw),
    )
    return 0


cdef int set_shares(Pooling job, tuple padding, tuple counted, divisor) except -1:
    """1/m for windows of which m cells count (see the reference), or 1/divisor. Rows of windows of which as many rows
    count have the same: most have all, so that the table is small."""
    cdef Pool *p = &job.pool
    cdef Py_ssize_t[::1] share_row
    counts = []
    for axis, (size, windows, kernel, stride) in enumerate(((p.h, p.oh, p.kh, p.sh), (p.w, p.ow, p.kw, p.sw))):
        first = np.arange(windows) * stride - padding[axis][0]
        inside = np.minimum(first + kernel, size + counted[axis][1])
        counts.append(inside - np.maximum(first, -counted[axis][0]))
    rows, row_of = np.unique(counts[0], return_inverse=True)
    shares = 1.0 / np.multiply.outer(rows, counts[1])
    if divisor is not None:
        shares[:] = 1.0 / divisor
    shares = shares.astype(job.dtype)
    row_of = row_of.astype(np.intp)
    job.tables = shares, row_of
    p.shares, p.share_row = data_of(shares), <const Py_ssize_t *>data_of(row_of)
    return 0


cdef inline cnnx_window_row window_row(const Pool *p) noexcept nogil:
    cdef cnnx_window_row row
    row.count, row.rows, row.kw, row.stride, row.left, row.w = p.ow, p.kh, p.kw, p.sw, p.left, p.w
    return row


cdef inline uint8_t *narrow_codes(const Pool *p, Py_ssize_t window) noexcept nogil:
    """Codes from a window on, if they are uint8."""
    return NULL if p.wide else <uint8_t *>p.argmax + window


cdef inline int32_t *wide_codes(const Pool *p, Py_ssize_t window) noexcept nogil:
    return <int32_t *>p.argmax + window if p.wide else NULL


cdef void band_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of y, of as many planes as there are lanes."""
    cdef Py_ssize_t lanes = kernels_for(scratch).lanes, plane = task // p.bands * lanes
    cdef Py_ssize_t planes = min(lanes, p.planes - plane)
    cdef Py_ssize_t begin = task % p.bands * p.band, end = min(p.oh, begin + p.band)
    cdef Py_ssize_t low = max(<Py_ssize_t>0, begin * p.sh - p.top), high = min(p.h, (end - 1) * p.sh - p.top + p.kh)
    cdef Py_ssize_t i, top, start, windows = (end - begin) * p.ow, window = (plane * p.oh + begin) * p.ow
    cdef const real *x = <const real *>p.x + (plane * p.h + low) * p.w
    cdef real *y = <real *>p.y + window
    cdef real *pixels = scratch
    cdef real *results = pixels + (high - low) * p.w * lanes
    cdef real *codes = results + windows * lanes
    cdef real *row_of_results
    cdef const real *row_of_pixels
    cdef cnnx_window_row row = window_row(p)
    kernels_for(y).to_lanes(planes, (high - low) * p.w, x, p.h * p.w, (high - low) * p.w, 0, 0, pixels)
    for i in range(begin, end):
        top = i * p.sh - p.top
        start = max(<Py_ssize_t>0, top)
        row.rows = min(top + p.kh, p.h) - start
        row_of_pixels = pixels + (start - low) * p.w * lanes
        row_of_results = results + (i - begin) * p.ow * lanes
        if p.argmax == NULL:
            kernels_for(y).avg_pool_row(
                &row, row_of_pixels, <const real *>p.shares + p.share_row[i] * p.ow, row_of_results
            )
        else:
            kernels_for(y).max_pool_row(
                &row, row_of_pixels, <int32_t>((start - top) * p.kw), p.dead, row_of_results,
                codes + (i - begin) * p.ow * lanes,
            )
    kernels_for(y).from_lanes(planes, windows, results, y, p.oh * p.ow)
    if p.argmax != NULL:
        kernels_for(y).codes_from_lanes(
            planes, windows, codes, narrow_codes(p, window), wide_codes(p, window), p.oh * p.ow
        )


cdef void band_backward_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of dx, of as many planes as there are lanes."""
    cdef Py_ssize_t lanes = kernels_for(scratch).lanes, plane = task // p.bands * lanes
    cdef Py_ssize_t planes = min(lanes, p.planes - plane)
    cdef Py_ssize_t begin = task % p.bands * p.band, end = min(p.h, begin + p.band)
    # The rows of windows that meet the band; none, where it lies between two of them or below the last.
    cdef Py_ssize_t low = ceil_div(max(<Py_ssize_t>0, begin + p.top - p.kh + 1), p.sh)
    cdef Py_ssize_t high = max(low, min(p.oh, (end - 1 + p.top) // p.sh + 1))
    cdef Py_ssize_t i, top, start, windows = (high - low) * p.ow, window = (plane * p.oh + low) * p.ow
    cdef const real *dy = <const real *>p.dy + window
    cdef real *dx = <real *>p.dx + (plane * p.h + begin) * p.w
    cdef real *sums = scratch
    cdef real *gradients = sums + (end - begin) * p.w * lanes
    cdef real *codes = gradients + windows * lanes
    cdef real *row_of_sums
    cdef const real *row_of_gradients
    cdef cnnx_window_row row = window_row(p)
    kernels_for(dx).to_lanes(planes, windows, dy, p.oh * p.ow, windows, 0, 0, gradients)
    if p.argmax != NULL:
        kernels_for(dx).codes_to_lanes(
            planes, windows, narrow_codes(p, window), wide_codes(p, window), p.oh * p.ow, codes
        )
    memset(sums, 0, (end - begin) * p.w * lanes * sizeof(real))
    for i in range(low, high):
        top = i * p.sh - p.top
        start = max(begin, top)
        row.rows = min(top + p.kh, end) - start
        row_of_gradients = gradients + (i - low) * p.ow * lanes
        row_of_sums = sums + (start - begin) * p.w * lanes
        if p.argmax == NULL:
            kernels_for(dx).avg_pool_row_backward(
                &row, row_of_gradients, <const real *>p.shares + p.share_row[i] * p.ow, row_of_sums
            )
        else:
            kernels_for(dx).max_pool_row_backward(
                &row, row_of_gradients, codes + (i - low) * p.ow * lanes, <int32_t>((start - top) * p.kw), row_of_sums
            )
    kernels_for(dx).from_lanes(planes, (end - begin) * p.w, sums, dx, p.h * p.w)
