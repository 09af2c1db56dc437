"""`Structure`: whether a model still consists of the same layers, parameters and buffers."""

# Design:
# Nothing is registered in a layer, so its parts are found by a walk over the attributes of all
# layers: some 30 microseconds for a small network, and a millisecond for ResNet-20, which is too
# much for each training step. To see that a walk would find the same again takes a twentieth of it:
# what the attributes (and lists, tuples and dicts among them) hold is compared with what they held,
# by type, in C, and what a walk would enter by identity. So it is right however the model was
# changed. Changes that a walk does not see, such as other numbers, may count: they cost a walk.

from __future__ import annotations

from typing import Any

from cnnx.layers.base import OF_A_RUN, Layer
from cnnx.layers.parameter import Parameter

__all__ = ["Structure"]

_PARTS = (Layer, Parameter, list, tuple, dict)


class Structure:
    """What a model consists of.

    Example::

        structure, names = Structure(model), dict(model.named_parameters())
        ...
        if not structure.holds():
            structure, names = Structure(model), dict(model.named_parameters())
    """

    def __init__(self, model: Layer) -> None:
        self.known = True  # False: a user's class finds its parts in a way of its own
        self._holders: list[_Holder] = []
        seen: set[int] = set()
        stack: list[Any] = [model]
        while stack:
            part = stack.pop()
            if id(part) in seen or isinstance(part, Parameter):
                continue
            seen.add(id(part))
            if isinstance(part, Layer):
                self.known = self.known and _walks_as_usual(type(part))
                holder = _Holder(vars(part), OF_A_RUN)
            else:
                holder = _Holder(part)
            self._holders.append(holder)
            stack += [each for _, each in holder.parts]

    def holds(self) -> bool:
        """Whether the model consists of the same objects, at the same places."""
        return self.known and all([holder.same() for holder in self._holders])


class _Holder:
    """A list, a tuple, a dict, or the attributes of a layer; without those to leave out."""

    __slots__ = ("holder", "is_dict", "parts", "types")

    def __init__(self, holder: Any, leave_out: tuple[str, ...] = ()) -> None:
        self.holder, self.is_dict = holder, isinstance(holder, dict)
        items = list(holder.items()) if self.is_dict else list(enumerate(holder))
        self.types = [type(item) for _, item in items]
        self.parts = [
            (key, item) for key, item in items if isinstance(item, _PARTS) and key not in leave_out
        ]

    def same(self) -> bool:
        holder = self.holder
        if [*map(type, holder.values() if self.is_dict else holder)] != self.types:
            return False
        if self.is_dict:
            return all([holder.get(key) is part for key, part in self.parts])
        return all([holder[index] is part for index, part in self.parts])


def _walks_as_usual(cls: type[Layer]) -> bool:
    """Whether a class finds its parts in its attributes: as Layer does, or a class of cnnx."""
    ways: list[Any] = [cls.children, cls.own_parameters, cls.places, cls.named_parameters]
    return all(way.__module__.startswith("cnnx.") for way in ways)
