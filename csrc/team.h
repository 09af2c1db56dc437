/* Whether a team of threads can be had, asked before OpenMP is: it ends the process when it cannot start a thread.

   Design:
   A thread's stack is address space (8 MB as a rule), and a process may have come to the end of that, or of the threads
   that it may have (ulimit -v, ulimit -u, a container's). So as many threads as the team lacks are started, all there
   at one time, and end at once; what they took is then there for the team. OpenMP keeps a team for the next loop of the
   same calling thread, and ends the threads that a smaller one does not need: only a team that grows is tried.
   What cannot be known is what another thread takes in between, or a stack that OMP_STACKSIZE makes larger.
*/
#ifndef CNNX_TEAM_H
#define CNNX_TEAM_H

#ifdef _OPENMP
#include <pthread.h>
#include <stdlib.h>

static void *cnnx_pass(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

static int cnnx_can_start(int threads) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *started = malloc(threads * sizeof *started);
    int n = 0;
    if (!started) return 0;
    pthread_mutex_lock(&gate);
    while (n < threads && pthread_create(&started[n], NULL, cnnx_pass, &gate) == 0) n++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++) pthread_join(started[i], NULL);
    free(started);
    return n == threads;
}

static inline int cnnx_can_have_team(int threads) {
    static _Thread_local int team = 1; /* of this thread, so far */
    if (threads > team && !cnnx_can_start(threads - team)) return 0;
    team = threads;
    return 1;
}

#else

static inline int cnnx_can_have_team(int threads) { return threads == 1; }

#endif
#endif
