"""Winograd's convolution with channels in lanes, of weights that are packed once (winograd_panels.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_winograd_by_panels(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_winograd_channels_last(const Geometry *geometry, bint single, Ending activation)
