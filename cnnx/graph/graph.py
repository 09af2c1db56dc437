"""`Graph`: a network of any structure as a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnnx.graph.container import Container, count_outputs
from cnnx.graph.symbol import Call, Symbol
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers.base import Layer, builtin
from cnnx.layers.inside import held

__all__ = ["Graph"]


@builtin
class Graph(Container):
    """The layers between input and output Symbols, as one layer: outputs = f(inputs).

    inputs   a Symbol, or a tuple of them: `Input`s, or intermediate Symbols, to cut the network
    outputs  a Symbol, or a tuple of them

    ``model(x)``, or ``model(x1, x2)``, returns one array, or a tuple. `backward` takes the gradient
    of the output, or a tuple, and returns that of the input, or a tuple. Layers run in the order in
    which they were called; calls that no output depends on are left out. A layer that was called
    several times shares its weights, and their gradients add up.

    The layers are named "0", "1", ... in this order: the first part of the keys in `state_dict`.
    ``model["0"]`` is a layer, and ``model["0"] = other`` replaces it in every call. If a subclass
    calls ``super().__init__(inputs, outputs)`` at the end of its constructor, layers that are
    attributes by then have the attributes' names.

    names    {name: layer}, for layers with a name instead of a number

    ValueError for an Input that the outputs need but `inputs` lacks, for an unused input, and for a
    name that is a number, has a dot, or belongs to a layer that was not called; TypeError for
    inputs and outputs that are not Symbols.

    Example::

        x = cnnx.Input((3, 32, 32))
        h = Conv2D(3, 8, 3, padding=1)(x)
        gate = Sequential(GlobalAvgPool2D(), Conv2D(8, 8, 1), Sigmoid())(h)
        model = cnnx.Graph(x, Flatten()(h * gate + h))
        model(np.zeros((2, 3, 32, 32), np.float32)).shape      # (2, 8192)
    """

    def __init__(self, inputs: Any, outputs: Any, names: Mapping[str, Layer] | None = None) -> None:
        starts, ends = _symbols("inputs", inputs), _symbols("outputs", outputs)
        calls = _calls(starts, ends)
        numbers = {id(symbol): number for number, symbol in enumerate(starts)}
        for call in calls:
            for symbol in call.outputs:
                numbers.setdefault(id(symbol), len(numbers))
        known = {id(layer): name for name, layer in held(self._attributes(), Layer)}
        known.update(_named(names or {}, calls))
        self._layers: dict[str, Layer] = {}
        for call in calls:
            name = known.setdefault(id(call.layer), _free_name(self._layers))
            self._layers[name] = call.layer
        self._calls = tuple(
            (known[id(call.layer)], tuple(numbers[id(symbol)] for symbol in call.inputs))
            for call in calls
        )
        self._outputs = tuple(numbers[id(symbol)] for symbol in ends)
        self.input_shapes = tuple(symbol.shape for symbol in starts)

    def wiring(self) -> Wiring:
        nodes: list[Node] = []
        free = len(self.input_shapes)
        for name, inputs in self._calls:
            layer = self._layers[name]
            made = tuple(range(free, free + count_outputs(layer)))
            nodes.append(Node(name, layer, inputs, made))
            free += len(made)
        return Wiring(len(self.input_shapes), tuple(nodes), self._outputs)

    def parts(self) -> list[Any]:
        return list(self._layers.values())

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from self._layers.items()
        if type(self) is not Graph:  # a subclass may have layers in other attributes
            for name, layer in held(self._attributes(), Layer):
                if not name.startswith("_layers.") and name not in self._layers:
                    yield name, layer

    def __getitem__(self, name: str) -> Any:
        if name not in self._layers:
            raise KeyError(f"Graph has no layer {name!r}, only {list(self._layers)}")
        return self._layers[name]

    def __setitem__(self, name: str, layer: Layer) -> None:
        """Replace the layer of this name in every call."""
        before = self[name]
        if not isinstance(layer, Layer):
            raise TypeError(f"Graph: {layer!r} is a {type(layer).__name__}, not a layer")
        if any(inside is self for inside in layer.modules()):
            raise ValueError("Graph: a container cannot contain itself")
        if count_outputs(layer) != count_outputs(before):
            raise ValueError(
                f"Graph: {name!r} has {count_outputs(before)} outputs, the new layer "
                f"{count_outputs(layer)}"
            )
        self._layers[name] = layer
        if name in vars(self):
            object.__setattr__(self, name, layer)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("_layers", ()) and isinstance(value, Layer):
            self[name] = value
        else:
            super().__setattr__(name, value)

    def config(self) -> dict[str, Any]:
        """The layers and the wiring. A subclass is loaded without its constructor, from its wiring
        and the attributes that are numbers, strings, None, and tuples and dicts of these.
        """
        own = ("_layers", "_calls", "_outputs", "input_shapes", "training", "_preprocessing")
        beside = {k: v for k, v in self._attributes().items() if k not in (*own, *self._layers)}
        return {
            "layers": self._layers,
            "calls": self._calls,
            "outputs": self._outputs,
            "input_shapes": self.input_shapes,
            **({"beside": beside} if beside else {}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The graph that `config` described; ValueError for invalid wiring."""
        if cls.config is not Graph.config:  # a subclass that overrides config
            return cls(**config)
        model = cls.__new__(cls)
        attributes = vars(model)
        layers = config["layers"]
        if cls is not Graph:
            beside = config.get("beside", {}) | {k: v for k, v in layers.items() if "." not in k}
            attributes.update({k: v for k, v in beside.items() if not hasattr(Graph, k)})
        attributes.update(
            _layers=layers,
            _calls=tuple((name, tuple(inputs)) for name, inputs in config["calls"]),
            _outputs=tuple(config["outputs"]),
            input_shapes=tuple(map(tuple, config["input_shapes"])),
        )
        _check(model.wiring())
        return model


