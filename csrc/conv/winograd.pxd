"""Winograd's convolution, forward and backward-data (winograd.pyx), and what backward-weight shares with it."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef enum:
    POINTS = 36             # of a 6x6 tile
    SKEW = 16               # elements between points, beyond their own: or all would meet in one cache set


cdef struct Tiling:         # 4x4 tiles that cover the planes of y, whose windows lie in x
    Py_ssize_t n, channels, filters     # images, planes of x, planes of y
    Py_ssize_t h, w         # of x
    Py_ssize_t oh, ow       # of y
    Py_ssize_t top, left    # padding of x
    Py_ssize_t rows, cols   # tiles of an image
    Py_ssize_t tiles        # of all images


cdef Tiling tiling_of(const Geometry *geometry, bint rotated) noexcept

cdef Job prepare_winograd(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_winograd_by_filters(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_winograd_dx(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_winograd_dx_by_filters(const Geometry *geometry, bint single, Ending activation)
