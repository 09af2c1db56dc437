"""Means over a given number of windows (adaptive.pyx)."""

from .pooling cimport Pooling

cdef int plan_adaptive(Pooling job) except -1