def _symbols(name: str, given: Any) -> tuple[Symbol, ...]:
    symbols = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for symbol in symbols:
        if not isinstance(symbol, Symbol):
            raise TypeError(
                f"Graph: {name} has a {type(symbol).__name__}, expected Symbols: the "
                "results of cnnx.Input and of layers called on them"
            )
    if not symbols:
        raise ValueError(f"Graph: {name} is empty, expected one or more Symbols")
    return symbols


def _calls(starts: tuple[Symbol, ...], ends: tuple[Symbol, ...]) -> list[Call]:
    """The calls that lead from the inputs to the outputs, in the order they were made."""
    given = {id(symbol) for symbol in starts}
    if len(given) < len(starts):
        raise ValueError("Graph: a Symbol occurs twice among the inputs")
    read, calls, open_ends = set(), {}, list(ends)
    while open_ends:
        symbol = open_ends.pop()
        read.add(id(symbol))
        if id(symbol) in given:
            continue
        if symbol.call is None:
            raise ValueError(
                f"Graph: the outputs need an Input of shape {symbol.shape} that is not among the "
                f"inputs, of shapes {', '.join(str(start.shape) for start in starts)}"
            )
        if symbol.call.order not in calls:
            calls[symbol.call.order] = symbol.call
            open_ends += symbol.call.inputs
    for number, symbol in enumerate(starts):
        if id(symbol) not in read:
            raise ValueError(f"Graph: no output needs input {number}, of shape {symbol.shape}")
    return [calls[order] for order in sorted(calls)]


def _named(names: Mapping[str, Layer], calls: list[Call]) -> dict[int, str]:
    """The given names, by id of the layer."""
    called = {id(call.layer) for call in calls}
    for name, layer in names.items():
        free = isinstance(name, str) and name and not name.isdigit() and not hasattr(Graph, name)
        if not free or "." in name:
            raise ValueError(
                f"Graph: {name!r} is not a name: expected text without a dot that is neither a "
                "number nor an attribute of Graph"
            )
        if id(layer) not in called:
            raise ValueError(f"Graph: {name!r} names a layer that was not called: {layer!r}")
    named = {id(layer): name for name, layer in names.items()}
    if len(named) < len(names):
        raise ValueError(f"Graph: a layer has two names, among {', '.join(map(repr, names))}")
    return named


def _free_name(layers: dict[str, Layer]) -> str:
    number = len(layers)
    while str(number) in layers:
        number += 1
    return str(number)


def _check(wiring: Wiring) -> None:
    """ValueError for nodes that read a value before it exists."""
    known = wiring.inputs
    for name, _, inputs, outputs in wiring.nodes:
        _check_numbers(name, inputs, known)
        known += len(outputs)
    _check_numbers("outputs", wiring.outputs, known)


def _check_numbers(name: str, numbers: Any, known: int) -> None:
    if not numbers or not all(type(n) is int and 0 <= n < known for n in numbers):
        raise ValueError(f"Graph: {name!r} reads the values {numbers}, but {known} values exist")
