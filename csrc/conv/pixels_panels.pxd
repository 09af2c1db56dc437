"""Convolution of images whose channels are last (pixels_panels.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_pixels_by_panels(const Geometry *geometry, bint single, Ending activation)
