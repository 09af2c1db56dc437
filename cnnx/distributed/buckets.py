"""`Buckets`: gradients summed over the ranks by MPI's own sum, while backward still runs."""

# Design:
# Backward makes the gradients of the last layers first. Parameters are therefore grouped from the
# last to the first into buckets, and a bucket is sent (MPI_Iallreduce) as soon as its gradients are
# final. MPI requires the same order of calls on all ranks, so a bucket waits for those before it.
# When is a gradient final? A layer that is used twice adds to it twice, and only the end of
# backward shows how often. So the first pass counts the additions, and sends everything at its end;
# later passes expect the same numbers, which the graph of a model fixes. Fewer are harmless: the
# bucket is sent at the end. More would come too late, and are an error.
# Open MPI works on a sum only while the program is inside MPI: `_arrived` looks in each time.
# A parameter may have no gradient on some rank, or on all of them, where the optimiser must skip
# it: each vector ends with the weights of the ranks that had one.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from cnnx.distributed.comm import Comm
from cnnx.layers.parameter import Parameter

__all__ = ["Buckets", "groups"]

# An eighth of the gradients, so that most of them are sent while backward still runs, in a range:
# 64 KB take 1 ms at 1 Gbit/s, of which the start of a message, 50 us, is little, and 1 MB takes 16.
_BUCKETS, _LEAST, _MOST = 8, 1 << 16, 1 << 20


class Bucket:
    """Parameters of one dtype, whose gradients are one vector.

    vector  their gradients, and then for each of them the weight of the ranks that had one
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.size = sum(p.size for p in parameters)
        self.vector = np.empty(self.size + len(parameters), parameters[0].dtype)
        self.missing = 0  # parameters whose gradient is not final yet
        self.request: Any = None

    def fill(self, weight: float) -> None:
        """Copy the gradients, times the weight of this rank, into the vector."""
        at = 0
        for index, parameter in enumerate(self.parameters):
            place, grad = self.vector[at : at + parameter.size], parameter.grad
            at += parameter.size
            if grad is None or weight == 0:
                place[:] = 0
            elif weight == 1:
                place[:] = grad.ravel()
            else:
                np.multiply(grad.ravel(), place.dtype.type(weight), out=place)
            self.vector[self.size + index] = 0 if grad is None else weight

    def give(self, mean: bool) -> None:
        """Make views of the summed vector the gradients, divided by the weights if `mean`."""
        at = 0
        for index, parameter in enumerate(self.parameters):
            place, weight = self.vector[at : at + parameter.size], self.vector[self.size + index]
            at += parameter.size
            if weight == 0:
                parameter.zero_grad()
                continue
            if mean:
                place /= weight
            parameter.grad = place.reshape(parameter.shape)


class Buckets:
    """The sums of the gradients of some parameters over all ranks.

    `begin` before a backward allows sending during it; `finish` sends what is left and waits for
    the sums, which become the gradients.
    """

    def __init__(self, comm: Comm, parameters: Iterable[Parameter]) -> None:
        self._comm = comm
        self._buckets = [Bucket(group) for group in groups(parameters)]
        self._of = {id(p): bucket for bucket in self._buckets for p in bucket.parameters}
        self._expected: dict[int, int] = {}  # additions to each gradient, by id of its parameter
        self._counts: dict[int, int] = {}
        self._weight = 1.0
        self._sent = 0  # buckets, from the first

    def begin(self, weight: float = 1.0) -> None:
        """From here on, send each bucket when it is final, times the weight of this rank."""
        self._counts, self._weight, self._sent = {}, weight, 0
        for bucket in self._buckets:
            bucket.missing = len(bucket.parameters)
            for parameter in bucket.parameters:
                parameter.on_grad = self._arrived

    def finish(self, weight: float = 1.0, mean: bool = False) -> None:
        """The sums over all ranks become the gradients; None where no rank has one.

        weight  of this rank, as given to `begin`
        mean    divide by the sum of the weights
        """
        self.end()
        for bucket in self._buckets[self._sent :]:
            self._send(bucket, weight)
        for bucket in self._buckets:
            self._comm.wait(bucket.request)
            bucket.request = None
            bucket.give(mean)
        for key, count in self._counts.items():
            self._expected[key] = max(count, self._expected.get(key, 0))
        self._counts, self._sent = {}, 0

    def end(self) -> None:
        """No gradient is sent from here on, before the next `begin`."""
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.on_grad = None

    def _arrived(self, parameter: Parameter) -> None:
        """Backward has added to a gradient."""
        key = id(parameter)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        expected, bucket = self._expected.get(key), self._of[key]
        if count == expected:
            bucket.missing -= 1
            while self._sent < len(self._buckets) and not self._buckets[self._sent].missing:
                self._send(self._buckets[self._sent], self._weight)
        elif expected is not None and count > expected and bucket.request is not None:
            raise RuntimeError(
                f"the gradient of {parameter!r} was sent to the other ranks before this backward, "
                "since the last step had fewer: wrap the optimizer with overlap=False"
            )
        if self._sent:
            request = self._buckets[self._sent - 1].request
            if request is not None:
                request.Test()

    def _send(self, bucket: Bucket, weight: float) -> None:
        bucket.fill(weight)
        bucket.request = self._comm.sum_later(bucket.vector)
        self._sent += 1


def groups(parameters: Iterable[Parameter]) -> list[list[Parameter]]:
    """The parameters from the last to the first, in groups of one dtype and some bytes."""
    made: list[list[Parameter]] = []
    bytes_of_last = 0
    listed = list(parameters)
    size = min(max(sum(p.data.nbytes for p in listed) // _BUCKETS, _LEAST), _MOST)
    for parameter in reversed(listed):
        same = made and made[-1][0].dtype == parameter.dtype
        if not same or bytes_of_last >= size:
            made.append([])
            bytes_of_last = 0
        made[-1].append(parameter)
        bytes_of_last += parameter.data.nbytes
    return made
