"""`Sequential`: layers one after another, itself a layer. `Identity`: a layer that does nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from cnnx.layers.base import Layer, builtin
from cnnx.layers.fusion import Step, plan
from cnnx.layers.inside import held
from cnnx.layers.kept import keep, share_memory
from cnnx.layers.place import backward_here, forward_here, learns

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Identity", "Sequential"]


@builtin
class Identity(Layer):
    """y = x, of any shape: a placeholder where a layer is expected.

    Example: ``shortcut = Identity() if same_shape else Conv2D(16, 32, 1)``
    """

    def forward(self, x: Any) -> Any:
        return self._float(x)

    def backward(self, dy: Any) -> Any:
        return dy


@builtin
class Sequential(Layer):
    """Layers in order: y = layer_k(... layer_2(layer_1(x))).

    Takes layers, one list of layers, or ``(name, layer)`` pairs; without names they are "0", "1",
    and so on. Names are the first part of the keys in `state_dict`. Index with a number or a name,
    slice (a Sequential of the same layers), `len`, iterate, `append`. A layer may stand at several
    places: its weights are shared and their gradients add up. Backward goes through a forward once:
    what it needed is freed on the way.

    A subclass may have a constructor of its own, as ``Net(width)``; such a model is saved, and
    loaded with ``custom={"Net": Net}``. If it keeps more than its layers, the constructor's
    arguments must be attributes of the same names (or it overrides `config`).

    Example::

        model = Sequential(Conv2D(1, 8, 3), ReLU(), Flatten(), Linear(288, 10))
        model[0].weight.shape        # (8, 1, 3, 3)
        body = model[:-1]            # without the last layer
    """

    _plan: tuple[list[Layer], object, list[Step]] | None = None

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            layers = tuple(layers[0].items())
        elif len(layers) == 1 and isinstance(layers[0], (list, tuple)) and not _is_pair(layers[0]):
            layers = tuple(layers[0])
        self._layers: dict[str, Layer] = {}
        for item in layers:
            self.append(item)

    def forward(self, x: Any, **ending: Any) -> Any:
        self._forget()
        given, within = x, False  # within: x is no longer the memory that was given
        places = []
        steps = self._steps()
        for number, (layer, arguments, behind) in enumerate(steps, start=1):
            last = number == len(steps)
            if last:
                arguments = arguments | ending
            x, kept = forward_here(layer, x, within and not last, **arguments)
            within = within or not share_memory(x, given)
            places.append((layer, kept))
            if behind is not None and kept is not None:
                places.append((behind, keep((x,)) if last else (x,)))
        self._save(places)
        return x

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        """dx, or None with need_dx=False: then it stops at the first layer that learns."""
        (places,) = self._saved()
        self._keep(None)  # backward goes once: what a place kept is freed when it is behind
        learning = (i for i, (layer, _) in enumerate(places) if learns(layer))
        first = 0 if need_dx else next(learning, len(places))
        while len(places) > first:
            layer, kept = places.pop()
            dy = backward_here(layer, kept, dy, need_dx or len(places) > first)
        return dy if need_dx else None

    def _steps(self) -> list[Step]:
        """The plan by which forward runs: made anew when there are other layers."""
        layers, patched, last = list(self), Layer._patched, self._plan
        if last is not None and last[0] == layers and last[1] is patched:
            return last[2]
        steps = plan(layers)
        # Read and written as a whole: threads that come here together each have a plan that holds.
        # Not through setattr, where a user's layer around this one would take it for its own.
        vars(self)["_plan"] = layers, patched, steps
        return steps

    def _takes_add(self) -> bool:
        """Whether its last layer does, and nothing is done behind that."""
        steps = self._steps() if type(self) is Sequential else []
        return bool(steps) and not steps[-1].arguments and steps[-1].layer._takes_add()

    def append(self, layer: Any) -> Self:
        """Put a layer, or a ``(name, layer)`` pair, at the end. Returns the container."""
        name, layer = layer if _is_pair(layer) else (self._free_name(), layer)
        self._check(name, layer)
        if name in self._layers:
            raise ValueError(f"Sequential: the name {name!r} is given to two layers")
        self._layers[name] = layer
        return self

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from self._layers.items()
        if type(self) is not Sequential:  # a subclass may have layers of its own beside these
            beside = self._attributes()
            del beside["_layers"]
            yield from held(beside, Layer)

    def flow(self, input_shape: Any) -> Iterator[tuple[str, Layer, tuple[int, ...]]]:
        shape = tuple(input_shape)
        for name, layer in self._layers.items():
            yield name, layer, shape
            shape = layer.output_shape(shape)

    def config(self) -> dict[str, Any]:
        """The layers. Of a subclass that holds more than these, the constructor's arguments too,
        by the rules of `Layer.config`, and the layers that are attributes.
        """
        config: dict[str, Any] = {"layers": tuple(self._layers.items())}
        beside = any(not hasattr(Layer, k) for k in self._attributes() if k != "_layers")
        if beside and type(self).__init__ is not Sequential.__init__:
            config["arguments"] = super().config()
            config["beside"] = {k: v for k, v in vars(self).items() if isinstance(v, Layer)}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The container with the very layers of `config`, whatever its constructor puts into it."""
        if cls.config is not Sequential.config:  # a subclass that describes itself
            return cls(**config)
        model = cls.__new__(cls)
        if "arguments" in config and cls.__init__ is not Sequential.__init__:
            model = cls(*(config["layers"] if _takes_layers(cls) else ()), **config["arguments"])
            vars(model).update({k: v for k, v in config["beside"].items() if isinstance(v, Layer)})
        vars(model)["_layers"] = {}
        for named in config["layers"]:
            Sequential.append(model, named)  # not a subclass's own, which may add to them
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
        name = self._name_at(index)
        self._check(name, layer)
        self._layers[name] = layer

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
            raise ValueError(f"Sequential: {name!r} is no name: expected text without a dot")
        if any(inside is self for inside in layer.modules()):
            raise ValueError("Sequential: a container can not stand inside itself")


def _takes_layers(cls: type[Sequential]) -> bool:
    arguments = inspect.signature(cls).parameters.values()
    return any(argument.kind is argument.VAR_POSITIONAL for argument in arguments)


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)
