"""Means over the pixels of images whose channels are last.

# Design:
# Channels are the lanes: the rows of an image, one for each pixel, are added to each other. As where planes are summed,
# few numbers are added as they are, here those of some pixels, and these sums in double.
# A task is a block of channels of one image.
"""

from math import prod

import numpy as np

from ..jobs import Array

cimport cython
from libc.string cimport memset

from kernels cimport kernels_for, real
from tile cimport tile_of

from ..jobs cimport Job
from ..parallel cimport EVENLY, Task, Team, ceil_div, run_team

cdef enum:
    BLOCK = 256             # channels of a task
    PIXELS = 64             # added in the type of x

cdef double SUM_NANOSECONDS = 0.07          # a pixel of a channel


cdef struct Image:
    Py_ssize_t channels, pixels, blocks
    const void *x           # (n, pixels, channels)
    void *y                 # (n, channels)


def prepare_global_average_channels_last(tuple x_shape, dtype):
    """The job of the mean over all pixels: job.run(x, y), x (n, pixels ..., channels), y (n, channels).

    x_shape     (n, channels, pixels ...): that of planes
    """
    return GlobalAverageLast(x_shape, np.dtype(dtype))


@cython.final
cdef class GlobalAverageLast(Job):
    cdef Image image                # with NULL for the arrays
    cdef Py_ssize_t tasks
    cdef bint single

    def __init__(self, tuple x_shape, dtype):
        n, c, *pixels = x_shape
        self.single = dtype == np.float32
        self.image.channels, self.image.pixels = c, prod(pixels)
        self.image.blocks = ceil_div(self.image.channels, BLOCK)
        self.tasks = n * self.image.blocks
        self.name, self.cost = "global_average_channels_last", SUM_NANOSECONDS * prod(x_shape)
        self.scratch = BLOCK * (sizeof(double) + tile_of(self.single).element)
        self.arrays = Array("x", "in", (n, *pixels, c), dtype), Array("y", "out", (n, c), dtype)

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Image image = self.image
        cdef Task task = <Task>means_task[float] if self.single else <Task>means_task[double]
        image.x, image.y = arrays[0], arrays[1]
        run_team(team, task, &image, self.tasks, EVENLY)


cdef void means_task(const Image *image, Py_ssize_t task, real *scratch) noexcept nogil:
    """Of a block of channels. scratch: their sums in double, and those of some pixels."""
    cdef Py_ssize_t first = task % image.blocks * BLOCK, channels = min(<Py_ssize_t>BLOCK, image.channels - first)
    cdef Py_ssize_t at = task // image.blocks, p, c
    cdef const real *x = <const real *>image.x + at * image.pixels * image.channels + first
    cdef real *y = <real *>image.y + at * image.channels + first
    cdef double *sums = <double *>scratch
    cdef real *few = <real *>(sums + BLOCK)
    memset(sums, 0, BLOCK * sizeof(double))
    memset(few, 0, BLOCK * sizeof(real))
    for p in range(image.pixels):
        kernels_for(few).add(channels, x + p * image.channels, few)
        if p % PIXELS == PIXELS - 1 or p == image.pixels - 1:
            for c in range(channels):
                sums[c] += few[c]
                few[c] = 0
    for c in range(channels):
        y[c] = <real>(sums[c] / image.pixels)
