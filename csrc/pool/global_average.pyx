"""Means of whole planes.

# Design:
# A task is some neighbouring planes: several where they are short, so that the sums of their rows run side by side.
"""

from kernels cimport CNNX_MAX_LANES, kernels_for, real
from ..parallel cimport Task, ceil_div
from ..sums cimport PIECE, row_sums
from .pooling cimport FORWARD, Pool, Pooling

cdef double SUM_NANOSECONDS = 0.07          # a pixel of x
cdef double PLANE_NANOSECONDS = 8           # the rest of a plane: its sum across lanes, a division
cdef double FILL_NANOSECONDS = 0.1          # a pixel of dx


cdef int plan_global_average(Pooling job) except -1:
    cdef Pool *p = &job.pool
    cdef Py_ssize_t pixels = p.h * p.w
    if job.direction == FORWARD:
        p.band = min(<Py_ssize_t>CNNX_MAX_LANES, ceil_div(<Py_ssize_t>PIECE, pixels))
        job.loop(
            "global_average", <Task>means_task[float] if job.single else <Task>means_task[double],
            ceil_div(p.planes, p.band), p.planes * (PLANE_NANOSECONDS + SUM_NANOSECONDS * pixels),
        )
    else:
        job.loop(
            "global_average", <Task>spread_task[float] if job.single else <Task>spread_task[double], p.planes,
            FILL_NANOSECONDS * p.planes * pixels,
        )
    return 0


cdef void means_task(const Pool *p, Py_ssize_t task, real *scratch) noexcept nogil:
    cdef Py_ssize_t first = task * p.band, planes = min(p.band, p.planes - first), pixels = p.h * p.w, i
    cdef real *y = <real *>p.y + first
    cdef double sums[CNNX_MAX_LANES]
    row_sums(planes, pixels, <const real *>p.x + first * pixels, sums)
    for i in range(planes):
        y[i] = <real>(sums[i] / pixels)


cdef void spread_task(const Pool *p, Py_ssize_t plane, real *scratch) noexcept nogil:
    cdef Py_ssize_t pixels = p.h * p.w, i
    cdef real *dx = <real *>p.dx + plane * pixels
    cdef real share = (<const real *>p.dy)[plane] / pixels
    for i in range(pixels):
        dx[i] = share
