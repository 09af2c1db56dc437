"""Means over a given number of windows, which cover the image.

# Design:
# Windows differ in size, so they are not brought into lanes as in windows.pyx: the rows of x under a row of windows are
# added up as vectors, and each window then adds up its few columns of that. A task is a band of rows of windows of one
# plane; backward, where windows share pixels, a whole plane.
"""

from libc.string cimport memcpy, memset

from costs cimport MEMORY_NANOSECONDS
from kernels cimport kernels_for, real
from ..parallel cimport Task, ceil_div
from .pooling cimport FORWARD, Pool, Pooling

cdef enum:
    BAND_PIXELS = 16384         # of x: 64 kB of floats, so that a task takes microseconds


cdef int plan_adaptive(Pooling job) except -1:
    cdef Pool *p = &job.pool
    cdef double cost = p.planes * (MEMORY_NANOSECONDS * p.h * p.w + p.oh * (p.w + 2 * p.ow))
    job.scratch = p.w * (sizeof(float) if job.single else sizeof(double))
    if job.direction == FORWARD:
        p.band = max(<Py_ssize_t>1, BAND_PIXELS // (ceil_div(p.h, p.oh) * p.w))
        p.bands = ceil_div(p.oh, p.band)
        job.loop(
            "adaptive", <Task>band_task[float] if job.single else <Task>band_task[double], p.planes * p.bands, cost
        )
    else:
        job.loop("adaptive", <Task>plane_task[float] if job.single else <Task>plane_task[double], p.planes, cost)
    return 0


cdef inline Py_ssize_t window_begin(Py_ssize_t i, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    """The first pixel of window i, of `count` on n pixels."""
    return i * n // count


cdef inline Py_ssize_t window_end(Py_ssize_t i, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    return ceil_div((i + 1) * n, count)


cdef void band_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """Some rows of y, of one plane."""
    cdef Py_ssize_t plane = task // p.bands, band = task % p.bands, i, j, r, s, begin, end, left, right
    cdef const real *x = <const real *>p.x + plane * p.h * p.w
    cdef real *y = <real *>p.y + plane * p.oh * p.ow
    cdef const real *row
    cdef real total
    for i in range(band * p.band, min(p.oh, (band + 1) * p.band)):
        begin, end = window_begin(i, p.h, p.oh), window_end(i, p.h, p.oh)
        row = x + begin * p.w
        if end > begin + 1:
            kernels_for(y).plus(p.w, row, row + p.w, scratch)
            for r in range(begin + 2, end):
                kernels_for(y).add(p.w, x + r * p.w, scratch)
            row = scratch
        for j in range(p.ow):
            left, right = window_begin(j, p.w, p.ow), window_end(j, p.w, p.ow)
            total = row[left]
            for s in range(left + 1, right):
                total += row[s]
            y[i * p.ow + j] = total / ((end - begin) * (right - left))


cdef void plane_task(const Pool *p, Py_ssize_t plane, real *scratch) noexcept nogil:
    """A plane of dx: what a row of windows gives to each of its rows of pixels is in the scratch memory."""
    cdef Py_ssize_t i, j, r, s, begin, end, left, right, done = 0
    cdef const real *dy = <const real *>p.dy + plane * p.oh * p.ow
    cdef real *dx = <real *>p.dx + plane * p.h * p.w
    cdef real share
    for i in range(p.oh):
        begin, end = window_begin(i, p.h, p.oh), window_end(i, p.h, p.oh)
        memset(scratch, 0, p.w * sizeof(real))
        for j in range(p.ow):
            left, right = window_begin(j, p.w, p.ow), window_end(j, p.w, p.ow)
            share = dy[i * p.ow + j] / ((end - begin) * (right - left))
            for s in range(left, right):
                scratch[s] += share
        for r in range(begin, end):
            if r < done:            # a row of the windows above too
                kernels_for(dx).add(p.w, scratch, dx + r * p.w)
            else:
                memcpy(dx + r * p.w, scratch, p.w * sizeof(real))
        done = end
