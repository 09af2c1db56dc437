"""Selects the algorithm of a convolution in the compiled backend: a pure function of its shape.

choose(Convolution.of("forward", x.shape, weight.shape, y.shape, (1, 1), (1, 1), "float32"))
"""

# Design:
# One rule per line; the first that applies decides, and kernels never decide again. The number of
# threads and the machine have no influence: the same shape gives the same algorithm, and so the
# same bits, everywhere. Only a plan may have measured another (engine/tune.py), which it keeps.
# Plain Python, so that it can be read and tested without a compiler; it is the only module of cnnx
# that csrc imports.

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

from cnnx.tuples import NamedTuple

__all__ = [
    *("ALGORITHMS", "CHANNELS_LAST_RULES", "RULES", "Convolution", "Rule", "candidates", "choose"),
    *("choose_channels_last", "preferring", "wanted_algorithm"),
]

ALGORITHMS = ("auto", "direct", "winograd")
DIRECTIONS = ("forward", "backward_data", "backward_weight")

# Set by `cnnx.use_algorithm` (config.py).
wanted_algorithm: ContextVar[str] = ContextVar("cnnx_algorithm", default="auto")
# A function from a convolution to the algorithm that is preferred for it, or None.
_preferred: ContextVar[Any] = ContextVar("cnnx_preferred", default=None)


