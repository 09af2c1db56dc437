"""`NamedTuple`: that of `typing`, in a third of the time.

>>> class Size(NamedTuple):
...     rows: int
...     columns: int = 1
>>> Size(3)
Size(rows=3, columns=1)
"""

# Design:
# `typing.NamedTuple` compiles every annotation, which is text in this code, to an object that
# nobody asks for: 0.3 ms for a class, and a program that loads a plan makes 21 of them, 2 % of the
# time from its start to its first answer. Here the annotations stay text (`typing.get_type_hints`
# reads both). Type checkers see the class of `typing`.

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        """Makes a subclass of tuple of the statement ``class Name(NamedTuple)``."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
            if not bases:  # NamedTuple itself
                return super().__new__(cls, name, bases, members)
            fields = members.get("__annotations__", {})
            defaults = [members.pop(field) for field in fields if field in members]
            made = namedtuple(name, fields, defaults=defaults, module=members.pop("__module__"))
            for member, value in members.items():
                setattr(made, member, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """Base of a class whose annotations are the fields of a tuple."""
