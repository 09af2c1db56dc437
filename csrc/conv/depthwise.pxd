"""Depthwise convolution, plane by plane (depthwise.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_depthwise(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_depthwise_dx(const Geometry *geometry, bint single, Ending activation)
