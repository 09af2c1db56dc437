"""The maximum over windows whose cells lie apart, and its backward.

# Design:
# A task is a plane, gone through window by window, cell by cell. Such pooling is rare: it has no micro-kernel, so that
# those of the other windows need not ask for the distance of cells.
# A new maximum is chosen without a branch, as in the row kernels, and NaN beats every number.
"""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from kernels cimport real
from ..parallel cimport Task
from .pooling cimport FORWARD, Pool, Pooling

cdef double FORWARD_NANOSECONDS = 1.5       # a cell of a window
cdef double BACKWARD_NANOSECONDS = 2.0      # a window


cdef int plan_dilated(Pooling job) except -1:
    cdef Pool *p = &job.pool
    cdef double windows = p.planes * p.oh * p.ow
    cdef Task task
    if job.direction == FORWARD:
        task = <Task>dilated_task[float] if job.single else <Task>dilated_task[double]
        job.loop("dilated", task, p.planes, FORWARD_NANOSECONDS * windows * p.kh * p.kw)
    else:
        task = <Task>dilated_backward_task[float] if job.single else <Task>dilated_backward_task[double]
        job.loop("dilated", task, p.planes, BACKWARD_NANOSECONDS * windows)
    return 0


cdef void dilated_task(const Pool *pool, Py_ssize_t plane, real *scratch) noexcept nogil:
    cdef Pool p = pool[0]               # a copy, which the compiler can keep in registers
    cdef const real *x = <const real *>p.x + plane * p.h * p.w
    cdef real *y = <real *>p.y + plane * p.oh * p.ow
    cdef uint8_t *narrow = <uint8_t *>p.argmax + plane * p.oh * p.ow
    cdef int32_t *wide = <int32_t *>p.argmax + plane * p.oh * p.ow
    cdef Py_ssize_t i, j, top, left, row, column, first_row, first_column, code, best, window = 0
    cdef real value, most
    cdef bint larger
    for i in range(p.oh):
        top = i * p.sh - p.top
        first_row = first_tap(top, p.dh)
        for j in range(p.ow):
            left = j * p.sw - p.left
            first_column = first_tap(left, p.dw)
            row, best = first_row, -1
            most = 0
            while row < min(p.h, top + p.dh * (p.kh - 1) + 1):
                column = first_column
                code = (row - top) // p.dh * p.kw + (column - left) // p.dw
                while column < min(p.w, left + p.dw * (p.kw - 1) + 1):
                    value = x[row * p.w + column]
                    larger = (best < 0) | (value > most) | ((value != value) & (most == most))
                    most = value if larger else most
                    best = code if larger else best
                    code += 1
                    column += p.dw
                row += p.dh
            if p.dead >= 0 and most <= 0:
                most, best = 0, p.dead
            y[window] = most
            if p.wide:
                wide[window] = <int32_t>best
            else:
                narrow[window] = <uint8_t>best
            window += 1


cdef void dilated_backward_task(const Pool *pool, Py_ssize_t plane, real *scratch) noexcept nogil:
    cdef Pool p = pool[0]
    cdef const real *dy = <const real *>p.dy + plane * p.oh * p.ow
    cdef const uint8_t *narrow = <const uint8_t *>p.argmax + plane * p.oh * p.ow
    cdef const int32_t *wide = <const int32_t *>p.argmax + plane * p.oh * p.ow
    cdef real *dx = <real *>p.dx + plane * p.h * p.w
    cdef Py_ssize_t i, j, row, column, code, window = 0
    memset(dx, 0, p.h * p.w * sizeof(real))
    for i in range(p.oh):
        for j in range(p.ow):
            code = wide[window] if p.wide else narrow[window]
            row = i * p.sh - p.top + code // p.kw * p.dh
            column = j * p.sw - p.left + code % p.kw * p.dw
            if code != p.dead and row >= 0 and row < p.h and column >= 0 and column < p.w:
                dx[row * p.w + column] += dy[window]
            window += 1
