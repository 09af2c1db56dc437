"""Chains of operators as the layer that they compute.

products and sums with one number per channel, after a convolution or linear layer, or before a
convolution without padding                            its weights
clip to 0 ... 1 after one                              Hardsigmoid, of six times its weights
x / sqrt(2), erf, + 1, * x, * 0.5                      GELU
x + 3, clip to 0 ... 6, * x, / 6                       Hardswish
x - mean, squares, mean, + eps, sqrt, /, *, +          LayerNorm
"""

# Design:
# Files have only ONNX's operators, and older opsets have no Gelu or HardSwish: exporters write a
# chain. A layer reads and writes memory once, has a kernel, and is one step of a plan.
# A rule looks at one call, the last of a chain, and at those whose results nothing else reads. It
# returns the call that takes its place; what nobody needs any more is left out when the graph is
# made. Products are compared as a number times the values that are multiplied, since exporters
# differ in their order. Results differ by rounding errors.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnx.layers.activation import Hardsigmoid, Hardswish, Sigmoid, Tanh
from cnnx.layers.conv import Conv2D, ConvTranspose2D
from cnnx.layers.curves import GELU, SiLU
from cnnx.layers.group_norm import LayerNorm
from cnnx.layers.merge import Add
from cnnx.layers.parameter import Parameter
from cnnx.layers.scaled import of_scaled, scaled
from cnnx.layers.signals import Conv1D, ConvTranspose1D
from cnnx.onnx.chains import Call, Chains, close, computes, is_relu6, scalar
from cnnx.onnx.layers.elementwise import Affine, Binary, Clip, Unary
from cnnx.onnx.layers.reduction import Reduce

__all__ = ["recognise"]

_SPATIAL = {Conv1D: 1, ConvTranspose1D: 1, Conv2D: 2, ConvTranspose2D: 2}


def recognise(calls: Sequence[Call], inputs: int, outputs: Sequence[int]) -> list[Call]:
    """The calls, of which some do the work of those before them.

    inputs   how many values are inputs; call i makes value inputs + i
    outputs  the values that are outputs

    Example: of the calls `Conv2D`, `Binary add`, the second becomes a `Conv2D` with a bias.
    """
    chains = Chains(calls, inputs, outputs)
    for rules in (_RULES, (_affines,), (_of_affine,)):  # each changes what those before look for
        for number in filter(chains.is_read, range(inputs, inputs + len(calls))):
            for rule in rules:
                made = rule(chains, number)
                if made is not None:
                    chains.replace(number, made)
                    break
    return chains.calls


# -- the rules: the call that takes the place of a value's, or None ------------------------------


def _gelu(chains: Chains, number: int) -> Call | None:
    """x/2 * (1 + erf(x / sqrt(2))), or with 1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))."""
    for x, gate in chains.pairs(number, 0.5):
        inside = chains.plus(gate, 1)
        if inside is None:
            continue
        layer = chains.inner(inside)
        if type(layer) is Unary and layer.function == "erf":
            factor, values = chains.product(chains.given(inside)[0])
            if values == [x] and close(factor, math.sqrt(0.5)):
                return chains.name(number), GELU(), (x,)
        if type(layer) is Tanh and _is_cubic(chains, chains.given(inside)[0], x):
            return chains.name(number), GELU("tanh"), (x,)
    return None


def _is_cubic(chains: Chains, number: int, x: int) -> bool:
    """Whether a value is sqrt(2/pi) * (x + 0.044715 x^3)."""
    factor, values = chains.product(number)
    if len(values) != 1 or not close(factor, math.sqrt(2 / math.pi)):
        return False
    layer, given = chains.inner(values[0]), chains.given(values[0])
    if not (type(layer) is Add or (computes(layer, "add") and len(given) == 2)) or x not in given:
        return False
    cube, factors = chains.product(sum(given) - x)
    return factors == [x, x, x] and close(cube, 0.044715)


