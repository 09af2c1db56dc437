"""Backward-weight by Winograd's algorithm (winograd_dweight.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_winograd_dweight(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_winograd_dweight_by_strips(const Geometry *geometry, bint single, Ending activation)
