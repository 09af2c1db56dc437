"""The executor: forward over the steps of a plan, backward over the trace."""

# Design:
# Values are numbered: the inputs first, then the outputs of each node. A value is dropped after its
# last reader. The trace holds what each node saved for backward, at the number of the node. So
# backward visits the nodes in reverse order whether or not they were fused: the gradients of a
# value with several readers are summed in the same order, and the results are bit-identical.
# The trace belongs to the run, not to the layers: several nodes may have the same layer, and the
# gradients of its weights add up.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import ops
from cnnx.layers.dtype import as_float
from cnnx.layers.kept import share_memory
from cnnx.tuples import NamedTuple

if TYPE_CHECKING:
    from cnnx.graph.steps import LayerStep, Step

__all__ = ["Plan", "backward", "forward"]


class Plan(NamedTuple):
    """The steps of a run, and the single nodes; both number the values in the same way.

    steps    the steps, fused or single, in order; each node belongs to one of them
    nodes    the step of each single node
    inputs   the number of inputs
    outputs  the numbers of the output values
    """

    steps: tuple[Step, ...]
    nodes: tuple[LayerStep, ...]
    inputs: int
    outputs: tuple[int, ...]


def forward(plan: Plan, xs: tuple[Any, ...], keeping: bool) -> tuple[tuple[Any, ...], Any]:
    """The outputs, and the trace for `backward`: None if nothing is saved."""
    values: list[Any] = [*xs, *[None] * len(plan.nodes)]
    trace: list[Any] | None = [None] * len(plan.nodes) if keeping else None
    given = dict(enumerate(xs)) if keeping else {}  # the caller's array that a value is part of
    known = given.keys()
    for step in plan.steps:
        apart = not given or known.isdisjoint(step.inputs)
        y = values[step.output] = step.run(trace, step.read(values), apart and step.inner)
        if not apart:
            for i in step.inputs:
                if i in given and share_memory(y, given[i]):
                    given[step.output] = given[i]
        for i in step.frees:
            values[i] = None
    return tuple([values[i] for i in plan.outputs]), trace


def backward(plan: Plan, trace: list[Any], dys: Any, need_dx: bool) -> tuple[Any, ...]:
    """The gradients of the inputs; None for an input without one, or if none is needed."""
    needed = _needed(plan, need_dx)
    gradients: dict[int, Any] = {}
    _add(gradients, plan.outputs, dys)
    for number in range(len(trace) - 1, -1, -1):
        if trace[number] is None:
            continue  # it is part of a fused step, whose backward includes it
        step, kept = trace[number]
        trace[number] = None
        dy = gradients.pop(step.output, None)
        if dy is None or not needed[step.output]:
            continue
        asked = any(step.read(needed))
        dxs = step.backward(kept, dy, asked)
        if asked:
            _add(gradients, step.inputs, dxs)
    return tuple([gradients.get(value) for value in range(plan.inputs)])


def _needed(plan: Plan, need_dx: bool) -> list[bool]:
    """For each value whether its gradient is needed: for dx, or because its node or one before it
    is trainable.
    """
    needed = [need_dx] * (plan.inputs + len(plan.nodes))
    if not need_dx:
        for node in plan.nodes:
            for i in node.inputs:
                if needed[i]:
                    needed[node.output] = True
                    break
            else:
                needed[node.output] = node.learns()
    return needed


def _add(gradients: dict[int, Any], values: tuple[int, ...], dxs: Any) -> None:
    """Add the gradient of each value to those from its other readers."""
    for value, dx in zip(values, dxs):
        if dx is None:
            continue
        if value in gradients:
            total = as_float("backward", gradients[value])
            dx = ops.add(total, as_float("backward", dx, total.dtype))
        gradients[value] = dx
