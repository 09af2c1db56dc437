"""Backward of the maximum to all pixels that equal it (ties.pyx)."""

from .pooling cimport Pooling

cdef int plan_ties(Pooling job) except -1