def _hardswish(chains: Chains, number: int) -> Call | None:
    """x * clip(x + 3, 0, 6) / 6"""
    for x, gate in chains.pairs(number, 1 / 6):
        if is_relu6(chains.inner(gate)) and chains.plus(chains.given(gate)[0], 3) == x:
            return chains.name(number), Hardswish(), (x,)
    for x, gate in chains.pairs(number, 1):
        if type(chains.inner(gate)) is Hardsigmoid and chains.given(gate) == (x,):
            return chains.name(number), Hardswish(), (x,)
    return None


def _silu(chains: Chains, number: int) -> Call | None:
    """x * sigmoid(x)"""
    for x, gate in chains.pairs(number, 1):
        if type(chains.inner(gate)) is Sigmoid and chains.given(gate) == (x,):
            return chains.name(number), SiLU(), (x,)
    return None


def _layer_norm(chains: Chains, number: int) -> Call | None:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias, over the last axis"""
    bias, product = _vector(chains, chains.layer(number), number, "add")
    weight, normal = _vector(chains, chains.inner(product), product, "mul")
    if bias is None or weight is None or len(weight) != len(bias):
        return None
    if not (computes(chains.inner(normal), "div") and len(chains.given(normal)) == 2):
        return None
    centred, root = chains.given(normal)
    layer = chains.inner(root)
    if not (type(layer) is Unary and layer.function == "sqrt"):
        return None
    shifted = chains.given(root)[0]
    eps = scalar(chains.inner(shifted)) if computes(chains.inner(shifted), "add") else None
    if eps is None:
        return None
    squares, layer = _mean_of(chains, chains.given(shifted)[0]), chains.layer(centred)
    if squares is None or not (computes(layer, "sub") and len(chains.given(centred)) == 2):
        return None
    x, mean = chains.given(centred)
    square = chains.inner(squares)
    squared = (
        computes(square, "pow") and scalar(square) == 2 and chains.given(squares) == (centred,)
    )
    if not (squared or chains.product(squares) == (1.0, [centred] * 2)):
        return None
    if _mean_of(chains, mean) != x:
        return None
    made = LayerNorm(len(weight), eps)
    made.weight, made.bias = Parameter(weight, "weight"), Parameter(bias, "bias")
    return chains.name(number), made, (x,)


def _vector(chains: Chains, layer: Any, number: int, function: str) -> tuple[Any, int]:
    """(vector, x), if the layer makes the value of x and a vector along its last axis; else
    (None, number).
    """
    array = _fixed(layer) if computes(layer, function) and len(chains.given(number)) == 1 else None
    if array is None or array.ndim != 1 or array.size < 2 or array.dtype.kind != "f":
        return None, number
    return array, chains.given(number)[0]


def _mean_of(chains: Chains, number: int) -> int | None:
    """x, if this inner value is its mean over the last axis."""
    layer = chains.inner(number)
    means = type(layer) is Reduce and layer.function == "mean" and layer.keepdims
    return chains.given(number)[0] if means and layer.axes == (-1,) else None


def _into_weights(chains: Chains, number: int) -> Call | None:
    """The result of a weighted layer with a product or sum of one number per filter."""
    before, scale, shift = _affine(chains, number)
    weighted = None if before is None else chains.weighted(before, scale is not None)
    if before is None or weighted is None:
        return None
    array = _per_filter(weighted, shift if scale is None else scale)
    if array is None:
        return None
    made = scaled(weighted, 1.0, array) if scale is None else scaled(weighted, array, 0.0)
    return chains.name(before), made, chains.given(before)


def _affines(chains: Chains, number: int) -> Call | None:
    """A product or sum with one number, or one per channel of images; and two of them as one."""
    before, scale, shift = _affine(chains, number)
    if before is None or not _per_channel(shift if scale is None else scale):
        return None
    dtype, first = (shift if scale is None else scale).dtype, chains.inner(before)
    scale, shift = dtype.type(1) if scale is None else scale, 0 if shift is None else shift
    if type(first) is Affine:
        (before,) = chains.given(before)
        scale, shift = _held(first, 1) * scale, _held(first, 2) * scale + shift
    made = Affine()
    made.fix(1, np.asarray(scale, dtype))
    made.fix(2, np.asarray(shift, dtype))
    return chains.name(number), made, (before,)


def _of_affine(chains: Chains, number: int) -> Call | None:
    """A convolution without padding of an affine value: padded, its border would not be affine."""
    layer, given = chains.layer(number), chains.given(number)
    if type(layer) not in (Conv1D, Conv2D) or np.any(layer.padding):
        return None
    affine = chains.inner(given[0])
    if type(affine) is not Affine or chains.shares_weights(layer):
        return None
    scale, shift = _held(affine, 1), _held(affine, 2)
    channels = -1 - _SPATIAL[type(layer)]  # their axis
    if any(a.size > 1 and a.shape[channels] != layer.in_channels for a in (scale, shift)):
        return None
    made = of_scaled(layer, scale.reshape(-1), shift.reshape(-1))
    return chains.name(number), made, chains.given(given[0])


def _affine(chains: Chains, number: int) -> tuple[int | None, Any, Any]:
    """(x, scale, shift) of a Binary, one of the last two None; (None, None, None) of others."""
    layer = chains.layer(number)
    array = _fixed(layer) if type(layer) is Binary else None
    if array is None or array.dtype.kind != "f" or len(chains.given(number)) != 1:
        return None, None, None
    (x,) = chains.given(number)
    second = 1 in layer.constants or 1 in layer.weights
    if layer.function == "mul":
        return x, array, None
    if layer.function == "div" and second and array.all():
        return x, 1 / array, None
    if layer.function == "add":
        return x, None, array
    if layer.function == "sub" and second:
        return x, None, -array
    return None, None, None


def _per_channel(array: np.ndarray) -> bool:
    """Whether it is one number, or has the shape of one per channel of images."""
    if array.size == 1:
        return array.ndim <= 3
    return array.ndim in (3, 4) and array.size == array.shape[-3]


def _held(layer: Any, position: int) -> Any:
    """An input that an operator holds."""
    if position in layer.weights:
        return layer.weights[position].data
    return layer.constants[position].array


def _hardsigmoid(chains: Chains, number: int) -> Call | None:
    """clip(z, 0, 1) or clip(z, 0, 6) / 6, where z is the result of a weighted layer.

    Hardsigmoid(u) = clip(u + 3, 0, 6) / 6, so u is 6 z - 3, or z - 3.
    """
    layer = chains.layer(number)
    factor, values = chains.product(number)
    if type(layer) is Clip and (layer.least, layer.most) == (0, 1):
        (before,), scale = chains.given(number), 6.0
    elif len(values) == 1 and close(factor, 1 / 6) and is_relu6(chains.inner(values[0])):
        (before,), scale = chains.given(values[0]), 1.0
    else:
        return None
    weighted = chains.weighted(before, scale != 1)
    if weighted is None:
        return None
    made = scaled(weighted, scale, -3.0)
    chains.replace(before, (chains.name(before), made, chains.given(before)))
    return chains.name(number), Hardsigmoid(), (before,)


def _fixed(layer: Any) -> Any:
    """The array that is an input of a Binary; None if there is none, or if both are."""
    arrays = [p.data for p in layer.weights.values()]
    arrays += [c.array for c in layer.constants.values()]
    return arrays[0] if len(arrays) == 1 else None


def _per_filter(layer: Any, array: Any) -> Any:
    """The array as one number per filter, if broadcasting gives each its own; or None."""
    after = _SPATIAL.get(type(layer), 0)  # axes behind that of the filters
    filters = layer.out_channels if after else layer.out_features
    if array.size == 1 and array.ndim <= after + 1:
        return np.full(filters, array.reshape(()))
    shape = (1,) * (array.ndim - after - 1) + (filters,) + (1,) * after
    if not after < array.ndim <= after + 2 or array.shape != shape:
        return None
    return array.reshape(filters)


_RULES: tuple[Callable[[Chains, int], Call | None], ...] = (
    *(_gelu, _hardswish, _silu, _layer_norm, _into_weights, _hardsigmoid),
)
