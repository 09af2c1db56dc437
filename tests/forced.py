"""Forces algorithms on every convolution that they can compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cnnx
from cnnx import backends
from cnnx.backends import choose

DATA, WEIGHT = ("forward", "backward_data"), ("backward_weight",)
# The algorithms, and the directions that have them.
WAYS = {
    "tiles": {"winograd": DATA + WEIGHT},
    "panels": {"winograd_by_panels": ("forward",)},
    "filters, strips": {"winograd_by_filters": DATA, "winograd_by_strips": WEIGHT},
}


@contextmanager
def winograd(way: str) -> Iterator[None]:
    """Context in which 3x3 convolutions at stride 1 use one of the WAYS, all others as usual."""

    def rule(name: str, directions: tuple[str, ...]) -> choose.Rule:
        return choose.Rule(
            name, lambda c: c.is_winograd_shape and c.direction in directions, "a test"
        )

    with _first(*(rule(*item) for item in WAYS[way].items())):
        yield


@contextmanager
def packed_once(algorithm: str) -> Iterator[None]:
    """Context in which convolutions forward of weights that are packed once use this algorithm."""
    with _first(choose.Rule(algorithm, lambda c: c.packed and c.direction == "forward", "a test")):
        yield


@contextmanager
def channels_last(algorithm: str) -> Iterator[None]:
    """Context in which convolutions of arrays whose channels are last use this algorithm."""
    before = choose.CHANNELS_LAST_RULES
    choose.CHANNELS_LAST_RULES = (choose.Rule(algorithm, lambda c: True, "a test"),)
    try:
        yield
    finally:
        choose.CHANNELS_LAST_RULES = before


@contextmanager
def _first(*rules: choose.Rule) -> Iterator[None]:
    """Context in which these rules come before all others."""
    before = choose.RULES
    choose.RULES = (*rules, *before)
    _forget_choices()
    try:
        yield
    finally:
        choose.RULES = before
        _forget_choices()


def _forget_choices() -> None:
    choose._choose.cache_clear()
    if "compiled" in cnnx.available_backends():
        backends.load("compiled").jobs.clear()
