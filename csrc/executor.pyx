"""Prepared ops run one after the other, with no Python in between: the loop of an inference plan.

    executor = Executor([(job, operands), ...], size)
    arena = executor.new_arena()                      memory for what one job writes and another reads
    executor.run(arena, [x, y])                       all jobs, in order
    executor.run_groups([xs, ys], 4)                  the same for four x and y, each after the other

# Design:
# All arrays of a job are known when the plan is made, but for those that each call brings: so an operand is an address,
# an offset in the arena, or the number of an array that is given to `run`. A call checks the given arrays, takes the
# workspace of the largest job from the pool, and lets go of the GIL once, for all jobs. They share one parallel region,
# if those that gain by several threads take long enough together.
# In a run of groups each thread takes a whole group, with an arena of its own, and meets the others at the end alone.
# If that would leave threads idle, all of them share the jobs of one group after the other. The bits are the same.
# A run changes nothing of the executor: any number of threads may use it, each with an arena of its own.
# The loop has borrowed references to the jobs, which `steps` keeps alive, as it must not touch a reference count.
"""

import math

import numpy as np

from cpython.ref cimport PyObject

from arrays cimport NPY_ARRAY_CARRAY, NPY_ARRAY_CARRAY_RO, PyArray_DESCR, PyArray_FLAGS, PyArrayObject, data_of, size_of
from kernels cimport cnnx_active
from .jobs cimport MOST_ARRAYS, Job
from .memory cimport Block, new_array, take
from .parallel cimport ON_DEMAND, Body, Task, Team, is_shared, part_of, run_team, run_together, team_for

cdef enum:
    CACHE_LINE = 64

cdef enum Place:
    FIXED                           # value: the address; NULL for an optional array that is not there
    ARENA                           # value: the offset
    GIVEN                           # value: the number

cdef struct Operand:
    Place place
    size_t value

cdef struct Entry:
    PyObject *job
    int count
    Operand operands[MOST_ARRAYS]

cdef struct Call:
    const Entry *first
    Py_ssize_t count
    char *arena                     # INOUT
    void **given                    # addresses of the arrays that the call brings
    char *shared                    # workspace of all threads

cdef struct Groups:
    Call call                       # with undefined memory
    Py_ssize_t arrays               # that the call brings
    void **given                    # their addresses in the first group
    const size_t *steps             # bytes from that of a group to that of the next
    size_t arena, scratch, shared   # bytes that the jobs need, in whole cache lines

cdef struct Wanted:                 # an array that a call brings, as a job wants it
    Py_ssize_t step, number, size
    PyObject *dtype                 # borrowed from the job
    int flags

cdef object BYTES = np.dtype(np.uint8)
cdef object NDARRAY = np.ndarray


