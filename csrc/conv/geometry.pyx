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

from kernels cimport Ending, real
from ..jobs cimport Job
from ..parallel cimport ceil_div


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
        self.arrays = tuple([Array(name, role, shape, dtype) for name, shape, role in arrays])
        return 0


cdef bint is_dense(const Geometry *geometry) noexcept:
    """Whether the windows are the pixels of the image: 1x1, at stride 1, without padding."""
    return (
        geometry.kh == geometry.kw == geometry.sh == geometry.sw == 1 and geometry.top == geometry.left == 0
        and geometry.h == geometry.oh and geometry.w == geometry.ow
    )


cdef object tap_rows(const Geometry *geometry):
    """The rows of a window's taps, from its first row on."""
    return range(0, geometry.kh * geometry.dh, geometry.dh)


cdef object tap_cols(const Geometry *geometry):
    return range(0, geometry.kw * geometry.dw, geometry.dw)


cdef Lattice forward_lattice(
    Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t padding, Py_ssize_t dilation
) noexcept:
    """All outputs of a convolution: they read all taps."""
    return Lattice(size, 0, 1, -padding, stride, kernel, dilation, 0, 1)


cdef Lattice backward_lattice(
    Py_ssize_t first, Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t padding, Py_ssize_t dilation
) noexcept:
    """The pixels first, first + stride, ... of dx, and what they read of dy, in dy's order; first < stride, size.

    Pixel p of x is tap u of window (p + padding - u*dilation) / stride, where that is whole. Taps that have one are
    equal distances apart.
    """
    cdef Lattice lattice = Lattice(ceil_div(size - first, stride), first, stride, 0, 1, 0, 1, 0, 1)
    cdef Py_ssize_t u, at
    for u in range(kernel - 1, -1, -1):
        at = first + padding - u * dilation
        if at % stride != 0:
            continue
        if lattice.taps == 0:
            lattice.source, lattice.cell = at // stride, u
        elif lattice.taps == 1:
            lattice.tap_stride, lattice.cell_stride = at // stride - lattice.source, u - lattice.cell
        lattice.taps += 1
    return lattice


cdef Py_ssize_t image_groups(Py_ssize_t most, Py_ssize_t elements) noexcept:
    """How many groups, of sums of so many elements."""
    return max(<Py_ssize_t>1, min(most, <Py_ssize_t>MOST_IMAGE_GROUPS, IMAGE_GROUPS_ELEMENTS // elements))


cdef void add_bias_sums(
    Py_ssize_t image_groups, Py_ssize_t filters, const double *bias_sums, real *dbias
) noexcept nogil:
    """dbias (filters,) = the sum of bias_sums (image_groups, filters) over groups."""
    cdef Py_ssize_t f, g
    cdef double total
    for f in range(filters):
        total = 0
        for g in range(image_groups):
            total += bias_sums[g * filters + f]
        dbias[f] = <real>total
