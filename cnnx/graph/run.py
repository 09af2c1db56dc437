"""The executor: forward over the steps of a plan, backward over what they saved."""

# Design:
# Values are numbered: the inputs first, then what each node makes. A value is dropped after its
# last reader. What a step saves for backward stands in the trace at the number of its node, so
# backward takes the nodes in the reverse of their order, whatever ran as one step: the gradients of
# a value with several readers add up in one order, and fused runs have the bits of others.
# The trace belongs to the run, never to the layers: a layer may stand at several nodes, and the
# gradients of its weights add up.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import ops
from cnnx.layers.dtype import as_float
from cnnx.layers.kept import share_memory

if TYPE_CHECKING:
    from cnnx.graph.steps import LayerStep, Step

__all__ = ["Plan", "backward", "forward"]


class Plan(NamedTuple):
    """The steps of a run, and the nodes that they were made from, in the same numbers of values.

    steps    what runs, in order; each node is in one of them
    nodes    a step for each node by itself
    inputs   how many values are given
    outputs  the numbers of the values that are the result
    """

    steps: tuple[Step, ...]
    nodes: tuple[LayerStep, ...]
    inputs: int
    outputs: tuple[int, ...]


def forward(plan: Plan, xs: tuple[Any, ...], keeping: bool) -> tuple[tuple[Any, ...], Any]:
    """The outputs, and the trace for `backward`: None where nothing is kept."""
    values: list[Any] = [*xs, *[None] * len(plan.nodes)]
    trace: list[Any] | None = [None] * len(plan.nodes) if keeping else None
    given = dict(enumerate(xs)) if keeping else {}  # the caller's array that a value may be part of
    known = given.keys()
    for step in plan.steps:
        apart = known.isdisjoint(step.inputs)
        y = values[step.output] = step.run(trace, step.read(values), apart and step.inner)
        if not apart:
            for i in step.inputs:
                if i in given and share_memory(y, given[i]):
                    given[step.output] = given[i]
        for i in step.frees:
            values[i] = None
    return tuple([values[i] for i in plan.outputs]), trace


def backward(plan: Plan, trace: list[Any], dys: Any, need_dx: bool) -> tuple[Any, ...]:
    """The gradients of the inputs; None for one that none reached, or that is not needed."""
    needed = _needed(plan, need_dx)
    gradients: dict[int, Any] = {}
    _add(gradients, plan.outputs, dys)
    for number in range(len(trace) - 1, -1, -1):
        if trace[number] is None:
            continue  # it ran, and goes back, with another node
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
    """By value, whether its gradient is needed: it is to be given, or what made the value learns,
    or something before that does.
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
    """Give each value its gradient, or add it to what other readers of the value gave."""
    for i, value in enumerate(values):
        dx = dxs[i]
        if value in gradients and dx is not None:
            total = as_float("backward", gradients[value])
            dx = ops.add(total, as_float("backward", dx, total.dtype))
        if dx is not None:
            gradients[value] = dx
