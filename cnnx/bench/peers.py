"""Twins: the same call on the same numbers, made by another library. Today that is PyTorch.

>>> peer = load("torch")                           # ImportError with what to install
>>> task = OPS["relu"][0].prepare(np.random.default_rng(0))
>>> twin = peer.twin(task)                         # None where the library has no such call
>>> y = twin.run()
"""

# Design:
# torch is imported inside functions alone: cnnx and its development extra do without it. Another
# peer is a class like `Torch` with a table of twins, and its name in NAMES.

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .task import Task
from .twins import TWINS, Twin, arrays_of

__all__ = ["NAMES", "Torch", "Twin", "available", "load"]

NAMES = ("torch",)


def available() -> tuple[str, ...]:
    """The peers that are installed; none is imported to find out."""
    return tuple(name for name in NAMES if importlib.util.find_spec(name) is not None)


def load(name: str) -> Torch:
    """A peer by name. ValueError if there is none of that name, ImportError if it is missing."""
    if name not in NAMES:
        raise ValueError(f"bench: peer {name!r} is not known, expected one of {', '.join(NAMES)}")
    if name not in available():
        raise ImportError(f"bench: {name} is not installed: pip install 'cnnx[peers]'")
    return Torch()


class Torch:
    """PyTorch on the CPU."""

    name = "torch"

    def __init__(self) -> None:
        import torch

        self._torch = torch

    @property
    def description(self) -> str:
        """Which PyTorch, used how."""
        return f"torch {self._torch.__version__}, eager, NCHW"

    @contextmanager
    def threads(self, n: int) -> Iterator[None]:
        """Inside the ``with``, PyTorch computes with n threads."""
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(n)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def twin(self, task: Task) -> Twin | None:
        """The same call on copies of the same arrays; None where PyTorch has none."""
        make = TWINS.get(task.op)
        if make is None:
            return None
        arguments = {name: self._tensors(value) for name, value in task.arguments.items()}
        made = make(self._torch, arguments)
        return made if isinstance(made, Twin) or made is None else Twin(made, arrays_of)

    def _tensors(self, value: Any) -> Any:
        """Copies of arrays as tensors, in lists too; anything else as it is."""
        if isinstance(value, list):
            return [self._tensors(item) for item in value]
        return self._torch.tensor(value) if isinstance(value, np.ndarray) else value
