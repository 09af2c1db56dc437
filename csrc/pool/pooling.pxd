"""Pooling jobs (pooling.pyx), for the algorithms, which set how a job runs."""

from libc.stdint cimport int32_t

from ..jobs cimport Job
from ..parallel cimport Task

cdef enum Kind:
    MAXIMUM
    RELU_MAXIMUM                        # the maximum and 0
    MEAN

cdef enum Direction:
    FORWARD
    BACKWARD
    BACKWARD_TO_TIES                    # to all pixels that equal the maximum

cdef struct Pool:                       # what all tasks read; a plane is a channel of an image
    Py_ssize_t planes, h, w, oh, ow
    Py_ssize_t kh, kw, sh, sw           # windows that slide, from (-top, -left) on
    Py_ssize_t dh, dw                   # rows and columns from one cell to the next
    Py_ssize_t top, left
    Py_ssize_t band, bands              # rows of a task; tasks of a plane
    int32_t dead                        # argmax of a window without a value above 0; -1: no ReLU
    bint wide                           # argmax is int32, not uint8
    const void *shares                  # rows of (ow,): by what the sum of a window is multiplied; NULL: the maximum
    const Py_ssize_t *share_row         # (oh,): the row of `shares` for a row of windows
    const void *x                       # (planes, h, w)
    void *dx
    void *y                             # (planes, oh, ow)
    const void *dy
    void *argmax                        # as y: u*kw + v for cell (u, v) of the window; NULL: the mean

cdef class Pooling(Job):
    cdef Pool pool                      # with NULL for the arrays
    cdef Task task
    cdef Py_ssize_t tasks
    cdef bint single
    cdef Kind kind
    cdef Direction direction
    cdef tuple x_shape, y_shape
    cdef object dtype, argmax_dtype
    cdef object tables                  # what pool.shares and pool.share_row point into

    cdef int set_up(self, Kind kind, Direction direction, tuple x_shape, tuple size, bint single) except -1
    cdef int loop(self, str name, Task task, Py_ssize_t tasks, double cost) except -1
    cdef object forward(self, x)
    cdef object back(self, dy, argmax, x)
