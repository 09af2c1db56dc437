"""`Container`: a layer that consists of nodes; and the flattening of nested containers."""

# Design:
# A container defines its nodes (`wiring`), and has no forward loop. The outermost container that is
# called flattens all nested ones into one list of nodes, so a pattern of rewrite.py may match
# across their borders. The plan for these nodes is cached as long as the containers hold the same
# layers: each call compares them by identity, which takes some microseconds; weights, strides and
# modes are read when a layer runs. There are two plans, since some chains can only be fused if
# nothing is saved for backward.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cnnx.graph import run
from cnnx.graph.rewrite import rewrite
from cnnx.graph.run import Plan
from cnnx.graph.wiring import Node, Wiring, is_patched
from cnnx.layers.base import Layer
from cnnx.layers.run import grad_enabled

__all__ = ["Container", "count_outputs", "flatten"]

_MOST_NODES = 1_000_000  # nested containers may double them at each level
Opened = list[tuple["Container", list[Any]]]
Opens = Callable[["Container"], bool]


class Container(Layer):
    """Base of the layers that consist of layers: they define the wiring of these, and run it."""

    _plan: tuple[_Made | None, _Made | None] = (None, None)

    def wiring(self) -> Wiring:
        """The nodes of the container; nested containers are not opened."""
        raise NotImplementedError

    def parts(self) -> list[Any]:
        """The objects that determine the wiring: it is valid while these are the same."""
        raise NotImplementedError

    def opens(self) -> bool:
        """Whether its nodes are run: not if forward or backward is overridden or patched."""
        cls = type(self)
        inherited = cls.forward is Container.forward and cls.backward is Container.backward
        return inherited and not is_patched(self)

    def forward(self, *xs: Any) -> Any:
        keeping = grad_enabled()
        if keeping:
            self._keep(None)  # free what the last forward saved before this one allocates its own
        plan = self._planned(keeping)
        if len(xs) != plan.inputs:
            raise TypeError(
                f"{type(self).__name__}: {len(xs)} inputs given, expected {plan.inputs}"
            )
        outputs, trace = run.forward(plan, xs, keeping)
        if keeping:
            self._keep((plan, trace))
        return outputs[0] if len(outputs) == 1 else outputs

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        """dx, or None with need_dx=False: nodes without anything trainable up to them are skipped.

        dy  with several outputs a tuple, with None for an output that the loss does not depend on.
            With several inputs dx is a tuple, with None for an input that no gradient reached
        """
        plan, trace = self._saved()
        count = len(plan.outputs)
        dys = (dy,) if count == 1 else dy
        if not isinstance(dys, (tuple, list)) or len(dys) != count:
            raise TypeError(
                f"{type(self).__name__}.backward: expected a tuple of {count} gradients"
            )
        self._keep(None)  # one backward: what a node saved is freed after its backward
        dxs = run.backward(plan, trace, dys, need_dx)
        if not need_dx:
            return None
        return dxs[0] if len(dxs) == 1 else dxs

    def explain(self, training: bool = True) -> str:
        """The layers of each step, one line per step, of a forward for training, or with
        training=False of one in `no_grad`.

        Example: ``print(cnnx.models.lenet5().explain())``
        """
        return "\n".join(
            " + ".join(f"{node.name} {type(node.layer).__name__}" for node in step.nodes())
            for step in self._planned(training).steps
        )

    def step_numbers(self) -> list[int]:
        """For each node of the flattened container the number of its step in `explain`."""
        steps = enumerate(self._planned(keeping=True).steps)
        numbers = {node.output: number for number, step in steps for node in step.nodes()}
        return [numbers[output] for output in sorted(numbers)]

    def flow(self, *input_shapes: Any) -> Iterator[tuple[str, Layer, tuple[Any, ...]]]:
        for node, shapes in self.wiring().shapes(*input_shapes):
            yield node.name, node.layer, shapes

    def _planned(self, keeping: bool) -> Plan:
        """The plan for forward, cached until the layers change."""
        made = self._plan[keeping]
        if made is None or not made.holds():
            made = _Made(self, keeping)
            # One assignment, so that concurrent threads read valid plans.
            plans = (self._plan[0], made) if keeping else (made, self._plan[1])
            vars(self)["_plan"] = plans
        return made.plan


class _Made:
    """A plan, and what it depends on."""

    def __init__(self, container: Container, keeping: bool) -> None:
        wiring, self.opened = flatten(container)
        self.plan = rewrite(wiring, keeping)
        layers = [part.layer for part in wiring.nodes] + [opened for opened, _ in self.opened]
        self.patched = [layer for layer in layers if is_patched(layer)]
        self.others = [vars(layer) for layer in layers if not is_patched(layer)]

    def holds(self) -> bool:
        """Whether the layers, and their forward and backward, are still the same."""
        for container, parts in self.opened:
            if container.parts() != parts:
                return False
        for attributes in self.others:  # as is_patched, without a call for each layer
            if "forward" in attributes or "backward" in attributes:
                return False
        return all(map(is_patched, self.patched))


def count_outputs(layer: Layer) -> int:
    """The number of outputs of a layer: one, except for a Graph of several."""
    return len(layer.wiring().outputs) if isinstance(layer, Container) else 1


def flatten(container: Container, opens: Opens | None = None) -> tuple[Wiring, Opened]:
    """All nodes at any depth, with their paths as names ("0.body.1"); and the opened containers,
    with their parts.

    opens  decides whether a nested container is opened; None: `Container.opens`
    """
    nodes: list[Node] = []
    opened: Opened = []
    inputs = container.wiring().inputs
    outputs, _ = _open(container, "", tuple(range(inputs)), inputs, nodes, opened, opens or _opens)
    return Wiring(inputs, tuple(nodes), outputs), opened


def _opens(layer: Container) -> bool:
    return layer.opens()


def _open(
    container: Container,
    path: str,
    given: tuple[int, ...],
    free: int,
    nodes: list[Node],
    opened: Opened,
    opens: Opens,
) -> tuple[tuple[int, ...], int]:
    """Append the nodes of a container with the values `given` as inputs; numbers from `free` on are
    unused. Returns the numbers of its outputs, and the next unused one.
    """
    wiring = container.wiring()
    if len(given) != wiring.inputs:
        name = f"{path[:-1]}: " if path else ""
        raise ValueError(
            f"{name}a {type(container).__name__} of {wiring.inputs} inputs got {len(given)}"
        )
    opened.append((container, container.parts()))
    values = list(given)  # by the numbers of the container's wiring
    for name, layer, inputs, _ in wiring.nodes:
        reads = tuple([values[i] for i in inputs])
        if isinstance(layer, Container) and opens(layer):
            made, free = _open(layer, f"{path}{name}.", reads, free, nodes, opened, opens)
        else:
            made = tuple(range(free, free + count_outputs(layer)))
            free += len(made)
            nodes.append(Node(path + name, layer, reads, made))
        if len(nodes) > _MOST_NODES:
            raise ValueError(f"{type(container).__name__}: it has over {_MOST_NODES:,} nodes")
        values += made
    return tuple([values[i] for i in wiring.outputs]), free
