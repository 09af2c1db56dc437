"""The seeded randomness that initialisation, shuffling and dropout share.

    >>> import cnnx
    >>> cnnx.manual_seed(0)
    >>> first = cnnx.random.generator().random()
    >>> cnnx.manual_seed(0)
    >>> first == cnnx.random.generator().random()
    True

NumPy's own global state (`np.random.seed`) is neither read nor changed.
"""

# Design:
# A `Stream` holds all randomness: a NumPy generator for what is drawn once (weights, shuffling),
# and for dropout a key (seed, call). A dropout mask is a pure function of its key, so backward
# makes it again instead of keeping it, and the mask does not depend on threads or on the backend.
# The call counter lives here and not in the layers: every dropout of every step takes the next
# number, so masks differ from layer to layer and from step to step, a layer that stands at two
# places draws twice, and layers stay without hidden state (nothing to pickle or copy).
# `fit(seed=...)` trains inside `seeded(seed)`, a stream of its own in a ContextVar: what ran
# before, or runs in another Python thread, does not change its numbers.
# `get_state` is plain ints and strings (JSON), so a training can stop and go on with the same bits.

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
    """A NumPy generator and a source of dropout keys, both from one seed (None: the system's)."""

    def __init__(self, seed: int | None = None) -> None:
        root = np.random.SeedSequence(seed)
        self.generator = np.random.Generator(np.random.PCG64(root))
        # A child of the seed sequence: dropout does not reuse the numbers that made the weights.
        child = root.spawn(1)[0]
        self.dropout_seed = int(child.generate_state(1, np.uint64)[0]) % _KEY_LIMIT
        self.dropout_calls = 0


_lock = threading.Lock()
_process_stream = Stream()
_context_stream: ContextVar[Stream | None] = ContextVar("cnnx_random_stream", default=None)


def _stream() -> Stream:
    return _context_stream.get() or _process_stream


def _check_seed(function: str, seed: Any) -> int:
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{function}: seed is {seed!r}, expected a non-negative integer")
    if seed < 0:
        raise ValueError(f"{function}: seed is {seed}, expected a non-negative integer")
    return int(seed)


def manual_seed(seed: int) -> None:
    """Seed all of cnnx: the weights of layers made from here on, shuffling and dropout.

    seed    non-negative integer of any size

    Example: ``cnnx.manual_seed(0)`` before building a model fixes its weights.
    """
    global _process_stream
    _process_stream = Stream(_check_seed("manual_seed", seed))


def generator(seed: int | None = None) -> np.random.Generator:
    """The generator that cnnx draws from, or for an int a fresh one with that seed.

    Example: ``cnnx.random.generator(7).permutation(10)`` is the same list each time.
    """
    if seed is None:
        return _stream().generator
    return np.random.default_rng(_check_seed("generator", seed))


def dropout_key() -> tuple[int, int]:
    """The next (seed, call) for `ops.dropout`: two ints, 0 <= each < 2**63, never given twice."""
    stream = _stream()
    with _lock:
        call = stream.dropout_calls
        stream.dropout_calls += 1
    return stream.dropout_seed, call


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Inside the ``with``, draw from a stream of its own; the stream outside stays as it is.

    Example: ``with cnnx.random.seeded(3): layer = cnnx.Linear(2, 2)`` is the same layer each time.
    """
    stream = Stream(None if seed is None else _check_seed("seeded", seed))
    token = _context_stream.set(stream)
    try:
        yield
    finally:
        _context_stream.reset(token)


def get_state() -> dict[str, Any]:
    """The state of the stream in use as plain ints and strings, fit for JSON.

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
    """Continue from a state of `get_state`; ValueError, and no change, if it is not one."""
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
