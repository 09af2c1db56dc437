"""`Transform`, the base class, and `Compose`."""

# Design:
# Transforms are dataclasses: their fields are their arguments, checked in `__post_init__`, so that
# `repr` shows them and pickle stores them. They have no state; all randomness comes from `rng`.
# `apply` receives floats (n, c, h, w) that it must not change, since they may be the user's.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...random import generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Compose", "Transform", "interval", "numbers", "probability"]

Pair = tuple[np.ndarray, Any]


class Transform:
    """Base class: a function of a batch of images.

    transform(x, y, rng)    -> (x, y), as `batches(transform=...)` and `fit(augment=...)` call it
    transform(x, seed=0)    -> x, by hand; without seed, from the generator of `cnnx.manual_seed`

    x    (n, c, h, w), or by hand one image (c, h, w): float32 or float64 from 0 to 1; uint8 becomes
         float32, divided by 255. It is not changed
    y    the targets (n, ...), or None; most transforms return them as they are
    rng  a `numpy.random.Generator`

    A subclass defines `apply_x(x, rng) -> x`, or `apply(x, y, rng) -> (x, y)` to change y as well.

    Example:
        class Noise(Transform):
            def apply_x(self, x, rng):
                return x + 0.1 * rng.standard_normal(x.shape, x.dtype)
    """

    def __call__(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
        *,
        seed: int | None = None,
    ) -> Any:
        op = type(self).__name__
        if rng is None:
            rng = generator(seed)
        elif seed is not None:
            raise ValueError(f"{op}: give rng or seed, not both")
        pixels = _pixels(op, x)
        if pixels.ndim == 3:
            moved, target = self.apply(
                pixels[None], None if y is None else np.asarray(y)[None], rng
            )
            return moved[0] if target is None else (moved[0], target[0])
        moved, target = self.apply(pixels, y, rng)
        return moved if target is None else (moved, target)

    def apply(self, x: np.ndarray, y: ArrayLike | None, rng: np.random.Generator) -> Pair:
        """The transformed batch."""
        return self.apply_x(x, rng), y

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The transformed images (n, c, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} defines neither apply nor apply_x")


@dataclass(repr=False)
class Compose(Transform):
    """Transforms one after the other, each on the result of the one before.

    transforms  list of transforms, or of functions (x, y, rng) -> (x, y)

    Example: ``Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])``
    """

    transforms: Sequence[Callable[..., Any]]

    def __post_init__(self) -> None:
        if isinstance(self.transforms, Transform):
            raise TypeError("Compose: transforms is one transform, expected a list of them")
        self.transforms = list(self.transforms)
        for one in self.transforms:
            if not callable(one):
                raise TypeError(f"Compose: {one!r} is no transform")

    def apply(self, x: np.ndarray, y: ArrayLike | None, rng: np.random.Generator) -> Pair:
        for one in self.transforms:
            x, y = one.apply(x, y, rng) if isinstance(one, Transform) else one(x, y, rng)
        return x, y

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def _pixels(op: str, value: Any) -> np.ndarray:
    """Images as floats, (n, c, h, w) or (c, h, w)."""
    x = checks.from_anything(op, "x", value)
    if x.ndim not in (3, 4):
        raise ValueError(f"{op}: x has shape {x.shape}, expected images (n, c, h, w)")
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32)
    if x.dtype not in checks.FLOATS:
        raise TypeError(
            f"{op}: x has dtype {x.dtype}, expected float32 or float64 from 0 to 1, or uint8"
        )
    return x


def probability(op: str, name: str, value: Any) -> float:
    """A number from 0 to 1."""
    p = checks.real(op, name, value)
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: {name} is {value}, expected a probability from 0 to 1")
    return p


def numbers(op: str, name: str, value: Any, count: int) -> tuple[float, ...]:
    """A tuple of `count` finite numbers."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != count:
        raise ValueError(f"{op}: {name} is {value!r}, expected {count} numbers")
    return tuple(checks.real(op, name, number) for number in value)


def interval(op: str, name: str, value: Any, low: float = -np.inf) -> tuple[float, float]:
    """Two numbers, the second not below the first, which is not below `low`."""
    least, most = numbers(op, name, value, 2)
    if not low <= least <= most:
        raise ValueError(f"{op}: {name} is {value!r}, expected ({max(low, -1e9):g} <=) low <= high")
    return least, most
