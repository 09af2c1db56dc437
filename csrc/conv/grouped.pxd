"""Convolutions of many small groups (grouped.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_grouped(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_grouped_dx(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_grouped_dweight(const Geometry *geometry, bint single, Ending activation)
