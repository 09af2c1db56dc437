"""The one door to threads (parallel.pyx): `run_tasks` for one loop, `run_team` for the loops of a job, `run_together`
for the jobs of a plan."""

from .crew cimport Crew
from .memory cimport Block

# One of `tasks` independent pieces of a loop. job: what all of them read; scratch: of the thread that runs it.
ctypedef void (*Task)(const void *job, Py_ssize_t task, void *scratch) noexcept nogil

cdef enum Schedule:
    EVENLY              # every thread gets the same number of neighbouring tasks: short, similar ones
    ON_DEMAND           # one at a time, to whichever thread is free: long ones
    FEW_AT_A_TIME       # the same, with some neighbours at a time: many of which two share cache lines


cdef struct Team:       # who runs a job, and where
    int threads
    size_t scratch      # bytes of a thread
    char *memory        # threads * scratch bytes, aligned
    Crew *crew          # in `run_together`: the threads are in one region; or NULL

ctypedef void (*Body)(void *argument, const Team *team) noexcept nogil


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """How many tasks of size b there are in a; a >= 0, b > 0."""
    return (a + b - 1) // b


cdef int threads_for(double nanoseconds) except -1
cdef Block team_for(Team *team, double nanoseconds, size_t scratch)
cdef bint is_shared(double nanoseconds) noexcept nogil
cdef Team part_of(const Team *team, double nanoseconds) noexcept nogil
cdef void run_together(Team *team, Body body, void *argument) noexcept nogil
cdef void run_team(
    const Team *team, Task task, const void *job, Py_ssize_t tasks, Schedule schedule
) noexcept nogil
cdef int run_tasks(
    Task task, const void *job, Py_ssize_t tasks, Schedule schedule, double nanoseconds, size_t scratch=*
) except -1
