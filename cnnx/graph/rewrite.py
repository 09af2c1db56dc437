"""From nodes to steps: the table of patterns, chains of nodes that run as one step."""

# Design:
# A pattern is a chain of layer types, and the class of fused.py that runs it. It fits where each
# node reads what the one before it makes and nobody else reads that. Types are exact: a user's
# subclass, or a layer with a forward or backward of its own, runs by itself. The plan follows from
# the layers alone; weights, strides and modes are read at each call. Results are those of the
# nodes one by one, to the bit.
# Patterns are looked for from the last node on, and the first of the table that fits is taken: a
# ReLU goes to the pooling behind it, where it costs nothing and its result is not kept, rather than
# to the layer before it.

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from cnnx.graph.fused import Epilogue, Fused, NormActivation, ReLUMaxPool
from cnnx.graph.run import Plan
from cnnx.graph.steps import LayerStep, Step, UserStep
from cnnx.graph.wiring import Wiring, is_builtin, is_patched
from cnnx.layers.activation import Elementwise, ReLU
from cnnx.layers.base import BUILTIN, Layer
from cnnx.layers.conv import Conv2D
from cnnx.layers.linear import Linear
from cnnx.layers.merge import Add
from cnnx.layers.norm import BatchNorm1D, BatchNorm2D
from cnnx.layers.pool import MaxPool2D

__all__ = ["PATTERNS", "Pattern", "rewrite"]

Types = tuple[type[Layer], ...]


class Pattern(NamedTuple):
    """For each node of a chain the types that it may have, and the step that runs the chain.

    training  whether it holds where backward is to follow, or in `no_grad` alone
    """

    chain: tuple[Types, ...]
    step: type[Fused]
    training: bool = True


_KNOWN = [cls for cls in BUILTIN.values() if issubclass(cls, Elementwise) and cls.op is not None]
ANY: Types = tuple(_KNOWN)  # the activations that an op takes as its `activation`
BY_OUTPUT: Types = tuple([cls for cls in _KNOWN if cls.saves == "output"])
NORM: Types = (BatchNorm1D, BatchNorm2D)

PATTERNS = (
    Pattern(((ReLU,), (MaxPool2D,)), ReLUMaxPool),
    Pattern((NORM, ANY), NormActivation),  # backward computes the activation's input again
    Pattern(((Conv2D, Linear), BY_OUTPUT), Epilogue),
    Pattern(((Conv2D, *NORM), (Add,), BY_OUTPUT), Epilogue),
    Pattern(((Conv2D, *NORM), (Add,)), Epilogue),
    Pattern(((Conv2D, Linear), ANY), Epilogue, training=False),
    Pattern(((Conv2D, *NORM), (Add,), ANY), Epilogue, training=False),
)


def rewrite(wiring: Wiring, keeping: bool) -> Plan:
    """The plan by which nodes run; `keeping`: backward is to follow."""
    nodes = _single(wiring)
    readers = Counter([i for step in nodes for i in step.inputs] + list(wiring.outputs))
    makers = {step.output: step for step in nodes}
    taken: set[int] = set()
    steps: list[Step] = []
    for last in reversed(nodes):
        if last.output in taken:
            continue
        chain, step = [last], None
        for pattern in PATTERNS:
            if pattern.training or not keeping:
                found = _match(last, pattern.chain, makers, readers, taken)
                if found:
                    chain, step = found, pattern.step(found)
                    break
        taken.update([each.output for each in chain])
        steps.append(step or last)
    steps.reverse()
    _note_last_readers(steps, wiring.outputs)
    return Plan(tuple(steps), tuple(nodes), wiring.inputs, wiring.outputs)


def _single(wiring: Wiring) -> list[LayerStep]:
    """A step for each node by itself."""
    parts = [list(node.layer.modules()) for node in wiring.nodes]
    places = Counter([id(part) for held in parts for part in held])
    steps: list[LayerStep] = []
    for number, (node, held) in enumerate(zip(wiring.nodes, parts, strict=True)):
        if len(node.outputs) > 1:
            raise ValueError(
                f"{node.name}: this {type(node.layer).__name__} of {len(node.outputs)} outputs has "
                "a forward or backward of its own, which inside a model only a layer of one may"
            )
        if is_builtin(node.layer) and len(held) == 1:
            steps.append(LayerStep(number, node))
        else:
            shared = [part for part in held if places[id(part)] > 1 and not is_builtin(part)]
            steps.append(UserStep(number, node, shared))
    return steps


def _match(
    last: LayerStep,
    chain: tuple[Types, ...],
    makers: dict[int, LayerStep],
    readers: Counter[int],
    taken: set[int],
) -> list[LayerStep] | None:
    """The chain that ends in `last`, or None. A sum is of two values, either of which may be the
    chain's; the first is tried first.
    """
    if type(last.layer) not in chain[-1] or is_patched(last.layer) or last.output in taken:
        return None
    if len(chain) == 1:
        return [last]
    if len(last.inputs) > 2:
        return None
    for value in last.inputs:
        if readers[value] == 1 and value in makers:
            before = _match(makers[value], chain[:-1], makers, readers, taken)
            if before:
                return [*before, last]
    return None


def _note_last_readers(steps: list[Step], outputs: tuple[int, ...]) -> None:
    """Which values are dropped after each step, and which steps make a result of the run."""
    seen = set(outputs)
    for step in reversed(steps):
        step.inner = step.output not in outputs
        step.frees = tuple({i for i in step.inputs if i not in seen})
        seen.update(step.inputs)
