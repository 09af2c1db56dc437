"""`Ordered`: gradients summed in the order of the shards, whatever the number of ranks."""

# Design:
# Floating-point sums depend on their order, and so does everything after the first step. One
# process adds up a batch inside its kernels, in an order of blocks that no sum over ranks can
# repeat. What can be repeated is the sum of the gradients of fixed parts: every global batch is cut
# into `shards` parts, whatever the number of ranks, and their gradients are added one after the
# other, ((g0 + g1) + g2) + g3. That is what `cnnx.fit` does with batches of the size of a shard and
# `accumulate=shards`, so these are the bits that 1, 2 or 4 ranks give, too.
# A sum in rank order along a chain would take as many steps as there are ranks. Instead each rank
# adds up one slice of the vector for all: it gets this slice of all shards (MPI_Alltoall), and
# sends the sum to all (MPI_Allgather). For one shard on each rank this moves the bytes of a usual
# sum, 2(p-1)/p of the vector; for more shards, the first half is as many times as large.

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cnnx.distributed.comm import Comm, part
from cnnx.layers.parameter import Parameter

__all__ = ["Ordered"]


class Ordered:
    """The sums of the gradients of some parameters over all shards, in order.

    `take` after each backward of a shard; `add` after a batch; `give` before the step.
    """

    def __init__(self, comm: Comm, parameters: Iterable[Parameter], shards: int) -> None:
        by_dtype: dict[np.dtype, list[Parameter]] = {}
        for parameter in parameters:
            by_dtype.setdefault(parameter.dtype, []).append(parameter)
        self._sums = [_Sum(comm, group, shards) for group in by_dtype.values()]

    def take(self, slot: int) -> None:
        """Move the gradients of this rank's shard number `slot` away from the parameters."""
        for one in self._sums:
            one.take(slot)

    def add(self, filled: int) -> None:
        """Add those of all ranks; `filled` of the shards, the first ones, have samples."""
        for one in self._sums:
            one.add(filled)

    def give(self) -> None:
        """The sums since the last `give` become the gradients."""
        for one in self._sums:
            one.give()


class _Sum:
    """The sum of parameters of one dtype.

    parts  (size, slots, slice): the vectors of this rank's shards, cut into a slice for each rank.
           A vector has the gradients, then for each parameter 1 if there was one
    """

    def __init__(self, comm: Comm, parameters: list[Parameter], shards: int) -> None:
        self._comm, self._parameters, self._shards = comm, parameters, shards
        self._size = sum(p.size for p in parameters)
        slots = -(-shards // comm.size)
        width = -(-(self._size + len(parameters)) // comm.size)
        self._vector = np.zeros(comm.size * width, parameters[0].dtype)
        self._parts = np.zeros((comm.size, slots, width), parameters[0].dtype)
        self._total: np.ndarray | None = None

    def take(self, slot: int) -> None:
        at = 0
        for index, parameter in enumerate(self._parameters):
            grad, place = parameter.grad, self._vector[at : at + parameter.size]
            place[:] = 0 if grad is None else grad.ravel()
            self._vector[self._size + index] = grad is not None
            parameter.zero_grad()
            at += parameter.size
        self._parts[:, slot] = self._vector.reshape(self._comm.size, -1)

    def add(self, filled: int) -> None:
        received = self._comm.exchange(self._parts)
        for rank in range(self._comm.size):
            first, stop = part(self._shards, rank, self._comm.size)
            for shard in range(first, min(stop, filled)):
                summand = received[rank, shard - first]
                if self._total is None:
                    self._total = summand.copy()
                else:
                    self._total += summand

    def give(self) -> None:
        assert self._total is not None
        whole, at = self._comm.collect(self._total).ravel(), 0
        self._total = None
        for index, parameter in enumerate(self._parameters):
            if whole[self._size + index]:
                parameter.grad = whole[at : at + parameter.size].reshape(parameter.shape)
            at += parameter.size
