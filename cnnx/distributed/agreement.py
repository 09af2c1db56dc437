"""Whether all ranks have the same code, data and weights, and an error where they differ."""

# Design:
# Ranks that differ would still train, towards nothing: each sums gradients of another model. So a
# digest of everything that must be the same is compared before the first step, and that of the
# weights again after each epoch. Arrays are read whole (1 GB/s); of other data sets, whose samples
# may be files, some samples.

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import config
from cnnx.distributed.comm import Comm

if TYPE_CHECKING:
    from cnnx.feed import Feed
    from cnnx.training.trainer import Trainer

__all__ = ["check_same", "digest", "of_run"]

_SAMPLES = 16  # that are read of a data set whose samples are not in memory
_ADVICE = {
    "code": "install the same version everywhere, and start the same program",
    "weights": "seed before the model is made (cnnx.manual_seed), or load the same file",
    "trained weights": "a callback of one rank has changed them, or its machine is faulty",
    "training data": "each must load the same samples in the same order",
    "validation data": "each must load the same samples in the same order",
    "settings": "call fit with the same arguments on every rank",
    "kernels": 'reduction="ordered" needs the same backend and kernel set (cnnx info)',
    "position": "all must resume from the same checkpoint: is its directory shared?",
}


def check_same(comm: Comm, op: str, mine: Mapping[str, str]) -> None:
    """ValueError on all ranks, which names what differs and where, unless all ranks have the same.

    mine  what -> digest or text
    """
    every = comm.gather(dict(mine))
    for what in mine:
        values = [one[what] for one in every]
        other = [rank for rank, value in enumerate(values) if value != values[0]]
        if other:
            ranks = f"rank {other[0]}" if len(other) == 1 else f"ranks {', '.join(map(str, other))}"
            shown = f"{values[other[0]]} instead of {values[0]}"
            raise comm.agreed(
                ValueError(
                    f"{op}: {what}: {ranks} of {comm.size} differ from rank 0 ({shown}): "
                    f"{_ADVICE[what]}"
                )
            )


def of_run(trainer: Trainer, settings: str, ordered: bool) -> dict[str, str]:
    """What must be the same on all ranks before the first step of `fit`."""
    known = config.config_dict()
    kernels = f"{known['backend']}, {known.get('kernel set (ISA)', 'NumPy')}"
    held_out = trainer.held_out
    return {
        "code": _code(),
        "settings": settings,
        "position": f"{trainer.position}",
        "weights": digest(trainer.model.state_dict()),
        "training data": _data(trainer.data),
        **({} if held_out is None else {"validation data": _data(held_out)}),
        **({"kernels": kernels} if ordered else {}),
    }


def digest(tree: Any) -> str:
    """Twelve hexadecimal digits that differ for different trees of arrays, numbers and strings.

    >>> digest([1, 2]) == digest([1, 2]) != digest([2, 1])
    True
    """
    state = hashlib.blake2b(digest_size=6)
    _read(state, tree)
    return state.hexdigest()


def _read(state: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        state.update(f"{len(value)}[".encode())
        for item in value:
            _read(state, item)
    elif isinstance(value, np.ndarray):
        state.update(f"{value.dtype.str}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    else:
        state.update(f"{value!r};".encode())


@functools.cache
def _code() -> str:
    """Of all Python files of cnnx, the kernels, and the program that was started."""
    root = Path(config.__file__).parent
    files = [*sorted(root.rglob("*.py")), *sorted(root.rglob("*.so")), *sorted(root.rglob("*.pyd"))]
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if program is not None and os.path.isfile(program):
        files.append(Path(program))
    state = hashlib.blake2b(digest_size=6)
    for path in files:
        state.update(path.name.encode())
        state.update(path.read_bytes())
    return state.hexdigest()


def _data(data: Feed) -> str:
    """Of samples, and the seed of their order; of a user's iterable only its number of batches,
    since reading may consume it.
    """
    seed, samples = getattr(data.source, "seed", None), data.samples
    if samples is None:
        return digest([data.batches])
    if data.whole is not None:
        parts = [samples.x, samples.y, getattr(samples, "sample_weight", None)]
        return digest([seed, parts])
    chosen = np.unique(np.linspace(0, len(samples) - 1, _SAMPLES).astype(int))
    return digest([seed, len(samples), [_sample(samples, int(index)) for index in chosen]])


def _sample(samples: Any, index: int) -> list[np.ndarray]:
    if hasattr(samples, "take"):
        return [np.asarray(part) for part in samples.take(np.array([index]))]
    return [np.asarray(part) for part in samples[index]]
