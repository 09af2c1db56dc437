"""Prepared ops: what follows from the shapes alone is decided once, and a call only computes.

    job = prepare(...)                    algorithm, block sizes, workspace, cost; no arrays
    packed = job.pack(weight)             weights as the kernels read them; valid while the weights do not change
    job.run(x, packed, bias, add, y)      nothing is chosen or packed, and only the workspace is allocated

# Design:
# An eager op is the three in a row, with its job from the cache below; an inference plan keeps jobs and packed weights.
# A kind of job is a subclass: its constructor sets the attributes, and it overrides `compute`, and `pack_weight` if it
# packs. These run without the GIL, on addresses in the order of `Job.arrays`; that of an optional array may be NULL.
# Jobs are cached under a key of their kind and all shapes and settings. Another kernel set has other tile sizes: the
# cache then begins anew, and jobs that somebody kept refuse to run.
"""

from collections import namedtuple

import numpy as np

cimport cython
from arrays cimport data_of
from kernels cimport cnnx_active
from .memory cimport Block, take
from .parallel cimport Team, team_for

cdef enum:
    MOST_JOBS = 4096        # kept; then all are dropped: only a program whose shapes keep changing gets there

Array = namedtuple("Array", ["name", "role", "shape", "dtype"])
Array.__doc__ = """An array that `Job.run` takes. role: "in", "optional" (or None), "weight" (or a Packed), "out"."""

cdef dict cache = {}
cdef const void *cached_for = NULL      # the kernel set of the cached jobs


cdef Job find(tuple key):
    """The job that is cached under this key, or None."""
    global cached_for
    if cached_for != cnnx_active:
        cache.clear()
        cached_for = cnnx_active
    return <Job>cache.get(key)


cdef Job keep(tuple key, Job job):
    """Cache a job; returns it."""
    if len(cache) >= MOST_JOBS:
        cache.clear()
    cache[key] = job
    return job


def clear():
    """Drop all cached jobs."""
    cache.clear()


def count():
    """The number of cached jobs."""
    return len(cache)


@cython.final
cdef class Packed:
    """Weights as the kernels of one job read them; made by `Job.pack`."""

    def __init__(self):
        raise TypeError("Packed: made by job.pack(weight)")


cdef class Job:
    """An op prepared for one geometry and dtype."""

    def __cinit__(self):
        self.kernels = cnnx_active
        self.arrays = ()

    cdef void pack_weight(self, const void *weight, void *packed, const Team *team) noexcept nogil:
        """Fill `packed`, `self.packed` bytes."""
        pass

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        """The op. shared: `self.shared` bytes; the team has `self.scratch` bytes for each thread."""
        pass

    cdef Block packed_weight(self, const void *weight):
        """Packed weights, for an eager call."""
        cdef Team team
        cdef Block memory = take(self.packed)
        team_for(&team, self.cost, 0)
        with nogil:
            self.pack_weight(weight, memory.data, &team)
        return memory

    cdef int start(self, void **arrays) except -1:
        """Compute, on as many threads as pay, with a workspace from the pool."""
        cdef Team team
        cdef Block scratch = team_for(&team, self.cost, self.scratch)
        cdef Block block = take(self.shared) if self.shared else None
        cdef char *shared = <char *>block.data if block is not None else NULL
        with nogil:
            self.compute(arrays, shared, &team)
        return 0

    def pack(self, weight):
        """Weights as this job's kernels read them, for `run`: a Packed, or the array itself if the job reads it as it
        is. ValueError or TypeError for another shape or dtype."""
        cdef Packed packed
        self.check_kernels()
        for wanted in self.arrays:
            if wanted.role == "weight":
                self.check_array(wanted, weight)
        if not self.packed:
            return weight
        packed = Packed.__new__(Packed)
        packed.job, packed.block = self, self.packed_weight(data_of(weight))
        return packed

    def run(self, *arrays):
        """Compute, from and into all of `Job.arrays`, in order; None for an optional one.

        Nothing is allocated but the workspace, and outputs must not share memory with inputs. ValueError or TypeError
        for arrays that do not fit.
        """
        cdef void *addresses[MOST_ARRAYS]
        cdef Py_ssize_t i
        self.check_kernels()
        if len(arrays) != len(self.arrays):
            names = ", ".join(wanted.name for wanted in self.arrays)
            raise TypeError(
                f"{type(self).__name__}.run: {len(arrays)} arrays given, expected {len(self.arrays)}: {names}"
            )
        for i in range(len(arrays)):
            addresses[i] = self.address(self.arrays[i], arrays[i])
        self.start(addresses)

    cdef void *address(self, wanted, array) except? NULL:
        if wanted.role == "optional" and array is None:
            return NULL
        if wanted.role == "weight" and self.packed:
            if not isinstance(array, Packed) or (<Packed>array).job is not self:
                raise TypeError(f"{type(self).__name__}.run: {wanted.name} must come from this job's pack")
            return (<Packed>array).block.data
        self.check_array(wanted, array)
        return data_of(array)

    cdef int check_array(self, wanted, array) except -1:
        """TypeError or ValueError if the kernels cannot use an array as it is."""
        what = f"{type(self).__name__}: {wanted.name}"
        if type(array) is not np.ndarray or array.dtype != wanted.dtype:
            found = f"has dtype {array.dtype}" if isinstance(array, np.ndarray) else f"is a {type(array).__name__}"
            raise TypeError(f"{what} {found}, but an array of {wanted.dtype} is expected")
        if array.shape != wanted.shape:
            raise ValueError(f"{what} has shape {array.shape}, but {wanted.shape} is expected")
        if not array.flags.c_contiguous or not array.flags.aligned:
            raise ValueError(f"{what} must be contiguous and aligned")
        if wanted.role == "out" and not array.flags.writeable:
            raise ValueError(f"{what} is read-only")
        return 0

    cdef int check_kernels(self) except -1:
        if self.kernels != cnnx_active:
            raise RuntimeError(f"{type(self).__name__}: prepared for another kernel set than the one in use")
        return 0
