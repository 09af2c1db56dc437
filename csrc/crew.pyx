"""The threads of one parallel region, which meet for many loops: each loop then costs no region of its own.

# Design:
# One thread leads: it runs what comes one after the other, and offers a loop to the others (`lead`). These follow:
# they wait for an open loop, take part in it, and wait for the next.
# A follower joins a loop by counting itself in, and only while the loop is open. The leader closes it when no task is
# left to be taken, and waits for those that are in it. So nobody waits for a follower that comes too late, because
# the scheduler has suspended it or it is still waking up: the leader has then done its tasks.
# All of this is one word, so that to join and to close exclude each other. A generation per loop keeps a follower from
# joining the same loop twice.
# Waiting threads spin: a loop takes as little as some microseconds, and to sleep and wake up takes fifty. From time to
# time they let others use the core, which takes a system call.
"""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(__i386__)
    #define CNNX_PAUSE() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define CNNX_PAUSE() __asm__ volatile("yield")
    #else
    #define CNNX_PAUSE() ((void)0)
    #endif

    #ifdef _WIN32
    #define WIN32_LEAN_AND_MEAN
    #include <windows.h>
    #define CNNX_YIELD() SwitchToThread()
    #else
    #include <sched.h>
    #define CNNX_YIELD() sched_yield()
    #endif

    static void cnnx_spin(unsigned count) {
        if (count % 2048 == 2047) CNNX_YIELD();
        else CNNX_PAUSE();
    }

    static uint64_t cnnx_read(const uint64_t *state) { return __atomic_load_n(state, __ATOMIC_ACQUIRE); }
    static void cnnx_write(uint64_t *state, uint64_t value) { __atomic_store_n(state, value, __ATOMIC_RELEASE); }
    static int cnnx_replace(uint64_t *state, uint64_t seen, uint64_t value) {
        return __atomic_compare_exchange_n(state, &seen, value, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }
    static void cnnx_leave(uint64_t *state) { __atomic_fetch_sub(state, 1, __ATOMIC_RELEASE); }
    static void cnnx_close(uint64_t *state, uint64_t open) { __atomic_fetch_and(state, ~open, __ATOMIC_RELAXED); }
    """
    void spin "cnnx_spin"(unsigned count) noexcept nogil
    uint64_t read "cnnx_read"(const uint64_t *state) noexcept nogil
    void write "cnnx_write"(uint64_t *state, uint64_t value) noexcept nogil
    bint replace "cnnx_replace"(uint64_t *state, uint64_t seen, uint64_t value) noexcept nogil
    void leave "cnnx_leave"(uint64_t *state) noexcept nogil
    void close "cnnx_close"(uint64_t *state, uint64_t open) noexcept nogil

# The word: followers in the loop below, then two flags, then the generation.
cdef uint64_t INSIDE = 0xFFFF
cdef uint64_t OPEN = 0x10000
cdef uint64_t DISMISSED = 0x20000
cdef uint64_t GENERATION = 0x40000


cdef Crew new_crew() noexcept nogil:
    return Crew(0, NULL, NULL)


cdef void follow(Crew *crew) noexcept nogil:
    """Take part in every loop, until the leader dismisses the crew."""
    cdef uint64_t state, joined = 0
    cdef unsigned count = 0
    while True:
        state = read(&crew.state)
        if state & DISMISSED:
            return
        if state & OPEN and state // GENERATION != joined:
            if replace(&crew.state, state, state + 1):
                joined = state // GENERATION
                crew.work(crew.loop)
                leave(&crew.state)
                count = 0
        else:
            spin(count)
            count += 1


cdef void lead(Crew *crew, Work work, void *loop) noexcept nogil:
    """Run `work` on this thread, and on each follower that comes in time. It returns when no task is left to be taken,
    on whichever thread; and `lead` when all have returned."""
    cdef unsigned count = 0
    crew.work, crew.loop = work, loop
    write(&crew.state, (crew.state // GENERATION + 1) * GENERATION + OPEN)
    work(loop)
    close(&crew.state, OPEN)
    while read(&crew.state) & INSIDE:
        spin(count)
        count += 1


cdef void dismiss(Crew *crew) noexcept nogil:
    """No more loops."""
    write(&crew.state, DISMISSED)
