"""Means of whole planes (global_average.pyx)."""

from .pooling cimport Pooling

cdef int plan_global_average(Pooling job) except -1
