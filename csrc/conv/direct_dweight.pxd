"""Backward-weight of a convolution, straight from the image (direct_dweight.pyx)."""

from kernels cimport Ending
from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_direct_dweight(const Geometry *geometry, bint single, Ending activation)
