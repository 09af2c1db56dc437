"""Pooling of 2x2 windows side by side (pairs.pyx)."""

from .pooling cimport Pooling

cdef bint are_pairs(Pooling job, tuple kernel, tuple stride, tuple padding)
cdef int plan_pairs(Pooling job) except -1
