"""Twins: the same call on the same numbers in another library. Currently that is PyTorch.

>>> peer, channels_last = load("torch")            # ImportError with what to install
>>> task = OPS["relu"][0].prepare(np.random.default_rng(0))
>>> twin = peer.twin(task)                         # None if the library has no such call
>>> y = twin.run()
"""

# Design:
# torch is imported inside functions only: cnnx and its development extra work without it. To add
# another peer, write a class like `Torch` with a table of twins, and add its name to NAMES.

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .task import Task, arrays_in
from .twins import TWINS, Twin, arrays_of

__all__ = ["CONTESTANTS", "NAMES", "Torch", "Twin", "available", "is_peer", "load"]

NAMES = ("torch",)
# Each peer runs in its usual configurations, and is compared in each of them.
CONTESTANTS = {"torch": ("torch", "torch channels_last")}


def is_peer(contestant: str) -> bool:
    """Whether this contestant is a peer rather than a backend."""
    return any(contestant in ways for ways in CONTESTANTS.values())


def available() -> tuple[str, ...]:
    """The installed peers, found without importing them."""
    return tuple(name for name in NAMES if importlib.util.find_spec(name) is not None)


def load(name: str) -> list[Torch]:
    """A peer by name, once per configuration. ValueError if unknown, ImportError if missing."""
    if name not in NAMES:
        raise ValueError(f"bench: peer {name!r} is not known, expected one of {', '.join(NAMES)}")
    if name not in available():
        raise ImportError(f"bench: {name} is not installed: pip install 'cnnx[peers]'")
    return [Torch(contestant) for contestant in CONTESTANTS[name]]


class Torch:
    """PyTorch on the CPU: "torch" with images in NCHW, its default, or "torch channels_last"."""

    def __init__(self, name: str = "torch") -> None:
        import torch

        self._torch = torch
        self.name = name

    @property
    def description(self) -> str:
        """Version and configuration."""
        return f"torch {self._torch.__version__}, eager, NCHW and channels_last"

    @contextmanager
    def threads(self, n: int) -> Iterator[None]:
        """Context in which PyTorch computes with n threads."""
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(n)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def twin(self, task: Task) -> Twin | None:
        """The same call on copies of the same arrays; None if PyTorch has none, or if there are no
        images whose memory format could differ."""
        make = TWINS.get(task.op)
        images = any(array.ndim == 4 for array in arrays_in(task.arguments.values()))
        if make is None or not (images or self.name == "torch"):
            return None
        arguments = {name: self._tensors(value) for name, value in task.arguments.items()}
        made = make(self._torch, arguments)
        return made if isinstance(made, Twin) or made is None else Twin(made, arrays_of)

    def peak_bytes(self, call: Callable[[], Any]) -> int:
        """How far the memory in use rises in a call, after two calls that are not counted."""
        profiler = self._torch.profiler
        for _ in range(2):
            call()
        cpu = [profiler.ProfilerActivity.CPU]
        with profiler.profile(activities=cpu, profile_memory=True) as profile:
            call()
        events = profile.profiler.kineto_results.events()
        changes = sorted(
            (event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"
        )
        return max(itertools.accumulate((size for _, size in changes), initial=0))

    def _tensors(self, value: Any) -> Any:
        """Arrays copied to tensors, in lists too; anything else unchanged."""
        if isinstance(value, list):
            return [self._tensors(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        tensor = self._torch.tensor(value)
        if self.name == "torch" or value.ndim != 4:
            return tensor
        return tensor.clone(memory_format=self._torch.channels_last)
