"""Parallel loops: how many threads a loop gets, and the one place where they start and end.

# Design:
# A loop is a function that runs one of its tasks (`Task`), and a struct that all tasks read. Each thread has scratch
# memory of its own, which the caller provides or `run_tasks` takes from the pool, and counts denormal numbers as zero
# (denormals.h) while it runs tasks.
# A plan's jobs share one region: its first thread leads, and the loops of each job go to its crew (crew.pyx). To meet
# there takes less than a microsecond, so that shorter loops get a second thread than in regions of their own.
# Results never depend on the number: every output element has one owner, and every sum an order that follows from the
# shapes alone. So the number may change at any call, and `threads_for` asks anew each time. It is the smallest of what
# the user said (set_num_threads), what OpenMP allows at this moment (so threadpoolctl works), what the work is worth,
# and what a busy machine can give (busy.pyx). Loops over large tasks are scheduled dynamically: a core that is
# disturbed then takes fewer of them. In a plan, each thread begins with a share of neighbours, and takes from the
# others' when it is done: of the values that one loop leaves for the next, most are then in the cache of their reader.
# A second thread has to pay twice over. To meet costs some microseconds, so that a loop of 20 us gains a little; but
# where another process is busy, one of the team may wait for its turn, for milliseconds, at any loop. With loops of 20
# to 50 us on one thread, training steps of LeNet-5 (1, 8, 32 images) were up to 7 % slower on a quiet machine; beside
# one busy process, those of one image were seven times as fast (3 ms, not 21), of 8 and 32 one and a half times.
# libgomp hangs in a forked child whose parent had a team of threads running: such a child runs on one thread. It ends
# the process when a thread cannot be started: so that is tried before (team.h), and one thread has to do if it fails.
"""

import os
import warnings

import numpy as np

from cython.parallel cimport parallel, prange
from libc.stdint cimport int64_t

from .busy cimport Region, clock, fewer_threads, finish, share, start
from .crew cimport Crew, Work, dismiss, follow, lead, new_crew
from .memory cimport Block, take
from openmp cimport CNNX_OPENMP, omp_get_max_threads, omp_get_num_threads, omp_get_thread_limit, omp_get_thread_num
from openmp cimport meet, omp_set_num_threads

cdef extern from "denormals.h" nogil:
    void cnnx_flush_denormals() noexcept
    void restore_denormals "cnnx_restore_denormals"() noexcept

cdef extern from "team.h":
    bint can_have_team "cnnx_can_have_team"(int threads) noexcept

cdef extern from *:
    """
    static Py_ssize_t cnnx_fetch_add(Py_ssize_t *next, Py_ssize_t n) {
        return __atomic_fetch_add(next, n, __ATOMIC_RELAXED);
    }
    """
    Py_ssize_t fetch_add "cnnx_fetch_add"(Py_ssize_t *next, Py_ssize_t n) noexcept nogil

cdef enum:
    ENOUGH_TASKS = 32                     # for threads to share: more are taken several at a time
    CACHE_LINE = 64
    MOST_SHARES = 16

cdef struct Share:
    Py_ssize_t next, end    # the tasks of it that no thread has taken
    char[CACHE_LINE - 16] unused          # so that no two threads write to one line

cdef struct Loop:
    const Team *team
    Task task
    const void *job
    Py_ssize_t tasks, chunk
    Py_ssize_t shares       # the tasks are cut into so many runs of neighbours
    Share[MOST_SHARES] share
    Region *region

cdef double worth_a_thread = 50_000       # nanoseconds: below, a second thread does not pay twice over
cdef double WORTH_A_MEETING = 0.05        # of that: below, it does not pay where the threads are in one region anyway

cdef int thread_limit = 1
cdef int smallest_team = 0, largest_team = 0    # of the regions since the last call of `_teams`; 0: none
cdef bint team_was_used = False           # a parallel region ran in this process: a forked child must not start one
cdef bint single_threaded_child = False
cdef bint child_was_warned = False


cdef inline int openmp_threads() noexcept nogil:
    """As many as OpenMP gives at this moment."""
    return min(omp_get_max_threads(), omp_get_thread_limit())


