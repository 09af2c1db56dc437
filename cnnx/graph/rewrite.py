"""The table of patterns: chains of nodes that run as one fused step; and the plan."""

# Design:
# A pattern is a chain of layer types, and the class of fused.py that runs it. It matches if each
# node reads the output of the previous one and that has no other reader. Types must match exactly:
# subclasses and layers with a patched forward or backward are not fused. The plan depends only on
# the layers; weights, strides and modes are read at each call. Results are bit-identical to those
# of the single nodes.
# Matching starts at the last node and takes the first matching pattern of the table: a ReLU is
# fused with the pooling after it, where it costs nothing and its output is not stored, rather than
# with the layer before it.
# A fused step runs in the position of its last node. If a node in between has one of its layers, it
# is not fused: batch norm would update its running statistics in another order.

from __future__ import annotations

from collections import Counter

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
from cnnx.tuples import NamedTuple

__all__ = ["PATTERNS", "Pattern", "rewrite"]

Types = tuple[type[Layer], ...]


class Pattern(NamedTuple):
    """The possible layer types of each node of a chain, and the step that runs it.

    training  False: only in `no_grad`
    """

    chain: tuple[Types, ...]
    step: type[Fused]
    training: bool = True


_KNOWN = [cls for cls in BUILTIN.values() if issubclass(cls, Elementwise) and cls.op is not None]
ANY: Types = tuple(_KNOWN)  # the activations that ops accept as `activation`
BY_OUTPUT: Types = tuple([cls for cls in _KNOWN if cls.saves == "output"])
NORM: Types = (BatchNorm1D, BatchNorm2D)

PATTERNS = (
    Pattern(((ReLU,), (MaxPool2D,)), ReLUMaxPool),
    Pattern((NORM, ANY), NormActivation),  # backward recomputes the activation's input
    Pattern(((Conv2D, Linear), BY_OUTPUT), Epilogue),
    Pattern(((Conv2D, *NORM), (Add,), BY_OUTPUT), Epilogue),
    Pattern(((Conv2D, *NORM), (Add,)), Epilogue),
    Pattern(((Conv2D, Linear), ANY), Epilogue, training=False),
    Pattern(((Conv2D, *NORM), (Add,), ANY), Epilogue, training=False),
    Pattern(((Conv2D, Linear, *NORM),), Epilogue),  # alone: saves the values without the layer
)


def rewrite(wiring: Wiring, keeping: bool) -> Plan:
    """The plan for the nodes; `keeping`: values are saved for backward."""
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
                if found and not _passes_itself(found, nodes):
                    chain, step = found, pattern.step(found)
                    break
        taken.update([each.output for each in chain])
        steps.append(step or last)
    steps.reverse()
    _note_last_readers(steps, wiring.outputs)
    return Plan(tuple(steps), tuple(nodes), wiring.inputs, wiring.outputs)


def _single(wiring: Wiring) -> list[LayerStep]:
    """The step of each single node."""
    parts = [list(node.layer.modules()) for node in wiring.nodes]
    places = Counter([id(part) for held in parts for part in held])
    steps: list[LayerStep] = []
    for number, (node, held) in enumerate(zip(wiring.nodes, parts, strict=True)):
        if len(node.outputs) > 1:
            raise ValueError(
                f"{node.name}: this {type(node.layer).__name__} of {len(node.outputs)} outputs "
                "overrides forward or backward: inside a model that needs a layer of one output"
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
    """The chain that ends in `last`, or None. A sum has two inputs, either of which may belong to
    the chain; the later one is tried first.
    """
    if type(last.layer) not in chain[-1] or is_patched(last.layer) or last.output in taken:
        return None
    if len(chain) == 1:
        return [last]
    if len(last.inputs) > 2:
        return None
    for value in sorted(last.inputs, reverse=True):
        if readers[value] == 1 and value in makers:
            before = _match(makers[value], chain[:-1], makers, readers, taken)
            if before:
                return [*before, last]
    return None


def _passes_itself(chain: list[LayerStep], nodes: list[LayerStep]) -> bool:
    """Whether a node between the first and the last of a chain has one of their layers."""
    between = [step for step in nodes[chain[0].number : chain[-1].number] if step not in chain]
    used = {id(part) for step in between for part in step.layer.modules()}
    return any(id(step.layer) in used for step in chain)


def _note_last_readers(steps: list[Step], outputs: tuple[int, ...]) -> None:
    """Set which values each step frees, and whether its output is an output of the run."""
    seen = set(outputs)
    for step in reversed(steps):
        step.inner = step.output not in outputs
        step.frees = tuple({i for i in step.inputs if i not in seen})
        seen.update(step.inputs)