class Convolution(NamedTuple):
    """The properties that the choice depends on. Channels and filters are those that the direction
    sums over and writes: backward-data sums over the layer's filters and writes its channels."""

    direction: str
    channels: int  # of x, per group
    filters: int  # of y, per group
    groups: int
    images: int
    pixels: tuple[int, int]  # rows and columns that are written; backward-weight: of dy
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    dtype: np.dtype[Any]
    packed: bool = False  # the weights, once for many calls: then packing them takes no time

    @classmethod
    def of(
        cls,
        direction: str,
        x_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        y_shape: tuple[int, ...],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        dtype: Any,
        packed: bool = False,
    ) -> Convolution:
        """From the shapes of the layer's x, weight and y."""
        n, c, h, w = x_shape
        oc, channels, kh, kw = weight_shape
        groups = c // channels
        pixels = (h, w) if direction == "backward_data" else (y_shape[2], y_shape[3])
        filters = oc // groups
        if direction == "backward_data":
            channels, filters = filters, channels
        return cls(
            direction,
            channels,
            filters,
            groups,
            n,
            pixels,
            (kh, kw),
            stride,
            dilation,
            np.dtype(dtype),
            packed,
        )

    @property
    def tiles(self) -> int:
        """Number of 4x4 tiles that cover the pixels of all images."""
        rows, cols = self.pixels
        return self.images * -(-rows // 4) * -(-cols // 4)

    @property
    def plane(self) -> int:
        """Pixels that are written of one image and channel."""
        return self.pixels[0] * self.pixels[1]

    @property
    def row(self) -> int:
        """Pixels of a row that are written together: backward-data writes every stride-th."""
        return self.pixels[1] // (self.stride[1] if self.direction == "backward_data" else 1)

    @property
    def is_winograd_shape(self) -> bool:
        """3x3 kernel with dilation 1 and stride 1."""
        return (
            self.kernel == (3, 3)
            and self.stride == (1, 1)
            and self.dilation == (1, 1)
            and self.groups == 1
        )


def pays_by_winograd(c: Convolution) -> bool:
    """Enough channels and filters to pay for the transforms, and enough tiles to multiply with
    each transformed weight once it is read; float64 is kept exact."""
    enough = min(c.channels, c.filters) >= 16 and (c.tiles > 4 or c.direction != "forward")
    return c.is_winograd_shape and c.dtype == "float32" and enough


class Rule(NamedTuple):
    """An algorithm, the condition for using it, and the reason."""

    algorithm: str
    holds: Callable[[Convolution], bool]
    why: str


RULES: tuple[Rule, ...] = (
    Rule(
        "columns_by_panels",
        lambda c: (
            c.packed
            and c.direction == "forward"
            and c.groups == 1
            and c.plane <= 8
            and (c.images * c.plane <= 32 or (c.plane <= 4 and c.kernel != (1, 1)))
            and c.images * c.plane <= 128
            and (c.filters > 32 or c.kernel == (1, 1))
        ),
        "planes that fill no vector: filters do. Weights are read once, for all windows; `direct` "
        "has filters in lanes too, where they are 16 or 32",
    ),
    Rule(
        "winograd_by_panels",
        lambda c: (
            c.packed
            and c.direction == "forward"
            and c.is_winograd_shape
            and c.dtype == "float32"
            and min(c.channels, c.filters) >= 16
            and c.tiles >= 2
            and (
                (c.tiles <= 64 and c.channels * c.filters <= 65536)
                or (c.plane <= 256 and c.channels * c.filters <= 4096)
            )
        ),
        "few tiles, of all images or of each, which fill no vectors and make no tasks for all "
        "threads; but channels and filters do. Packed weights are four times as large: more would "
        "come from memory",
    ),
    Rule(
        "columns",
        lambda c: (
            c.groups == 1
            and c.kernel != (1, 1)
            and not (c.packed and c.direction == "forward")
            and c.images * c.plane <= 64
            and c.channels * c.filters * c.kernel[0] * c.kernel[1] >= 65536
        ),
        "so few windows that most memory traffic is weights: a linear layer over the windows; but "
        "`direct` reads those that are packed once from one end to the other",
    ),
    Rule(
        "winograd_by_filters",
        lambda c: (
            pays_by_winograd(c)
            and c.direction != "backward_weight"
            and c.tiles <= 300
            and c.channels * c.filters >= (65536 if c.packed else 16384)
        ),
        "so few tiles that transforming and storing the weights would take as long as the products "
        "(or, of weights that are packed once, reading four times as many)",
    ),
    Rule(
        "winograd_by_strips",
        lambda c: (
            pays_by_winograd(c)
            and c.direction == "backward_weight"
            and c.channels * c.filters <= 512
        ),
        "sums so small that every task can have its own, and no task waits for another",
    ),
    Rule(
        "winograd",
        lambda c: pays_by_winograd(c),
        "a quarter of the multiplications, with enough channels to pay for the transforms",
    ),
    Rule(
        "depthwise_by_planes",
        lambda c: (
            c.groups >= 4
            and c.channels * c.filters == 1
            and c.direction != "backward_weight"
            and (c.kernel, c.dilation) == ((3, 3), (1, 1))
            and (c.stride == (1, 1) or (c.stride == (2, 2) and c.direction == "forward"))
            and c.pixels[1] >= 10
        ),
        "rows that fill vectors as they lie, so that planes need not be transposed into lanes",
    ),
    Rule(
        "depthwise",
        lambda c: c.groups >= 4 and c.channels * c.filters <= min(64, 2 * c.groups),
        "groups too small for a matrix product, and enough of them to fill the lanes of a vector",
    ),
    Rule(
        "pointwise_by_panels",
        lambda c: c.packed and c.direction == "forward" and c.kernel == (1, 1) and c.groups == 1,
        "the same product, of weights that are packed once: one stream from memory",
    ),
    Rule(
        "pointwise",
        lambda c: c.kernel == (1, 1) and c.groups == 1,
        "a product of two matrices in their existing memory layout",
    ),
    Rule(
        "implicit_gemm",
        lambda c: c.direction == "backward_data" and c.row < 12 and c.filters > 16,
        "rows too short to fill vectors, and enough filters to pay for copying windows together",
    ),
    Rule("direct", lambda c: True, "windows are read in the image: any shape and dtype"),
)

# Where x and y are (n, h, w, channels), as in a plan: forward, of weights that are packed once.
CHANNELS_LAST_RULES: tuple[Rule, ...] = (
    Rule(
        "winograd_channels_last",
        lambda c: (
            c.is_winograd_shape
            and c.dtype == "float32"
            and min(c.channels, c.filters) >= 16
            and c.tiles >= (4 if c.channels * c.filters <= 65536 else 12)
        ),
        "a quarter of the multiplications, with channels and filters in lanes as they lie. "
        "Transformed weights are four times as large, which takes enough tiles to pay for",
    ),
    Rule(
        "depthwise_channels_last",
        lambda c: c.groups >= 16 and c.channels * c.filters == 1,
        "channels fill vectors as they lie: the image is read once and nothing is staged",
    ),
    Rule(
        "pixels_by_panels",
        lambda c: c.groups == 1 and c.filters >= 16,
        "filters fill vectors, and the terms of a window lie side by side in the image",
    ),
)


def is_winograd(algorithm: str) -> bool:
    """Whether it is one of the Winograd algorithms, with their larger rounding errors."""
    return algorithm.startswith("winograd")


def choose(convolution: Convolution) -> str:
    """Name of the algorithm for a convolution, under the current `use_algorithm`.

    >>> conv = Convolution.of("forward", (8, 3, 32, 32), (16, 3, 3, 3), (8, 16, 30, 30),
    ...                       (1, 1), (1, 1), "float32")
    >>> choose(conv)
    'direct'
    """
    prefer = _preferred.get()
    preferred = None if prefer is None else prefer(convolution)
    if preferred is not None and preferred in candidates(convolution):
        return preferred
    return _choose(convolution, wanted_algorithm.get())


def choose_channels_last(convolution: Convolution) -> str | None:
    """Name of the algorithm for a convolution of arrays (n, h, w, channels); None: there is none.

    >>> conv = Convolution.of("forward", (1, 16, 8, 8), (16, 2, 3, 3), (1, 16, 8, 8),
    ...                       (1, 1), (1, 1), "float32", packed=True)
    >>> choose_channels_last(conv) is None
    True
    """
    if convolution.direction != "forward" or not convolution.packed:
        return None
    prefer = _preferred.get()
    if prefer is not None and prefer(convolution) is not None:
        return None  # another algorithm was measured to be faster
    exact = wanted_algorithm.get() == "direct"
    for rule in CHANNELS_LAST_RULES:
        if rule.holds(convolution) and not (exact and is_winograd(rule.algorithm)):
            return rule.algorithm
    return None


def candidates(convolution: Convolution) -> tuple[str, ...]:
    """The algorithms that may be as fast, that of `choose` first: for weights that are packed once.

    >>> conv = Convolution.of("forward", (1, 64, 16, 16), (64, 64, 3, 3), (1, 64, 16, 16),
    ...                       (1, 1), (1, 1), "float32", packed=True)
    >>> sorted(candidates(conv))
    ['direct', 'winograd', 'winograd_by_filters', 'winograd_by_panels']
    """
    return _candidates(convolution, wanted_algorithm.get())


@lru_cache(maxsize=1024)
def _candidates(convolution: Convolution, wanted: str) -> tuple[str, ...]:
    first = _choose(convolution, wanted)
    if not convolution.packed or convolution.direction != "forward" or wanted == "winograd":
        return (first,)
    found = [first, *[rule.algorithm for rule in RULES if rule.holds(convolution)]]
    if pays_by_winograd(convolution):  # the rules say which form; all of them compute it
        found += ["winograd", "winograd_by_filters"]
    if wanted == "direct":
        found = [algorithm for algorithm in found if not is_winograd(algorithm)]
    return tuple(dict.fromkeys(found))


@contextmanager
def preferring(prefer: Callable[[Convolution], str | None]) -> Iterator[None]:
    """Inside a `with` block, in this thread, `choose` returns what `prefer` does, if that is one of
    the `candidates`."""
    token = _preferred.set(prefer)
    try:
        yield
    finally:
        _preferred.reset(token)


@lru_cache(maxsize=1024)
def _choose(convolution: Convolution, wanted: str) -> str:
    found = [rule.algorithm for rule in RULES if rule.holds(convolution)]
    if wanted == "winograd" and convolution.is_winograd_shape and not is_winograd(found[0]):
        return "winograd"
    if wanted == "direct":
        found = [algorithm for algorithm in found if not is_winograd(algorithm)]
    return found[0]