cdef int threads_for(double nanoseconds) except -1:
    """Threads for a loop that takes about so long on one. Called with the GIL, before the loop."""
    global thread_limit, team_was_used, child_was_warned
    cdef int n = min(thread_limit, openmp_threads())
    if n == 1 or nanoseconds < worth_a_thread:
        return 1
    if single_threaded_child:
        if not child_was_warned:
            child_was_warned = True
            warnings.warn(
                "cnnx runs on one thread in this process: it was forked after its parent had used several. "
                'Start processes with multiprocessing.get_context("spawn") to use them.',
                RuntimeWarning,
                stacklevel=3,
            )
        return 1
    if not can_have_team(n):
        thread_limit = 1
        warnings.warn(
            f"cnnx runs on one thread: {n} cannot be started, for want of memory for their stacks or of a larger limit "
            f"(ulimit -v, ulimit -u, the container's). Make room, then cnnx.set_num_threads({n}) to use {n} again.",
            RuntimeWarning,
            stacklevel=3,
        )
        return 1
    team_was_used = True
    return n


cdef inline void flush_denormals(int team) noexcept nogil:
    """What each of so many threads does first in a loop; the first notes their number. Where tests want all loops on
    several threads, they begin together: or the first would have done all before others wake up."""
    global smallest_team, largest_team
    cnnx_flush_denormals()
    if omp_get_thread_num() == 0:
        smallest_team = min(smallest_team, team) if smallest_team else team
        largest_team = max(largest_team, team)
    if worth_a_thread == 0 and team > 1:
        meet()


cdef int run_tasks(
    Task task, const void *job, Py_ssize_t tasks, Schedule schedule, double nanoseconds, size_t scratch=0
) except -1:
    """All tasks of a loop that takes about so long on one thread; each thread gets `scratch` bytes."""
    cdef Team team
    cdef Block block = team_for(&team, nanoseconds, scratch)
    with nogil:
        run_team(&team, task, job, tasks, schedule)
    return 0


cdef Block team_for(Team *team, double nanoseconds, size_t scratch):
    """A team for work that takes about so long on one thread. Its scratch memory lives as long as the result, and is
    that of all threads also where a busy machine gets fewer: what the pool holds must not depend on other processes."""
    cdef Block block = None
    team.threads, team.scratch, team.memory, team.crew = threads_for(nanoseconds), aligned(scratch), NULL, NULL
    if scratch:
        block = take(team.threads * team.scratch)
        team.memory = <char *>block.data
    if team.threads > 1 and worth_a_thread > 0:
        team.threads = fewer_threads(team.threads)
    return block


cdef bint is_shared(double nanoseconds) noexcept nogil:
    """Whether several threads of one region share a loop that takes about so long on one."""
    return nanoseconds >= WORTH_A_MEETING * worth_a_thread


cdef Team part_of(const Team *team, double nanoseconds) noexcept nogil:
    """Of a team for several loops: all of it, or one thread, for a loop that takes about so long on one."""
    return Team(team.threads if is_shared(nanoseconds) else 1, team.scratch, team.memory, team.crew)


cdef void run_together(Team *team, Body body, void *argument) noexcept nogil:
    """body(argument, team) on the calling thread, in one region: the other threads wait for its loops."""
    cdef Region region
    cdef Crew crew = new_crew()
    if team.threads == 1:
        body(argument, team)
        return
    team.crew = &crew
    start(&region, team.threads)
    with parallel(num_threads=team.threads):
        if omp_get_thread_num() == 0:
            region.first = clock()
            body(argument, team)
            dismiss(&crew)
            region.last = clock()
        else:
            follow(&crew)
    team.crew = NULL
    if worth_a_thread > 0:
        finish(&region, 0)


