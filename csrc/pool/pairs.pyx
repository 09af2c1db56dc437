"""Pooling of 2x2 windows side by side, without padding.

# Design:
# Two vectors of each of two rows of x are one vector of y; nothing is copied into lanes. Here with 4 of them:
#     row 2i      a a b b   c c d d   e e ...         windows of y, row i     A B C D   E ...
#     row 2i + 1  a a b b   c c d d   e e ...
# The vectors of a row need not fill it: where its last one would run over the end, it is moved back over windows that
# are there already, or, in a row shorter than a vector, runs into the next row, which is written after it
# (micro/pool_pairs.inc.c). A task is a band of rows of one plane, one call of the kernel.
# Planes of an even height follow each other as the rows of one long plane: bands are then long however small the planes
# are. Otherwise the last row of each plane of x is under no window:
#     h even     y of plane 0, of plane 1, ...  one plane           h odd     y of plane 0     y of plane 1   ...
#     x          == == == == == ==                                  x         == == -          == == -
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from kernels cimport kernels_for, real
from ..parallel cimport Task, ceil_div
from .pooling cimport FORWARD, Pool, Pooling

cdef enum:
    BAND_PIXELS = 4096      # of x: a hundred rows of a small plane, whose last row costs as much as three

cdef double PAIRS_NANOSECONDS = 0.15        # a pixel of x


cdef bint are_pairs(Pooling job, tuple kernel, tuple stride, tuple padding):
    """Whether rows are long enough too: half of a vector of windows."""
    cdef Py_ssize_t lanes = kernels_for(<float *>NULL).lanes if job.single else kernels_for(<double *>NULL).lanes
    return kernel == stride == (2, 2) and padding == ((0, 0), (0, 0)) and lanes <= 2 * job.pool.ow


cdef int plan_pairs(Pooling job) except -1:
    cdef Pool *p = &job.pool
    cdef Task task
    cdef double cost = PAIRS_NANOSECONDS * p.planes * p.h * p.w
    if p.h == 2 * p.oh:
        p.planes, p.h, p.oh = 1, p.planes * p.h, p.planes * p.oh
    p.band = max(<Py_ssize_t>1, min(p.oh, BAND_PIXELS // (2 * p.w)))
    p.bands = ceil_div(p.oh, p.band)
    if job.direction == FORWARD:
        task = <Task>pairs_task[float] if job.single else <Task>pairs_task[double]
    else:
        task = <Task>pairs_backward_task[float] if job.single else <Task>pairs_backward_task[double]
    job.loop("pairs", task, p.planes * p.bands, cost)
    return 0


cdef void pairs_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of y, of one plane."""
    cdef Py_ssize_t plane = task // p.bands, first = task % p.bands * p.band, rows = min(p.band, p.oh - first)
    cdef Py_ssize_t window = (plane * p.oh + first) * p.ow
    cdef const real *x = <const real *>p.x + (plane * p.h + 2 * first) * p.w
    cdef real *y = <real *>p.y + window
    if p.argmax == NULL:
        kernels_for(y).avg_pool_pairs(rows, p.ow, p.w, x, y)
    else:
        kernels_for(y).max_pool_pairs(rows, p.ow, p.w, x, p.dead, y, <uint8_t *>p.argmax + window)


cdef void pairs_backward_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """The rows of dx under some rows of dy; after the last of a plane, what is under no window."""
    cdef Py_ssize_t plane = task // p.bands, first = task % p.bands * p.band, rows = min(p.band, p.oh - first)
    cdef Py_ssize_t window = (plane * p.oh + first) * p.ow
    cdef const real *dy = <const real *>p.dy + window
    cdef real *dx = <real *>p.dx + (plane * p.h + 2 * first) * p.w
    if p.argmax == NULL:
        kernels_for(dx).avg_pool_pairs_backward(rows, p.ow, p.w, dy, dx)
    else:
        kernels_for(dx).max_pool_pairs_backward(rows, p.ow, p.w, dy, <const uint8_t *>p.argmax + window, dx)
    if first + rows == p.oh:
        memset(dx + 2 * rows * p.w, 0, (p.h - 2 * p.oh) * p.w * sizeof(real))
