"""`Sequential`: a chain of layers, itself a layer. `Identity`: y = x."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from cnnx.graph.container import Container, count_outputs
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers.base import Layer, builtin
from cnnx.layers.inside import held

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Identity", "Sequential"]


@builtin
class Identity(Layer):
    """y = x, for x of any shape: a placeholder where a layer is expected.

    Example: ``shortcut = Identity() if same_shape else Conv2D(16, 32, 1)``
    """

    def forward(self, x: Any) -> Any:
        return self._float(x)

    def backward(self, dy: Any) -> Any:
        return dy


@builtin
class Sequential(Container):
    """Layers in order: y = layer_k(... layer_2(layer_1(x))).

    Takes layers, one list of layers, or ``(name, layer)`` pairs; the default names are "0", "1",
    and so on. Names are the first part of the keys in `state_dict`. Supports indexing with a number
    or a name, slicing (a Sequential of the same layers), `len`, iteration, assignment and `del` of
    an entry, `append`, `extend`, `insert` and `pop`. After an insertion or deletion the numbers
    among the names are the positions again; other names stay (PyTorch numbers these, too). A layer
    may be used several times: its weights are shared and their gradients add up. Each forward
    allows one backward, which frees the saved values as it runs.

    A subclass may define its own constructor, such as ``Net(width)``; the model can be saved, and
    loaded with ``custom={"Net": Net}``. If it has other attributes besides its layers, the
    constructor's arguments must be attributes of the same names (or it overrides `config`).

    Example::

        model = Sequential(Conv2D(1, 8, 3), ReLU(), Flatten(), Linear(288, 10))
        model[0].weight.shape        # (8, 1, 3, 3)
        body = model[:-1]            # without the last layer
    """

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            layers = tuple(layers[0].items())
        elif len(layers) == 1 and isinstance(layers[0], (list, tuple)) and not _is_pair(layers[0]):
            layers = tuple(layers[0])
        self._layers: dict[str, Layer] = {}
        for item in layers:
            self.append(item)

    def wiring(self) -> Wiring:
        nodes: list[Node] = []
        values: tuple[int, ...] = (0,)
        free = 1
        for name, layer in self._layers.items():
            made = tuple(range(free, free + count_outputs(layer)))
            nodes.append(Node(name, layer, values, made))
            values, free = made, free + len(made)
        return Wiring(1, tuple(nodes), values)

    def parts(self) -> list[Any]:
        return list(self._layers.values())

    def append(self, layer: Any) -> Self:
        """Append a layer, or a ``(name, layer)`` pair. Returns the container."""
        name, layer = layer if _is_pair(layer) else (self._free_name(), layer)
        self._check(name, layer)
        if name in self._layers:
            raise ValueError(f"Sequential: two layers have the name {name!r}")
        self._layers[name] = layer
        return self

    def extend(self, layers: Iterable[Any]) -> Self:
        """Append layers, or ``(name, layer)`` pairs; of a Sequential its layers. Returns the
        container. If one cannot be appended, none is.
        """
        before = dict(self._layers)
        try:
            for layer in list(layers):
                self.append(layer)
        except Exception:
            self._layers = before
            raise
        return self

    def insert(self, index: int, layer: Any) -> Self:
        """Insert a layer, or a ``(name, layer)`` pair, before the one at a position, which may be
        negative, from the back. Returns the container. IndexError for one beyond the ends.

        Example: ``model.insert(1, BatchNorm2D(16))``
        """
        position, count = operator.index(index), len(self)
        if not -count <= position <= count:
            raise IndexError(
                f"Sequential.insert: index is {position}, expected {-count} to {count}, "
                f"as there are {count} layers"
            )
        name, layer = layer if _is_pair(layer) else (self._free_name(), layer)
        self._check(name, layer)
        if name in self._layers:
            raise ValueError(f"Sequential: two layers have the name {name!r}")
        items = list(self._layers.items())
        items.insert(position, (name, layer))
        self._layers = _numbered(items)
        return self

    @overload
    def pop(self, index: int | str = -1) -> Any: ...
    @overload
    def pop(self, index: slice) -> Sequential: ...
    def pop(self, index: int | str | slice = -1) -> Any:
        """Remove a layer, by default the last, and return it; of a slice a Sequential of all."""
        removed = self[index]
        del self[index]
        return removed

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from self._layers.items()
        if type(self) is not Sequential:  # a subclass may have layers in other attributes
            beside = self._attributes()
            del beside["_layers"]
            yield from held(beside, Layer)

    def config(self) -> dict[str, Any]:
        """The layers. For a subclass with other attributes also the constructor's arguments, as in
        `Layer.config`, and the layers among the attributes.
        """
        config: dict[str, Any] = {"layers": tuple(self._layers.items())}
        beside = any(not hasattr(Layer, k) for k in self._attributes() if k != "_layers")
        if beside and type(self).__init__ is not Sequential.__init__:
            config["arguments"] = super().config()
            config["beside"] = {k: v for k, v in vars(self).items() if isinstance(v, Layer)}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The container with the layers of `config`, whichever its constructor creates."""
        if cls.config is not Sequential.config:  # a subclass that overrides config
            return cls(**config)
        model = cls.__new__(cls)
        if "arguments" in config and cls.__init__ is not Sequential.__init__:
            model = cls(*(config["layers"] if _takes_layers(cls) else ()), **config["arguments"])
            vars(model).update({k: v for k, v in config["beside"].items() if isinstance(v, Layer)})
        vars(model)["_layers"] = {}
        for named in config["layers"]:
            Sequential.append(model, named)  # a subclass's append may add layers
        return model

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    @overload
    def __getitem__(self, index: int | str) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | str | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(*list(self._layers.items())[index])
        return self._layers[self._name_at(index)]

    def __setitem__(self, index: int | str, layer: Layer) -> None:
        """Replace one layer, as in ``model[-1] = Linear(64, 5)``."""
        if isinstance(index, slice):
            raise TypeError("Sequential: a slice was assigned: del it, then insert layers")
        name = self._name_at(index)
        self._check(name, layer)
        self._layers[name] = layer

    def __delitem__(self, index: int | str | slice) -> None:
        """Remove a layer, or those of a slice, as in ``del model[-1]``."""
        items = list(self._layers.items())
        if isinstance(index, slice):
            del items[index]
        else:
            name = self._name_at(index)
            items = [item for item in items if item[0] != name]
        self._layers = _numbered(items)

    def _name_at(self, index: int | str) -> str:
        if isinstance(index, str):
            if index not in self._layers:
                raise KeyError(f"Sequential has no layer {index!r}, only {list(self._layers)}")
            return index
        try:
            return list(self._layers)[index]
        except IndexError:
            raise IndexError(f"Sequential: index {index} with {len(self)} layers") from None

    def _free_name(self) -> str:
        number = len(self)
        while str(number) in self._layers:
            number += 1
        return str(number)

    def _check(self, name: Any, layer: Any) -> None:
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(f"Sequential: {layer.__name__} is a class, write {layer.__name__}()")
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential: {layer!r} is a {type(layer).__name__}, not a layer")
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"Sequential: {name!r} is not a name: expected text without a dot")
        if any(inside is self for inside in layer.modules()):
            raise ValueError("Sequential: a container cannot contain itself")


def _numbered(items: list[tuple[str, Layer]]) -> dict[str, Layer]:
    """The layers by name, where a name that is a number becomes the position."""
    return {
        str(position) if name.isdecimal() else name: layer
        for position, (name, layer) in enumerate(items)
    }


def _takes_layers(cls: type[Sequential]) -> bool:
    arguments = inspect.signature(cls).parameters.values()
    return any(argument.kind is argument.VAR_POSITIONAL for argument in arguments)


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)