cdef inline size_t aligned(size_t size) noexcept nogil:
    """In whole cache lines, so that no two threads write to one."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef void run_team(
    const Team *team, Task task, const void *job, Py_ssize_t tasks, Schedule schedule
) noexcept nogil:
    """All tasks of a loop, on the threads of a team."""
    cdef Loop loop
    cdef Region region
    cdef Py_ssize_t i
    if team.threads == 1 or team.crew != NULL and tasks == 1:
        flush_denormals(1)
        for i in range(tasks):
            task(job, i, team.memory)
        restore_denormals()
        return
    loop.team, loop.task, loop.job, loop.tasks, loop.region = team, task, job, tasks, &region
    loop.chunk = max(<Py_ssize_t>1, tasks // ENOUGH_TASKS) if schedule == FEW_AT_A_TIME else 1
    loop.shares = 1 if team.crew == NULL else min(team.threads, MOST_SHARES)
    for i in range(loop.shares):
        loop.share[i].next, loop.share[i].end = tasks * i // loop.shares, tasks * (i + 1) // loop.shares
    if schedule == EVENLY:
        loop.chunk = ceil_div(tasks, loop.shares)
    start(&region, team.threads)
    if team.crew != NULL:
        lead(team.crew, <Work>run_on_demand, &loop)
    elif schedule == EVENLY:
        with parallel(num_threads=team.threads):
            run_share(&loop)
    else:
        with parallel(num_threads=team.threads):
            run_on_demand(&loop)
    if worth_a_thread > 0:
        finish(&region, tasks)


cdef void run_share(Loop *loop) noexcept nogil:
    """The tasks of one thread, if all get the same number."""
    cdef int thread = omp_get_thread_num(), threads = omp_get_num_threads()
    cdef Py_ssize_t first = loop.tasks * thread // threads, end = loop.tasks * (thread + 1) // threads, i
    cdef char *scratch = loop.team.memory + thread * loop.team.scratch
    cdef int64_t began = clock()
    flush_denormals(threads)
    for i in range(first, end):
        loop.task(loop.job, i, scratch)
    restore_denormals()
    share(loop.region, thread == 0, began, end - first)


cdef void run_on_demand(Loop *loop) noexcept nogil:
    """The tasks of one thread, if each takes the next ones that are left: first of its own share, then of others'."""
    cdef int thread = omp_get_thread_num()
    cdef Py_ssize_t first, end, i, k, done = 0
    cdef char *scratch = loop.team.memory + thread * loop.team.scratch
    cdef int64_t began = clock()
    cdef Share *part
    flush_denormals(omp_get_num_threads())
    for k in range(loop.shares):
        part = &loop.share[(thread + k) % loop.shares]
        while True:
            first = fetch_add(&part.next, loop.chunk)
            if first >= part.end:
                break
            end = min(first + loop.chunk, part.end)
            for i in range(first, end):
                loop.task(loop.job, i, scratch)
            done += end - first
    restore_denormals()
    share(loop.region, thread == 0, began, done)


def _set_worth_a_thread(double nanoseconds):
    """For tests: how long a loop must take on one thread to get several; at 0 all do. Returns what it was."""
    global worth_a_thread
    before, worth_a_thread = worth_a_thread, nanoseconds
    return before


def _teams():
    """For tests: how many threads ran in the smallest and in the largest parallel region since the last call."""
    global smallest_team, largest_team
    seen = smallest_team, largest_team
    smallest_team = largest_team = 0
    return seen


def set_num_threads(int n):
    """Use up to n threads from now on."""
    global thread_limit
    thread_limit = n if CNNX_OPENMP else 1
    omp_set_num_threads(thread_limit)


def get_num_threads():
    """The largest number of threads that an op uses."""
    return 1 if single_threaded_child else min(thread_limit, openmp_threads())


def flushing_threads(int threads):
    """How many of so many threads count denormal numbers as zero at this moment, outside of ops: none should."""
    cdef double smallest = np.finfo(np.float64).smallest_subnormal
    cdef int thread, count = 0
    for thread in prange(threads, nogil=True, schedule="static", num_threads=threads):
        count += smallest * 2 == 0
    return count


def default_num_threads():
    """Cores that this process may use: the smallest of affinity, quota, OpenMP's variables, CNNX_NUM_THREADS."""
    counts = [openmp_threads(), os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    counts.extend(_cgroup_quota())
    asked = os.environ.get("CNNX_NUM_THREADS")
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise ValueError(f"environment variable CNNX_NUM_THREADS={asked}: a whole number from 1 on is expected")
        counts.append(int(asked))
    return max(1, min(counts))


def _cgroup_quota():
    """CPU time that a container may use, in whole cores, rounded up; nothing where there is no limit."""
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            with open(quota_file) as file:
                words = file.read().split()
            if period_file:
                with open(period_file) as file:
                    words += file.read().split()
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            yield -(-quota // period)


def _after_fork():
    global single_threaded_child, child_was_warned
    single_threaded_child = single_threaded_child or team_was_used
    child_was_warned = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

thread_limit = default_num_threads()
