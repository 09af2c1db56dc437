/* Checks that a team of threads can be started, before OpenMP starts it: libgomp ends the process if it cannot.

   Design:
   A thread's stack is address space (8 MB as a rule). A process may have none left, or may have reached the number of
   threads that it may have (ulimit -v, ulimit -u, a container's limit). So as many threads as the team lacks are
   started, exist at the same time, and end at once; what they took is then free for the team. OpenMP keeps a team for
   the next loop of the same calling thread, and ends the threads that a smaller team does not need: only a team that
   grows is tried. What another thread takes in between cannot be known, nor a stack that OMP_STACKSIZE makes larger.
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
