"""1x1 convolutions with weights that are packed once (pointwise_panels.pyx)."""

from kernels cimport Ending

from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_pointwise_by_panels(const Geometry *geometry, bint single, Ending activation)
