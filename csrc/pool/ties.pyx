"""Backward of the maximum over windows to all pixels that equal it.

# Design:
# A task is a plane, gone through window by window: this is used by programs that did so in Python. What a pixel does
# not receive is added as a zero, without a branch that could be predicted wrongly.
"""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from kernels cimport real
from ..parallel cimport Task
from .dilated cimport first_tap
from .pooling cimport Pool, Pooling

cdef double TIES_NANOSECONDS = 1.0      # a cell of a window


cdef int plan_ties(Pooling job) except -1:
    cdef Pool *p = &job.pool
    job.loop(
        "ties", <Task>ties_task[float] if job.single else <Task>ties_task[double], p.planes,
        TIES_NANOSECONDS * p.planes * p.oh * p.ow * p.kh * p.kw,
    )
    return 0


cdef void ties_task(const Pool *pool, Py_ssize_t plane, real *scratch) noexcept nogil:
    cdef Pool p = pool[0]               # a copy, which the compiler can keep in registers
    cdef const real *x = <const real *>p.x + plane * p.h * p.w
    cdef const real *dy = <const real *>p.dy + plane * p.oh * p.ow
    cdef const uint8_t *narrow = <const uint8_t *>p.argmax + plane * p.oh * p.ow
    cdef const int32_t *wide = <const int32_t *>p.argmax + plane * p.oh * p.ow
    cdef real *dx = <real *>p.dx + plane * p.h * p.w
    cdef Py_ssize_t i, j, window, code, row, column, pixel, first, top, left
    cdef real most, gradient
    memset(dx, 0, p.h * p.w * sizeof(real))
    for i in range(p.oh):
        top = i * p.sh - p.top
        for j in range(p.ow):
            left = j * p.sw - p.left
            window = i * p.ow + j
            code = wide[window] if p.wide else narrow[window]
            row, column = top + code // p.kw * p.dh, left + code % p.kw * p.dw
            if row < 0 or row >= p.h or column < 0 or column >= p.w:
                continue
            first = row * p.w + column
            most, gradient = x[first], dy[window]
            row = first_tap(top, p.dh)
            while row < min(p.h, top + p.dh * (p.kh - 1) + 1):
                column = first_tap(left, p.dw)
                while column < min(p.w, left + p.dw * (p.kw - 1) + 1):
                    pixel = row * p.w + column
                    dx[pixel] += gradient if (x[pixel] == most) | (pixel == first) else <real>0
                    column += p.dw
                row += p.dh
