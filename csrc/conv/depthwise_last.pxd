"""Depthwise convolution of arrays whose channels are last (depthwise_last.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_depthwise_last(const Geometry *geometry, bint single, Ending activation)
