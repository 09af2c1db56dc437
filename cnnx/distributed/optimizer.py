"""`SharedOptimizer`: an optimiser whose gradients are averaged over the ranks."""

from __future__ import annotations

from typing import Any

from cnnx import checks
from cnnx.distributed.agreement import check_same, digest
from cnnx.distributed.buckets import Buckets
from cnnx.distributed.comm import Comm
from cnnx.optim import Optimizer

__all__ = ["SharedOptimizer"]


class SharedOptimizer:
    """An optimiser of every rank, which makes the same step on all; returned by `Comm.wrap`.

    grad = sum over the ranks of samples * grad / sum over the ranks of samples

    so that each rank computes the gradient of the mean loss of its own samples. `zero_grad` and
    `step` must be called by every rank, also by one without samples. Everything else (`lr`,
    `param_groups`, `state_dict`, ...) is the optimiser's. Schedules, `EMA` and checkpoints take
    that one: ``shared.optimizer``.

    Running statistics, as of batch norm, are each rank's own: those of rank 0 are the ones to save.

    Example::

        optimizer.zero_grad(samples=len(x))
        loss(model(x), y)
        model.backward(loss.backward())
        optimizer.step()
    """

    def __init__(self, comm: Comm, optimizer: Optimizer, overlap: bool) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"wrap: optimizer is {optimizer!r}, expected one such as Adam(params)")
        self.comm, self.optimizer = comm, optimizer
        self._overlap = checks.flag("wrap", "overlap", overlap)
        check_same(comm, "wrap", {"weights": digest([p.data for p in optimizer.parameters()])})
        self._layout: list[Any] = []
        self._buckets = Buckets(comm, ())

    def _arrange(self) -> None:
        """New buckets if parameters were frozen, unfrozen, added or cast."""
        parameters = [p for p in self.optimizer.parameters() if p.requires_grad]
        layout = [(id(p), p.dtype) for p in parameters]
        if layout != self._layout:
            self._buckets.end()
            self._layout, self._buckets = layout, Buckets(self.comm, parameters)

    def zero_grad(self, samples: int | None = None) -> None:
        """Clear the gradients before a step.

        samples  of this rank in the step, 0 if there is none; None: as many as the other ranks
        """
        count = 1 if samples is None else checks.integer("zero_grad", "samples", samples, least=0)
        self.comm.weight = float(count)
        self.optimizer.zero_grad()
        self._arrange()
        if self._overlap:
            self._buckets.begin(self.comm.weight)

    def step(self) -> None:
        """Average the gradients over the ranks, and update every parameter that has one."""
        self._arrange()
        with self.comm.guard():
            self._buckets.finish(self.comm.weight, mean=True)
        self.optimizer.step()

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":  # not set yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "lr":
            self.optimizer.lr = value
        else:
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"SharedOptimizer({self.optimizer!r}, {self.comm.size} ranks)"
