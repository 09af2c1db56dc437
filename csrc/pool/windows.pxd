"""Pooling over windows of any size and stride (windows.pyx)."""

from .pooling cimport Pooling

cdef int plan_windows(Pooling job) except -1
cdef int set_shares(Pooling job, tuple padding, tuple counted, divisor) except -1
