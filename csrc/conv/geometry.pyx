"""The geometry of a convolution, and what the jobs of all algorithms have in common.

# Design:
# One struct serves all directions and algorithms, in the terms of the layer: tap (u, v) of window (i, j) is pixel
# (i*sh + u*dh - top, j*sw + v*dw - left) of x, and zero outside of x. Along a row, with left 2, sw 3, dw 2 and kw 3:
#
#     column of x    -2  -1 | 0   1   2   3   4   5   6 ...
#     window 0        u       u       u
#     window 1                    u       u       u
#
# An algorithm derives from it what its loops need (bands, tables of offsets, tiles), in its `Prepare` function. These
# are listed in dispatch.pyx.
"""

import numpy as np

from ..jobs import Array

from kernels cimport Ending
from ..jobs cimport Job


cdef class Convolution(Job):
    """A convolution in one direction, prepared for one geometry, dtype and activation."""

    cdef int set_up(
        self, const Geometry *geometry, Direction direction, str name, bint single, Ending activation
    ) except -1:
        """What every algorithm's constructor does first. name: of the algorithm."""
        self.geometry, self.name, self.single, self.activation = geometry[0], name, single, activation
        x = (geometry.n, geometry.groups * geometry.channels, geometry.h, geometry.w)
        y = (geometry.n, geometry.groups * geometry.filters, geometry.oh, geometry.ow)
        weight = (y[1], geometry.channels, geometry.kh, geometry.kw)
        if direction == FORWARD:
            arrays = [("x", x, "in"), ("weight", weight, "weight"), ("bias", y[1:2], "optional"),
                      ("add", y, "optional"), ("y", y, "out")]
        elif direction == BACKWARD_DATA:
            arrays = [("dy", y, "in"), ("weight", weight, "weight"), ("bias", x[1:2], "optional"), ("dx", x, "out")]
        else:
            arrays = [("dy", y, "in"), ("x", x, "in"), ("dweight", weight, "out"), ("dbias", y[1:2], "out")]
        dtype = np.dtype(np.float32 if single else np.float64)
        self.arrays = tuple([Array(name, shape, dtype, role) for name, shape, role in arrays])
        return 0


cdef object tap_rows(const Geometry *geometry):
    """The rows of a window's taps, from its first row on."""
    return range(0, geometry.kh * geometry.dh, geometry.dh)


cdef object tap_cols(const Geometry *geometry):
    return range(0, geometry.kw * geometry.dw, geometry.dw)