cdef class Executor:
    """The jobs of a plan, and where their arrays are.

    steps   [(job, operands), ...]. An operand is None, an array, what `job.pack` returned, ("arena", offset), or
            ("given", number)
    size    bytes of the arena

    ValueError or TypeError for operands that do not fit the job.
    """
    cdef readonly list steps
    cdef readonly size_t size
    cdef list given                 # of each step: (number, Array) of the operands that a call brings
    cdef Block memory               # the entries
    cdef Block wanted               # the same as `given`, of all steps
    cdef Py_ssize_t wanted_count
    cdef const void *kernels        # of all jobs
    cdef size_t scratch, shared     # the largest workspaces of a job

    def __init__(self, steps, size):
        cdef Entry *entry
        cdef Job job
        self.steps, self.given, self.size = list(steps), [], size
        self.memory = take(max(<size_t>1, len(self.steps) * sizeof(Entry)))
        for i, (one, operands) in enumerate(self.steps):
            job = one
            if len(operands) != len(job.arrays):
                raise TypeError(f"Executor: {len(operands)} operands, but {job.name} has {len(job.arrays)} arrays")
            entry = <Entry *>self.memory.data + <Py_ssize_t>i
            entry.job, entry.count = <PyObject *>job, <int>len(operands)
            self.given.append([])
            for k, (wanted, operand) in enumerate(zip(job.arrays, operands)):
                entry.operands[<int>k] = self.located(job, wanted, operand)
                if entry.operands[<int>k].place == GIVEN:
                    self.given[i].append((operand[1], wanted))
            self.scratch, self.shared = max(self.scratch, job.scratch), max(self.shared, job.shared)
            job.check_kernels()
        self.kernels = cnnx_active
        self.note_wanted()

    cdef int note_wanted(self) except -1:
        cdef Py_ssize_t i = 0
        cdef Wanted *wanted
        self.wanted_count = sum(map(len, self.given))
        self.wanted = take(max(<size_t>1, self.wanted_count * sizeof(Wanted)))
        wanted = <Wanted *>self.wanted.data
        for step, arrays in enumerate(self.given):
            for number, array in arrays:
                flags = NPY_ARRAY_CARRAY if array.role == "out" else NPY_ARRAY_CARRAY_RO
                dtype = array.dtype
                wanted[i] = Wanted(step, number, math.prod(array.shape), <PyObject *>dtype, flags)
                i += 1
        return 0

    cdef Operand located(self, Job job, wanted, operand) except *:
        if type(operand) is not tuple:
            return Operand(FIXED, <size_t>job.address(wanted, operand))
        place, value = operand
        if place == "given":
            return Operand(GIVEN, value)
        size = math.prod(wanted.shape) * wanted.dtype.itemsize
        if value % wanted.dtype.itemsize or not 0 <= value <= self.size - size:
            raise ValueError(f"Executor: {wanted.name}, {size} bytes at {value}, in an arena of {self.size}")
        return Operand(ARENA, value)

    def new_arena(self):
        """Memory for the values between the jobs; each run at the same time needs its own."""
        return new_array((self.size,), BYTES)

    def run(self, arena, list given, Py_ssize_t first=0, end=None):
        """Run the jobs first ... end - 1, all by default, in order.

        given   the arrays that operands refer to; those that these jobs do not need may be None. ValueError or
                TypeError, before any work, for arrays that do not fit
        """
        cdef Py_ssize_t count = len(self.steps), last = count if end is None else end, i
        cdef Block addresses = take(max(<size_t>1, len(given) * sizeof(void *))), scratch, shared = None
        cdef Team team
        cdef Call call
        if arena.nbytes != self.size or not 0 <= first <= last <= count:
            raise ValueError(
                f"Executor.run: jobs {first} to {last} of {count}, and an arena of {arena.nbytes} bytes for one of "
                f"{self.size}"
            )
        self.check(given, first, last, 1)
        for i in range(len(given)):
            (<void **>addresses.data)[i] = data_of(given[i])
        call = Call(
            <const Entry *>self.memory.data + first, last - first, <char *>data_of(arena), <void **>addresses.data, NULL
        )
        scratch = team_for(&team, shared_cost(&call), self.scratch)
        if self.shared:
            shared = take(self.shared)
            call.shared = <char *>shared.data
        with nogil:
            run_together(&team, <Body>run_entries, &call)

    def run_groups(self, list given, Py_ssize_t groups):
        """Run all jobs for each of so many groups.

        given   as for `run`, but each has the arrays of all groups, one after the other
        """
        cdef Py_ssize_t count = len(self.steps), arrays = len(given), i
        cdef Block addresses = take(max(<size_t>1, 2 * arrays * sizeof(void *)))
        cdef void **first = <void **>addresses.data
        cdef size_t *steps = <size_t *>(first + arrays)
        cdef double cost
        cdef Team team
        cdef Block scratch, whole = None
        cdef Groups all
        self.check(given, 0, count, groups)
        for i in range(arrays):
            first[i], steps[i] = data_of(given[i]), given[i].nbytes // groups
        all.call = Call(<const Entry *>self.memory.data, count, NULL, NULL, NULL)
        all.arrays, all.given, all.steps = arrays, first, steps
        all.arena, all.scratch, all.shared = lines(self.size), lines(self.scratch), lines(self.shared)
        cost = total_cost(&all.call)
        scratch = team_for(&team, groups * cost, all.arena + all.scratch + all.shared + arrays * sizeof(void *))
        if team.threads == 1 or groups % team.threads == 0 or groups >= 2 * team.threads:
            with nogil:
                run_team(&team, <Task>group_task, &all, groups, ON_DEMAND)
            return
        for i in range(groups):
            self.run(self.new_arena(), [part_of_array(array, groups, i) for array in given])

    cdef int check(self, list given, Py_ssize_t first, Py_ssize_t last, Py_ssize_t groups) except -1:
        """RuntimeError, TypeError or ValueError, in the words of a job's own `run`, if the arrays do not fit. They may
        have another shape than that of the job."""
        cdef Py_ssize_t i
        if self.kernels == cnnx_active and self.fits(given, first, last, groups):
            return 0
        for i in range(first, last):
            self.check_step(i, given, groups)
        return 0

    cdef bint fits(self, list given, Py_ssize_t first, Py_ssize_t last, Py_ssize_t groups):
        """Whether the arrays are what the jobs want; some that are not may still do."""
        cdef const Wanted *wanted = <const Wanted *>self.wanted.data
        cdef Py_ssize_t i
        for i in range(self.wanted_count):
            if not first <= wanted[i].step < last:
                continue
            array = given[wanted[i].number]
            if type(array) is not NDARRAY or <void *>PyArray_DESCR(<PyArrayObject *>array) != wanted[i].dtype:
                return False
            if size_of(array) != groups * wanted[i].size:
                return False
            if PyArray_FLAGS(<PyArrayObject *>array) & wanted[i].flags != wanted[i].flags:
                return False
        return True

    cdef int check_step(self, Py_ssize_t i, list given, Py_ssize_t groups) except -1:
        cdef Job job = self.steps[i][0]
        job.check_kernels()
        for number, wanted in self.given[i]:
            array = given[number]
            size = groups * math.prod(wanted.shape)
            if type(array) is np.ndarray and array.size == size and array.flags.c_contiguous:
                array = array.reshape(-1)[:size // groups].reshape(wanted.shape)
            job.check_array(wanted, array)
        return 0


cdef inline size_t lines(size_t size) noexcept nogil:
    """In whole cache lines."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef object part_of_array(array, Py_ssize_t groups, Py_ssize_t group):
    """What one group has of an array."""
    cdef Py_ssize_t size = array.size // groups
    return array.reshape(-1)[group * size:(group + 1) * size]


cdef double shared_cost(const Call *call) noexcept:
    """Nanoseconds on one thread of the jobs that several threads would share."""
    cdef double sum = 0, cost
    cdef Py_ssize_t i
    for i in range(call.count):
        cost = (<Job>call.first[i].job).cost
        if is_shared(cost):
            sum += cost
    return sum


cdef double total_cost(const Call *call) noexcept:
    """Nanoseconds on one thread of all jobs."""
    cdef double sum = 0
    cdef Py_ssize_t i
    for i in range(call.count):
        sum += (<Job>call.first[i].job).cost
    return sum


cdef void group_task(const Groups *all, Py_ssize_t group, char *scratch) noexcept nogil:
    """All jobs of one group on this thread. scratch: arena, workspaces, addresses."""
    cdef Call call = all.call
    cdef Team alone = Team(1, all.scratch, scratch + all.arena, NULL)
    cdef Py_ssize_t i
    call.arena, call.shared = scratch, scratch + all.arena + all.scratch
    call.given = <void **>(call.shared + all.shared)
    for i in range(all.arrays):
        call.given[i] = <char *>all.given[i] + group * all.steps[i]
    run_entries(&call, &alone)


cdef void run_entries(const Call *call, const Team *team) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(call.count):
        run_entry(call, call.first + i, team)


cdef inline void run_entry(const Call *call, const Entry *entry, const Team *team) noexcept nogil:
    cdef void *arrays[MOST_ARRAYS]
    cdef Team part = part_of(team, (<Job>entry.job).cost)
    cdef int k
    for k in range(entry.count):
        if entry.operands[k].place == FIXED:
            arrays[k] = <void *>entry.operands[k].value
        elif entry.operands[k].place == ARENA:
            arrays[k] = call.arena + entry.operands[k].value
        else:
            arrays[k] = call.given[entry.operands[k].value]
    (<Job>entry.job).compute(arrays, call.shared, &part)
