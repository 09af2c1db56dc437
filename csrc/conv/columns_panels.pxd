"""Convolution of a few windows with weights that are packed once (columns_panels.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_columns_by_panels(const Geometry *geometry, bint single, Ending activation)
