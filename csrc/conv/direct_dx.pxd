"""Backward-data of a convolution, straight from dy (direct_dx.pyx)."""

from kernels cimport Ending
from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_direct_dx(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_implicit_gemm_dx(const Geometry *geometry, bint single, Ending activation)
