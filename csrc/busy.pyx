"""Fewer threads on a busy machine: what is seen of parallel regions decides how many the next ones get.

# Design:
# A region ends with its slowest thread. If other processes want the cores too, the scheduler suspends a thread of the
# team for milliseconds at any moment, and the others wait for it: a region of 0.1 ms takes 20. On two threads, beside
# one busy process per core, training steps took 5 to 20 times as long as on one.
# So each region is compared with half as many threads: the time they would have needed, less what the caller spent on
# its tasks and on waiting (`gain`). Time for which the caller itself was suspended is on neither side, because it
# would have lost that on one thread too: tasks count at the pace of the thread that was disturbed least. No estimate of
# costs enters, and the clock is read four times a region. (A thread's CPU time would say the same, but its clock is a
# system call of up to 0.8 us.)
# Losses add up to a debt, which gains reduce. When the debt is more than TOLERATED, half as many threads compute for a
# pause; then twice as many are tried. The pause is what was lost times a factor, which doubles with each try that lost
# more than it gained (exponential back-off): tries cost at most 1 / LARGEST_FACTOR of the time, and a single
# disturbance of a quiet machine costs no more than it took itself. Gains are saved up to SAVED only: a long quiet time
# must not hide that the machine became busy.
# OpenMP keeps a team for each calling thread; so each has a state of its own, which needs no lock.
"""

from libc.stdint cimport INT64_MAX, int64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>

    typedef struct {
        int most;        /* threads; 0: as many as allowed */
        double debt;     /* lost less gained; nanoseconds, like all below */
        double gained;   /* since this number of threads is in use, less what was lost */
        double factor;   /* pause / loss, at the last time that threads were given up */
        double pause;
        double retry;    /* the time at which more threads are tried */
    } cnnx_backoff;

    static _Thread_local cnnx_backoff cnnx_state;
    static cnnx_backoff *cnnx_state_of_thread(void) { return &cnnx_state; }

    static int64_t cnnx_clock(void) {
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * (int64_t)1000000000 + time.tv_nsec;
    }

    static void cnnx_at_most(int64_t *smallest, int64_t value) {
        int64_t seen = __atomic_load_n(smallest, __ATOMIC_RELAXED);
        while (value < seen
               && !__atomic_compare_exchange_n(smallest, &seen, value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    }
    """
    ctypedef struct Backoff "cnnx_backoff":
        int most
        double debt
        double gained
        double factor
        double pause
        double retry
    Backoff *state_of_thread "cnnx_state_of_thread"() noexcept nogil
    int64_t cnnx_clock() noexcept nogil
    void at_most "cnnx_at_most"(int64_t *smallest, int64_t value) noexcept nogil

cdef double TOLERATED = 0.5e6           # a sleeping thread takes up to 0.1 ms to wake up, and may do so a few times
cdef double SAVED = 4e6                 # about a time slice of the scheduler: one suspended thread in a while is normal
cdef double SHORTEST_PAUSE = 5e6
cdef double LONGEST_PAUSE = 2e9         # so long a quiet machine may go unnoticed
cdef double LARGEST_FACTOR = 32


cdef int fewer_threads(int limit) noexcept nogil:
    """Threads for the next region of the calling thread: limit, or fewer if the machine is busy."""
    cdef Backoff *state = state_of_thread()
    if state.most == 0:
        return limit
    return threads_at(state, limit, cnnx_clock())


cdef int64_t clock() noexcept nogil:
    return cnnx_clock()


cdef void start(Region *region, int threads) noexcept nogil:
    """Before a region."""
    region.threads, region.own, region.pace = threads, 0, INT64_MAX
    region.before = region.first = region.last = cnnx_clock()


cdef void share(Region *region, bint is_caller, int64_t first, Py_ssize_t tasks) noexcept nogil:
    """Called by each thread when it has done its tasks. first: the time at which it began."""
    cdef int64_t last = cnnx_clock()
    if tasks:
        at_most(&region.pace, (last - first) // tasks)
    if is_caller:
        region.first, region.last, region.own = first, last, tasks


cdef void finish(Region *region, Py_ssize_t tasks) noexcept nogil:
    """After a region."""
    cdef int64_t now = cnnx_clock()
    cdef int64_t waited = (region.first - region.before) + (now - region.last)
    note(state_of_thread(), region.threads, gain(region.threads, tasks, region.own, region.pace, waited), now)


cdef double gain(int threads, Py_ssize_t tasks, Py_ssize_t own, double pace, double waited) noexcept nogil:
    """What a region saved in comparison with half the threads; below 0: what it lost."""
    cdef int half = threads // 2
    cdef Py_ssize_t of_half = (tasks + half - 1) // half
    return (of_half - own) * pace - waited


cdef int threads_at(Backoff *state, int limit, double now) noexcept nogil:
    if state.most < limit and now >= state.retry:
        state.most *= 2
        state.debt = state.gained = 0
        state.retry = now + state.pause
    return min(state.most, limit)


cdef void note(Backoff *state, int threads, double gain, double now) noexcept nogil:
    state.debt = max(state.debt - gain, -SAVED)
    state.gained += gain
    if state.debt <= TOLERATED:
        return
    state.factor = state.factor / 2 if state.gained > 0 else state.factor * 2
    state.factor = min(max(state.factor, 1.0), LARGEST_FACTOR)
    state.pause = min(max(state.debt, SHORTEST_PAUSE) * state.factor, LONGEST_PAUSE)
    state.most, state.retry = threads // 2, now + state.pause
    state.debt = state.gained = 0


cdef class _Backoff:
    """For tests: the rule alone. Times are seconds."""
    cdef Backoff state

    def threads(self, int limit, double now):
        """Threads for a region at this time."""
        return threads_at(&self.state, limit, 1e9 * now) if self.state.most else limit

    def note(self, int threads, double gain, double now):
        """A region on so many threads saved so much, and ended now."""
        note(&self.state, threads, 1e9 * gain, 1e9 * now)


def _gain(int threads, Py_ssize_t tasks, Py_ssize_t own, double pace, double waited):
    """For tests: what a region saved in comparison with half the threads, in the unit of pace and waited."""
    return gain(threads, tasks, own, pace, waited)


def _forget():
    """For tests: the calling thread has seen no region yet."""
    cdef Backoff *state = state_of_thread()
    state.most, state.debt, state.gained, state.factor = 0, 0, 0, 0
