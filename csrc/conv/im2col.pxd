"""Convolution as a linear layer over the window matrix (im2col.pyx)."""

from kernels cimport Ending
from ..jobs cimport Job
from .geometry cimport Geometry

cdef Job prepare_columns(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_columns_dx(const Geometry *geometry, bint single, Ending activation)
cdef Job prepare_columns_dweight(const Geometry *geometry, bint single, Ending activation)
