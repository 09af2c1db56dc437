"""Images of circles, rectangles and triangles with a class for every pixel, for segmentation.

>>> data = make_shapes(images=4, size=32, seed=0)
>>> data.x.shape, data.y.shape, data.classes
((4, 3, 32, 32), (4, 32, 32), ('background', 'circle', 'rectangle', 'triangle'))
"""

# Design:
# A shape is a centre, a radius, an angle and a gauge: a function of a point (u, v) relative to the
# centre, in the rotated axes of the shape, that is at most the radius inside and larger outside.
# All random numbers are drawn before any pixel is painted. The k-th shapes of many images are
# painted at once; processing images in blocks bounds the memory.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .datasets import Dataset
from .limits import check_memory, integer
from .synthetic import _noise, _source

__all__ = ["make_shapes"]

CLASSES = ("background", "circle", "rectangle", "triangle")
LEAST_SIZE = 16  # pixels: smaller triangles cannot be recognised
RADIUS = (0.2, 0.4)  # of the circumscribed circle, as fractions of the image's size
PLACE = (0.15, 0.85)  # of the centre, likewise
RATIO = (0.6, 1.0)  # of a rectangle's sides, the second to the first
CONTRAST = 0.25  # least difference of a shape from the background, in every channel
_BLOCK = 1 << 21  # pixels of images that are painted together

Gauge = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _circle(u: np.ndarray, v: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    return np.hypot(u, v)


def _rectangle(u: np.ndarray, v: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """The corners of a square are sqrt(2) times as far from the centre as its sides."""
    return np.sqrt(2, dtype=u.dtype) * np.maximum(np.abs(u), np.abs(v) / ratio)


def _triangle(u: np.ndarray, v: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Equilateral: its sides are half as far from the centre as its corners."""
    return np.maximum(-2 * v, np.sqrt(3, dtype=u.dtype) * np.abs(u) + v)


GAUGES: tuple[Gauge, ...] = (_circle, _rectangle, _triangle)  # for classes 1, 2, 3


class _Drawing(NamedTuple):
    """The random numbers of n images with up to k shapes each."""

    background: np.ndarray  # (n, 3)
    number: np.ndarray  # (n,) number of shapes in the image
    kind: np.ndarray  # (n, k) class of each
    colour: np.ndarray  # (n, k, 3)
    place: np.ndarray  # (n, k, 5): x, y, radius, angle, ratio


def make_shapes(
    images: int = 1000,
    size: int = 32,
    shapes: int = 3,
    noise: float = 0.05,
    seed: int | None = None,
) -> Dataset:
    """Circles, rectangles and triangles on a plain background, and the class of every pixel.

    An image has 1 to `shapes` of them, each of random class, colour, position, angle and size;
    later ones cover earlier ones, and the border may cut them off. A pixel is inside if
    g(u, v) <= r, where (u, v) is its centre relative to that of the shape, rotated by its angle:

    circle     g = sqrt(u^2 + v^2)
    rectangle  g = sqrt(2) max(|u|, |v| / ratio)        ratio from 0.6 to 1
    triangle   g = max(-2 v, sqrt(3) |u| + v)           equilateral

    r is 0.2 to 0.4 of the size. Each channel of a colour differs from that of the background by
    0.25 or more; noise * normal is added to all pixels, and the result is clipped to 0..1.

    images  number of images               size   height and width in pixels, 16 or more
    shapes  maximum number in one image    noise  standard deviation; 0: plain colours
    seed    int from 0: the same seed, the same images; None: `cnnx.manual_seed`'s generator

    returns  Dataset, x (images, 3, size, size) float32 from 0 to 1, y (images, size, size) int64:
             0 is background, 1 a circle, 2 a rectangle, 3 a triangle
    Raises ValueError/TypeError for numbers below these, and for more images than fit into memory.

    >>> data = make_shapes(images=5, shapes=1, seed=0)
    >>> [data.classes[k] for k in data.y.max(axis=(1, 2))]
    ['rectangle', 'circle', 'triangle', 'rectangle', 'triangle']
    """
    op = "make_shapes"
    images, size = integer(op, "images", images, 1), integer(op, "size", size, LEAST_SIZE)
    shapes, noise = integer(op, "shapes", shapes, 1), _noise(op, noise)
    # A mask of int64 has two thirds of the bytes of three channels.
    check_memory(op, "x and y", (images, 5, size, size), "draw fewer or smaller images")
    check_memory(op, "the shapes", (images, shapes, 9), "draw fewer shapes")
    source = _source(op, seed)
    drawing = _draw(images, shapes, source)
    x = np.empty((images, 3, size, size), np.float32)
    y = np.zeros((images, size, size), np.int64)
    x[:] = drawing.background[:, :, None, None]
    for block in _blocks(images, size):
        _paint(x[block], y[block], _Drawing(*(part[block] for part in drawing)))
        if noise:
            x[block] += np.float32(noise) * source.standard_normal(x[block].shape, np.float32)
    return Dataset(np.clip(x, 0, 1, out=x), y, CLASSES)


def _draw(n: int, k: int, source: np.random.Generator) -> _Drawing:
    background = source.uniform(0, 1, (n, 3))
    # A step from 1/4 to 3/4 around a circle of length 1.
    step = source.uniform(CONTRAST, 1 - CONTRAST, (n, k, 3))
    place = np.empty((n, k, 5))
    place[..., :2] = source.uniform(*PLACE, (n, k, 2))
    place[..., 2] = source.uniform(*RADIUS, (n, k))
    place[..., 3] = source.uniform(0, 2 * np.pi, (n, k))
    place[..., 4] = source.uniform(*RATIO, (n, k))
    return _Drawing(
        background,
        source.integers(1, k + 1, n),
        source.integers(1, len(CLASSES), (n, k)),
        (background[:, None] + step) % 1,
        place.astype(np.float32),
    )


def _blocks(images: int, size: int) -> Iterator[slice]:
    length = max(1, _BLOCK // (size * size))
    for start in range(0, images, length):
        yield slice(start, start + length)


def _paint(x: np.ndarray, y: np.ndarray, drawing: _Drawing) -> None:
    """Paint all shapes onto images x and masks y, which hold the background."""
    size = x.shape[-1]
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    for k in range(drawing.kind.shape[1]):
        for label, gauge in enumerate(GAUGES, start=1):
            image = np.flatnonzero((drawing.number > k) & (drawing.kind[:, k] == label))
            left, top, radius, angle, ratio = drawing.place[image, k].T[:, :, None, None]
            right, down = middle - left, middle[:, None] - top
            cosine, sine = np.cos(angle), np.sin(angle)
            u, v = cosine * right + sine * down, cosine * down - sine * right
            inside, i, j = np.nonzero(gauge(u, v, ratio) <= radius)
            image = image[inside]
            y[image, i, j] = label
            x[image, :, i, j] = drawing.colour[image, k]
