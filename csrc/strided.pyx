"""A copy of a view: of an array with its axes in another order, cut, repeated, reversed, to contiguous memory.

# Design:
# Slices, transposes, broadcasts and whatever follows from them are one thing in NumPy: a view, with a stride for each
# axis. So there is one job for all.
# Axes that follow each other in both arrays are merged first. If the last one is contiguous in both, rows are copied as
# bytes. Else the last axis and another one are a matrix, which is copied in square tiles. In a transpose the other axis
# is the one that is contiguous in x. A tile is transposed on the stack, so that each cache line of x and y is read or
# written at once: rows that are a power of two apart would evict each other from the first-level cache.
# A task is a piece of one such matrix. Elements are copied as integers of their size: denormal numbers stay.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from arrays cimport NPY_MAXDIMS
from costs cimport MEMORY_NANOSECONDS
from .jobs cimport Job
from .parallel cimport EVENLY, Task, Team, ceil_div, run_team

cdef enum:
    TILE = 16                       # rows and columns: a cache line of floats
    ELEMENTS_PER_TASK = 1 << 14

ctypedef fused element:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef struct Axis:
    Py_ssize_t size, x, y           # strides in elements

cdef struct View:
    int outer                       # axes, before the last two
    Axis axes[NPY_MAXDIMS]
    Axis down, across               # the last two; y is contiguous along `across`
    Py_ssize_t height, width        # of a task
    Py_ssize_t strips, pieces       # tasks of a matrix
    Py_ssize_t tasks
    Py_ssize_t offset               # of the first element in x, in elements
    const void *x
    void *y


def prepare_strided_copy(tuple x_shape, dtype, tuple shape, tuple strides, Py_ssize_t offset):
    """The job that copies a view of x, contiguous, to y: job.run(x, y).

    shape, strides, offset  of the view, as in torch.as_strided: counted in elements; the first is at `offset` of x

    ValueError if the view is not within x, or has more axes than NumPy allows.
    """
    return StridedCopy(x_shape, np.dtype(dtype), shape, strides, offset)


@cython.final
cdef class StridedCopy(Job):
    cdef View view                  # with NULL for the arrays
    cdef Task task

    def __init__(self, tuple x_shape, dtype, tuple shape, tuple strides, Py_ssize_t offset):
        cdef Axis axes[NPY_MAXDIMS]
        cdef Py_ssize_t least = offset, most = offset, size = prod(shape), reach
        cdef int ndim = len(shape), d
        if ndim > NPY_MAXDIMS:
            raise ValueError(f"strided copy: {ndim} axes, at most {NPY_MAXDIMS}")
        for d in range(ndim):
            axes[d] = Axis(shape[d], strides[d], 0)
            reach = (axes[d].size - 1) * axes[d].x
            least, most = least + min(<Py_ssize_t>0, reach), most + max(<Py_ssize_t>0, reach)
        if size and not 0 <= least <= most < prod(x_shape):
            raise ValueError(f"strided copy: elements {least} to {most} of an array of {prod(x_shape)}")
        merge(&self.view, axes, ndim)
        share_out(&self.view)
        self.view.offset = offset
        if not size:
            self.view.tasks = 0
        if dtype.itemsize == 1:
            self.task = <Task>copy_task[uint8_t]
        elif dtype.itemsize == 2:
            self.task = <Task>copy_task[uint16_t]
        elif dtype.itemsize == 4:
            self.task = <Task>copy_task[uint32_t]
        else:
            self.task = <Task>copy_task[uint64_t]
        self.name, self.cost = "strided copy", MEMORY_NANOSECONDS * size
        self.arrays = Array("x", "in", x_shape, dtype), Array("y", "out", shape, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef View view = self.view
        view.x, view.y = arrays[0], arrays[1]
        run_team(team, self.task, &view, view.tasks, EVENLY)


cdef void merge(View *view, const Axis *given, int ndim) noexcept:
    """The axes of a view, as few as possible, with the two inner ones apart."""
    cdef Axis axes[NPY_MAXDIMS]     # the last one first
    cdef Axis axis
    cdef Py_ssize_t stride = 1      # in y
    cdef int count = 0, down = 1, d
    for d in range(ndim - 1, -1, -1):
        axis = given[d]
        if axis.size == 1:
            continue
        if count and axis.x == axes[count - 1].size * axes[count - 1].x:
            axes[count - 1].size *= axis.size
        else:
            axes[count] = Axis(axis.size, axis.x, stride)
            count += 1
        stride *= axis.size
    view.across = axes[0] if count else Axis(1, 1, 1)
    view.down, view.outer = Axis(1, 0, 0), 0
    for d in range(1, count):
        if axes[d].x == 1:          # x is contiguous along it; else any
            down = d
    for d in range(1, count):
        if d == down:
            view.down = axes[d]
        else:
            view.axes[view.outer] = axes[d]
            view.outer += 1


cdef void share_out(View *view) noexcept:
    """Tasks of about as many elements."""
    cdef Py_ssize_t matrices = 1
    cdef int d
    view.width = min(view.across.size, <Py_ssize_t>ELEMENTS_PER_TASK)
    view.height = max(<Py_ssize_t>1, ELEMENTS_PER_TASK // max(<Py_ssize_t>1, view.width))
    view.height = min(view.down.size, ceil_div(view.height, TILE) * TILE)
    for d in range(view.outer):
        matrices *= view.axes[d].size
    view.strips = ceil_div(view.down.size, max(<Py_ssize_t>1, view.height))
    view.pieces = ceil_div(view.across.size, max(<Py_ssize_t>1, view.width))
    view.tasks = matrices * view.strips * view.pieces


cdef void copy_task(const View *view, Py_ssize_t task, element *scratch) noexcept nogil:
    """A piece of one matrix."""
    cdef Py_ssize_t left = task % view.pieces * view.width, top = task // view.pieces % view.strips * view.height
    cdef Py_ssize_t matrix = task // view.pieces // view.strips, i
    cdef Py_ssize_t width = min(view.width, view.across.size - left), height = min(view.height, view.down.size - top)
    cdef const element *x = <const element *>view.x + view.offset + left * view.across.x + top * view.down.x
    cdef element *y = <element *>view.y + left + top * view.down.y
    cdef int d
    for d in range(view.outer):
        x += matrix % view.axes[d].size * view.axes[d].x
        y += matrix % view.axes[d].size * view.axes[d].y
        matrix //= view.axes[d].size
    if view.across.x == 1:
        for i in range(height):
            memcpy(y + i * view.down.y, x + i * view.down.x, width * sizeof(element))
    else:
        copy_tiles(height, width, x, view.down.x, view.across.x, y, view.down.y)


cdef inline void copy_tiles(
    Py_ssize_t height, Py_ssize_t width, const element *x, Py_ssize_t x_row, Py_ssize_t x_col, element *y,
    Py_ssize_t y_row,
) noexcept nogil:
    cdef element tile[TILE * TILE]
    cdef Py_ssize_t top, left, rows, cols, i, j
    for top in range(ceil_div(height, TILE)):
        rows = min(<Py_ssize_t>TILE, height - top * TILE)
        for left in range(ceil_div(width, TILE)):
            cols = min(<Py_ssize_t>TILE, width - left * TILE)
            for j in range(cols):
                for i in range(rows):
                    tile[i * TILE + j] = x[(top * TILE + i) * x_row + (left * TILE + j) * x_col]
            for i in range(rows):
                memcpy(y + (top * TILE + i) * y_row + left * TILE, tile + i * TILE, cols * sizeof(element))
