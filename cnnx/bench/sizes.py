"""Sizes of workloads: shapes and options. `str` names one, `small` reduces it for a test."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from cnnx import models
from cnnx.layers import Layer
from cnnx.random import seeded

__all__ = [
    "DecoupledParameters",
    "DenormalDense",
    "DenormalWindows",
    "Dense",
    "DilatedWindows",
    "Padded",
    "Parameters",
    "Resized",
    "Shape",
    "Shapes",
    "Step",
    "TiedWindows",
    "Windows",
]


class Windows(NamedTuple):
    """A square window that slides over x (n, c, h, w); for a convolution, with oc filters."""

    n: int
    c: int
    h: int
    w: int
    oc: int
    k: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    need_dx: bool = True  # of a backward: False omits the gradient of x

    def small(self) -> Windows:
        least = {"n": 2, "c": 4, "oc": 4, "groups": 4, "h": 11, "w": 11}
        return self._replace(**{name: min(getattr(self, name), m) for name, m in least.items()})

    def __str__(self) -> str:
        text = f"{self.n},{self.c},{self.h},{self.w}"
        text += f"->{self.oc} " if self.oc else " "
        text += f"{self.k}x{self.k}"
        text += f" s{self.stride}" if self.stride > 1 else ""
        if self.groups > 1:
            text += " depthwise" if self.groups == self.c else f" g{self.groups}"
        return text + ("" if self.need_dx else " weight")

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self[:4]

    @property
    def reach(self) -> int:
        """Pixels from the first to the last of a window, along an axis."""
        return self.k

    @property
    def out(self) -> tuple[int, int]:
        room = (size + 2 * self.padding - self.reach for size in (self.h, self.w))
        oh, ow = (pixels // self.stride + 1 for pixels in room)
        return oh, ow

    @property
    def taps(self) -> int:
        """Cells of all windows of all channels: the size of the column matrix."""
        return self.n * self.c * self.out[0] * self.out[1] * self.k**2

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolution: each tap of a group contributes to its channels."""
        return self.taps * self.oc // self.groups

    @property
    def outputs(self) -> int:
        return self.taps // self.k**2

    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding}


class DenormalWindows(Windows):
    """The same with an x of denormal numbers, which slow a CPU down."""

    def __str__(self) -> str:
        return f"{super().__str__()} denormal"


class DilatedWindows(Windows):
    """The same of every other pixel."""

    def __str__(self) -> str:
        return f"{super().__str__()} dilated"

    @property
    def reach(self) -> int:
        return 2 * self.k - 1

    def options(self) -> dict[str, Any]:
        return {**super().options(), "dilation": 2}


class TiedWindows(Windows):
    """The same with an x whose windows have several maxima, all of which receive a gradient."""

    def __str__(self) -> str:
        return f"{super().__str__()} ties"


class Shape(tuple[int, ...]):
    """The shape of an array."""

    def small(self) -> Shape:
        return Shape(min(size, 7) for size in self)

    def __str__(self) -> str:
        return "x".join(map(str, self)) if len(self) < 3 else ",".join(map(str, self))

    @property
    def elements(self) -> int:
        return math.prod(self)


class Shapes(tuple[Shape, ...]):
    """The shapes of several arrays that meet in one call."""

    def small(self) -> Shapes:
        return Shapes(Shape(min(size, 4) for size in shape) for shape in self)

    def __str__(self) -> str:
        runs = [(str(shape), len(list(same))) for shape, same in itertools.groupby(self)]
        return " + ".join(text if count == 1 else f"{count} of {text}" for text, count in runs)

    @property
    def joined(self) -> Shape:
        """All of them side by side along the channels."""
        n, _, *image = self[0]
        return Shape((n, sum(shape[1] for shape in self), *image))


class Resized(NamedTuple):
    """Images x (n, c, h, w) made oh pixels high and ow wide; `mode` says how, where it is open."""

    n: int
    c: int
    h: int
    w: int
    oh: int
    ow: int
    mode: str = ""

    def small(self) -> Resized:
        """Of a seventh of the pixels along each axis, and at least one."""
        sizes = {name: -(-getattr(self, name) // 7) for name in ("h", "w", "oh", "ow")}
        return self._replace(n=2, c=3, **sizes)

    def __str__(self) -> str:
        text = f"{self.n},{self.c},{self.h},{self.w}->{self.oh},{self.ow}"
        return f"{text} {self.mode}" if self.mode else text

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self[:4]

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.c, self.oh, self.ow


class Padded(NamedTuple):
    """Images x (n, c, h, w) with so many rows and columns of zeros on each side."""

    n: int
    c: int
    h: int
    w: int
    padding: int

    def small(self) -> Padded:
        return Padded(*(min(size, 5) for size in self))

    def __str__(self) -> str:
        return f"{self.n},{self.c},{self.h},{self.w} +{self.padding}"


class Parameters(tuple[int, ...]):
    """The number of elements of each parameter of a network."""

    def small(self) -> Parameters:
        return Parameters(min(size, 50) for size in self)

    def __str__(self) -> str:
        return f"{self.elements} in {len(self)}"

    @property
    def elements(self) -> int:
        return sum(self)


class DecoupledParameters(Parameters):
    """The same with decoupled weight decay: AdamW."""

    def small(self) -> DecoupledParameters:
        return DecoupledParameters(super().small())

    def __str__(self) -> str:
        return f"{super().__str__()} decoupled"


class Dense(NamedTuple):
    """n rows of a fully connected layer."""

    n: int
    inputs: int
    outputs: int

    def small(self) -> Dense:
        return Dense(*(min(size, 7) for size in self))

    def __str__(self) -> str:
        return f"{self.n}x{self.inputs}x{self.outputs}"


class DenormalDense(Dense):
    """The same with an x of denormal numbers."""

    def small(self) -> DenormalDense:
        return DenormalDense(*super().small())

    def __str__(self) -> str:
        return f"{super().__str__()} denormal"


class Step(NamedTuple):
    """A batch of a model of `cnnx.models`."""

    model: str
    input_shape: tuple[int, int, int]
    batch: int
    classes: int = 10

    def small(self) -> Step:
        c, h, w = self.input_shape  # 16 is halved as often as any model does
        return self._replace(batch=min(self.batch, 3), input_shape=(c, min(h, 16), min(w, 16)))

    def __str__(self) -> str:
        return f"{self.model} batch {self.batch}"

    def build(self) -> Layer:
        with seeded(0):
            return models.build(self.model, self.input_shape, self.classes)
