"""`Carried`: the preprocessing that a layer carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnx.preprocessing import Preprocessing

__all__ = ["Carried"]


class Carried:
    """The attribute of a layer that stores its `Preprocessing`, or None; TypeError for others."""

    def __get__(self, layer: Any, owner: type) -> Preprocessing | None:
        return None if layer is None else vars(layer).get("_preprocessing")

    def __set__(self, layer: Any, value: Preprocessing | None) -> None:
        if value is not None:
            from cnnx.preprocessing import Preprocessing  # here: few layers carry one

            if not isinstance(value, Preprocessing):
                raise TypeError(
                    f"{type(layer).__name__}.preprocessing is a {type(value).__name__}, expected a "
                    "Preprocessing or None; give a layer another name"
                )
        vars(layer)["_preprocessing"] = value
