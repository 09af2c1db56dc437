"""Seeded random numbers for initialisation, shuffling and dropout.

    >>> import cnnx
    >>> cnnx.manual_seed(0)
    >>> first = cnnx.random.generator().random()
    >>> cnnx.manual_seed(0)
    >>> first == cnnx.random.generator().random()
    True

NumPy's own global state (`np.random.seed`) is neither read nor changed.

Each thread has its own stream of random numbers. `manual_seed` seeds the calling thread's. A thread
that has not seeded gets a stream at its first number, derived from the main thread's seed: the
first such thread gets the first child stream, and so on. So no thread changes another's numbers,
and a thread that seeds gets the numbers that it would get alone. An asyncio task (and anything that
runs in a copy of a context, as `asyncio.to_thread` does) continues its creator's stream until it
seeds its own.
"""

# Design:
# A `Stream` contains all randomness: a NumPy generator for numbers drawn once (weights, shuffling),
# and a key (seed, call) for dropout. A dropout mask is a pure function of its key, so backward
# recomputes it instead of storing it, and the mask does not depend on threads or the backend.
# The call counter is stored here and not in the layers: every dropout of every step takes the next
# number, so masks differ between layers and steps, a layer that is used in two places draws twice,
# and layers have no hidden state (nothing to pickle or copy).
# The current stream is in a ContextVar, so that threads and asyncio tasks have their own; streams
# are mutable, and copies of a context share them. `fit(seed=...)` trains inside `seeded(seed)`, a
# stream for that block, so previous calls do not affect its numbers.
# The main thread also has a stream outside of all contexts, the one it seeded last. A notebook may
# run each cell in a separate context, and is seeded once; and other threads, which begin with an
# empty context, derive theirs from it. Child streams are numbered; 0 is used for dropout.
# `get_state` consists of plain ints and strings (JSON), so that training can be resumed with the
# same bits.

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = ["dropout_key", "generator", "get_state", "manual_seed", "seeded", "set_state"]

_KEY_LIMIT = 2**63  # the kernels take seed and call as signed 64-bit integers


class Stream:
    """A NumPy generator and a source of dropout keys, both derived from one seed.

    root   the seed sequence it is derived from
    block  whether it belongs to a `seeded` block, and ends with it
    """

    def __init__(self, root: np.random.SeedSequence, block: bool = False) -> None:
        self.root, self.block = root, block
        self.generator = np.random.Generator(np.random.PCG64(root))
        # A child of the seed sequence: dropout does not reuse the numbers used for weights.
        child = root.spawn(1)[0]
        self.dropout_seed = int(child.generate_state(1, np.uint64)[0]) % _KEY_LIMIT
        self.dropout_calls = 0


_lock = (
    threading.RLock()
)  # threads may share a stream, and all derive theirs from the main thread's
_main_stream: Stream | None = None
_own_stream: ContextVar[Stream | None] = ContextVar("cnnx_random_stream", default=None)


def _main() -> Stream:
    """The main thread's stream, made when it is first asked for: NumPy imports its random module
    then, which takes 10 ms."""
    global _main_stream
    if _main_stream is None:
        with _lock:
            if _main_stream is None:
                _main_stream = Stream(np.random.SeedSequence())
    return _main_stream


def _stream() -> Stream:
    """The caller's stream."""
    stream = _own_stream.get()
    if stream is None:
        if _in_main_thread():
            return _main()
        with _lock:
            root = _main().root.spawn(1)[0]
        stream = Stream(root)
        _own_stream.set(stream)
    return stream


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _check_seed(function: str, seed: Any) -> int:
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{function}: seed is {seed!r}, expected a non-negative integer")
    if seed < 0:
        raise ValueError(f"{function}: seed is {seed}, expected a non-negative integer")
    return int(seed)


def manual_seed(seed: int) -> None:
    """Seed the random numbers of the calling thread (or asyncio task): initial weights, shuffling
    and dropout.

    seed    non-negative integer of any size

    Other threads keep their numbers; those that have drawn none yet derive theirs from the main
    thread's seed (see `cnnx.random`).

    Example: ``cnnx.manual_seed(0)`` before building a model fixes its weights.
    """
    global _main_stream
    before = _own_stream.get()
    block = before is not None and before.block
    stream = Stream(np.random.SeedSequence(_check_seed("manual_seed", seed)), block)
    _own_stream.set(stream)
    if _in_main_thread() and not block:
        _main_stream = stream


def generator(seed: int | None = None) -> np.random.Generator:
    """The generator that cnnx draws from, or for an int a new one with that seed.

    Example: ``cnnx.random.generator(7).permutation(10)`` is the same list each time.
    """
    if seed is None:
        return _stream().generator
    return np.random.default_rng(_check_seed("generator", seed))


def dropout_key() -> tuple[int, int]:
    """The next (seed, call) for `ops.dropout`: two ints, 0 <= each < 2**63, never repeated."""
    stream = _stream()
    with _lock:
        call = stream.dropout_calls
        stream.dropout_calls += 1
    return stream.dropout_seed, call


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Context with a separate stream; the stream outside is not affected.

    Example: ``with cnnx.random.seeded(3): layer = cnnx.Linear(2, 2)`` is the same layer each time.
    """
    root = np.random.SeedSequence(None if seed is None else _check_seed("seeded", seed))
    token = _own_stream.set(Stream(root, block=True))
    try:
        yield
    finally:
        _own_stream.reset(token)


def get_state() -> dict[str, Any]:
    """The state of the current stream as plain ints and strings, suitable for JSON.

    Example: ``state = cnnx.random.get_state()``, later ``cnnx.random.set_state(state)``: the
    numbers that follow are the same both times.
    """
    stream = _stream()
    return {
        "generator": stream.generator.bit_generator.state,
        "dropout_seed": stream.dropout_seed,
        "dropout_calls": stream.dropout_calls,
    }


def set_state(state: dict[str, Any]) -> None:
    """Restore a state of `get_state`; ValueError, without any change, if it is not one."""
    try:
        bits = np.random.PCG64()
        bits.state = state["generator"]
        seed, calls = int(state["dropout_seed"]), int(state["dropout_calls"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"set_state: not a state of cnnx.random: {error!r}") from error
    if not (0 <= seed < _KEY_LIMIT and 0 <= calls < _KEY_LIMIT):
        raise ValueError(
            f"set_state: dropout_seed {seed} and dropout_calls {calls} must lie in [0, 2**63)"
        )
    stream = _stream()
    stream.generator = np.random.Generator(bits)
    stream.dropout_seed, stream.dropout_calls = seed, calls
