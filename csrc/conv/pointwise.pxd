"""1x1 convolutions (pointwise.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_pointwise(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_pointwise_dx(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_pointwise_dweight(const Geometry *geometry, bint single, Ending activation)
