"""Work done ahead by threads, in order and with bounded memory: `in_order`."""

# Design:
# The iterator is a generator, so its `finally` runs in every way in which it can end: exhausted,
# closed, garbage-collected, an error in a worker (which `result()` raises with the traceback of the
# worker), or Ctrl-C in the consumer, whose wait for a result can be interrupted. It drops the jobs
# that have not begun and waits for those that have: no thread outlives the iterator. Threads start
# with the first `next`, so an iterator that is never used has none.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, ahead: int
) -> Iterator[Result]:
    """The results of `map(function, jobs)`, computed by threads.

    workers  number of threads
    ahead    results, finished or in progress, that may exist beyond the one last returned
    """
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor
    from itertools import islice

    remaining = iter(jobs)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cnnx-data")
    try:
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, job) for job in islice(remaining, ahead)
        )
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, job) for job in islice(remaining, 1))
            yield result
            del result  # the consumer may have released it
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
