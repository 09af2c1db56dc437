"""A copy of images with their channels last in memory, (n, pixels ..., channels), or back in planes.

# Design:
# Each image is one matrix, of channels and pixels, which is transposed in registers, square by square (`transpose`). A
# task is a tile of it: its cache lines are read and written while they are in the first- and second-level cache. Tiles
# are of nearly the same size, in whole vectors, so that none is too small for a square.
"""

from math import prod

import numpy as np

from .jobs import Array

cimport cython
from costs cimport MEMORY_NANOSECONDS
from kernels cimport kernels_for, real
from tile cimport tile_of

from .jobs cimport Job
from .parallel cimport EVENLY, Task, Team, ceil_div, run_team

cdef enum:
    TILE = 128              # rows and columns, at most, more or less: 64 kB of floats

cdef struct Side:           # rows or columns of the matrix
    Py_ssize_t size, vectors, tiles, lanes

cdef struct Matrices:
    Side rows, cols         # of x
    const void *x
    void *y


def prepare_layout(tuple x_shape, dtype, to):
    """The job that copies images to another layout: job.run(x, y).

    x_shape     (n, channels, pixels ...): of the planes
    to          "channels_last", from planes; or "planes", from (n, pixels ..., channels)

    ValueError for another layout.
    """
    if to not in ("channels_last", "planes"):
        raise ValueError(f"prepare_layout: to is {to!r}, expected 'channels_last' or 'planes'")
    return Layout(x_shape, np.dtype(dtype), to == "channels_last")


@cython.final
cdef class Layout(Job):
    cdef Matrices matrices          # with NULL for the arrays
    cdef Py_ssize_t tasks
    cdef bint single

    def __init__(self, tuple x_shape, dtype, bint to_last):
        cdef Py_ssize_t n = x_shape[0], channels = x_shape[1], pixels = prod(x_shape[2:])
        cdef Matrices *m = &self.matrices
        self.single = dtype == np.float32
        lanes = tile_of(self.single).lanes
        m.rows, m.cols = side_of(channels, lanes), side_of(pixels, lanes)
        if not to_last:
            m.rows, m.cols = m.cols, m.rows
        self.tasks = n * m.rows.tiles * m.cols.tiles
        self.name, self.cost = "layout", MEMORY_NANOSECONDS * n * channels * pixels
        x, y = x_shape, (n, *x_shape[2:], channels)
        if not to_last:
            x, y = y, x
        self.arrays = Array("x", "in", x, dtype), Array("y", "out", y, dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Matrices matrices = self.matrices
        cdef Task task = <Task>tile_task[float] if self.single else <Task>tile_task[double]
        matrices.x, matrices.y = arrays[0], arrays[1]
        run_team(team, task, &matrices, self.tasks, EVENLY)


cdef Side side_of(Py_ssize_t size, Py_ssize_t lanes) noexcept:
    cdef Py_ssize_t tiles = ceil_div(size, <Py_ssize_t>TILE)
    return Side(size, max(tiles, size // lanes), tiles, lanes)


cdef inline Py_ssize_t begin_of(const Side *side, Py_ssize_t tile) noexcept nogil:
    """Of a tile; the last ends with the matrix."""
    return side.size if tile == side.tiles else side.vectors * tile // side.tiles * side.lanes


cdef void tile_task(const Matrices *m, Py_ssize_t task, real *scratch) noexcept nogil:
    """A tile of one image."""
    cdef Py_ssize_t across = task % m.cols.tiles, down = task // m.cols.tiles % m.rows.tiles
    cdef Py_ssize_t image = task // m.cols.tiles // m.rows.tiles * m.rows.size * m.cols.size
    cdef Py_ssize_t top = begin_of(&m.rows, down), left = begin_of(&m.cols, across)
    cdef const real *x = <const real *>m.x + image + top * m.cols.size + left
    cdef real *y = <real *>m.y + image + left * m.rows.size + top
    kernels_for(y).transpose(
        begin_of(&m.rows, down + 1) - top, begin_of(&m.cols, across + 1) - left, x, m.cols.size, y, m.rows.size
    )
