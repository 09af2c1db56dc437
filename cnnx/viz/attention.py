"""Grad-CAM and saliency: which pixels a network responds to, by its own forward and backward."""

# Design:
# Gradients are computed on a frozen copy of the model in eval mode, so the user's gradients, modes
# and cached values do not change. A tap (tap.py) after a layer records its output and the gradient
# with respect to it; before the first layer, the gradient with respect to the images. The score of
# a class is the output before a final Softmax or Sigmoid, as in both papers.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks
from cnnx.graph import Graph
from cnnx.layers import Identity, Layer, Sequential, Sigmoid, Softmax

from . import arguments, figures, look
from .arguments import Names, class_name, class_names
from .images import Path
from .tap import Tap, replaced, tapped

__all__ = ["grad_cam", "grad_cam_map", "saliency", "saliency_map"]


def grad_cam_map(model: Layer, images: Any, target: Any = None, layer: Any = None) -> np.ndarray:
    """Where a convolution's feature maps support a class: (n, h, w), of the layer's size, >= 0.

    map = relu(sum over k of a_k * A_k),  a_k = mean over (i, j) of d score / d A_k[i, j]

    A      the layer's output (n, k, h, w)
    score  the target's output, before a final Softmax or Sigmoid
    images (n, c, h, w), as the model expects them
    target a class for all, or (n,) classes; None: the one with the largest output
    layer  a layer of the model, its name or its number; None: the last convolution, together with
           the norm and activation that follow it, or the block that it is in; inside a block
           (Residual, Concat, Graph), a name as in `state_dict`: "3.body.1". A model that is itself
           a Graph needs a name

    The method is meant for models that end in global average pooling and one Linear; there the map
    shows how much each position contributes to the score. If the model flattens instead, every
    position has its own weight; the mean weight may be negative for all maps, even for the
    predicted class, and the map is then 0 everywhere. In this case an earlier layer, or
    `saliency_map`, may show more.

    The model is not changed. ValueError for an unknown class or layer, a layer whose output is not
    an image, and a model whose outputs are not (n, classes), or that has several inputs or outputs.

    R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based
    Localization", ICCV 2017.

    >>> cnnx.viz.grad_cam_map(model, test.x[:4], target=3).shape
    (4, 4, 4)
    """
    return _grad_cam("grad_cam_map", model, images, target, layer)[0]


def saliency_map(model: Layer, images: Any, target: Any = None) -> np.ndarray:
    """How strongly each pixel affects a class's score: (n, h, w), 0 or more.

    map = max over channels of |d score / d x|

    images (n, c, h, w) or (n, h, w), as the model expects them; the rest as in `grad_cam_map`

    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising Image
    Classification Models and Saliency Maps", ICLR workshop 2014.

    >>> cnnx.viz.saliency_map(model, test.x[:4]).shape
    (4, 8, 8)
    """
    return _saliency("saliency_map", model, images, target)[0]


def grad_cam(
    model: Layer,
    images: Any,
    target: Any = None,
    layer: Any = None,
    *,
    classes: Any = None,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """Images, with the regions that support a class on top, yellow the most; see `grad_cam_map`.

    images, target, layer  as in `grad_cam_map`    classes  names of the classes

    returns  the matplotlib Figure, with two panels per image: the image, and the image with its map
    scaled from 0 to the map's maximum; "nothing for ..." is written above a map that is all 0

    >>> figure = cnnx.viz.grad_cam(model, test.x[:4], classes=test.classes)
    """
    op = "grad_cam"
    names = class_names(op, classes)
    shown = look.pictures(op, look.samples(op, images))
    figures.fits(op, 2 * len(shown))
    maps, chosen = _grad_cam(op, model, images, target, layer)
    return _draw(op, shown, maps, chosen, names, path, ax, over=True)


def saliency(
    model: Layer,
    images: Any,
    target: Any = None,
    *,
    classes: Any = None,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """Images, each next to a map of how its pixels affect a class's score; see `saliency_map`.

    images, target  as in `saliency_map`    classes  names of the classes

    returns  the matplotlib Figure, with two panels per image

    >>> figure = cnnx.viz.saliency(model, test.x[:4], classes=test.classes)
    """
    op = "saliency"
    names = class_names(op, classes)
    shown = look.pictures(op, look.samples(op, images))
    figures.fits(op, 2 * len(shown))
    maps, chosen = _saliency(op, model, images, target)
    return _draw(op, shown, maps, chosen, names, path, ax, over=False)


def _grad_cam(
    op: str, model: Layer, images: Any, target: Any, layer: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The maps, and the class of each."""
    x = look.samples(op, images)
    layers = look.chain(op, model)
    look.check_one_to_one(op, layers)
    place = (
        look.convolution(op, layers, last=True) if layer is None else look.find(op, layers, layer)
    )
    scored, tap = tapped(_to_the_score(op, layers, place), place)
    chosen = _back_from_score(op, scored, x, target)
    maps = np.asarray(tap.seen)
    if maps.ndim != 4:
        raise ValueError(
            f"{op}: the output of {look.describe(place)} has shape {maps.shape}, expected maps "
            "(n, channels, height, width)"
        )
    weights = tap.gradient.mean(axis=(2, 3), keepdims=True)
    return np.maximum((weights * maps).sum(axis=1), 0), chosen


def _saliency(op: str, model: Layer, images: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    x = look.samples(op, images)
    if x.ndim not in (3, 4):
        raise ValueError(f"{op}: images have shape {x.shape}, expected (n, c, h, w) or (n, h, w)")
    tap = Tap()
    layers = look.chain(op, model)
    look.check_one_to_one(op, layers)
    layers = _to_the_score(op, layers)
    chosen = _back_from_score(op, Sequential(tap, look.part(layers)), x, target)
    steepness = np.abs(tap.gradient)
    return (steepness.max(axis=1) if x.ndim == 4 else steepness), chosen


def _to_the_score(op: str, layers: look.Chain, place: look.Place | None = None) -> look.Chain:
    """The chain of a frozen copy in eval mode, without a final Softmax or Sigmoid."""
    end = _last_activation(layers[-1][1])
    if end == () and len(layers) == 1:
        raise ValueError(f"{op}: the model has no layer before its last activation")
    if place is not None and (place.number, place.inside) == (len(layers) - 1, end):
        raise ValueError(f"{op}: {look.describe(place)} comes after the score of a class")
    # One copy of everything, so that a layer used in two places is one layer in the copy too.
    copied = list(look.part(layers).copy().eval().freeze())
    if end is not None:
        copied[-1] = replaced(copied[-1], end, Identity())
    return [(name, layer) for (name, _), layer in zip(layers, copied, strict=True)]


def _last_activation(layer: Layer) -> tuple[str, ...] | None:
    """The path from the model's last layer to the Softmax or Sigmoid that computes the output: ()
    for the last layer itself; None if there is none.
    """
    if isinstance(layer, (Softmax, Sigmoid)):
        return ()
    if isinstance(layer, (Sequential, Graph)) and layer.opens():
        wiring = layer.wiring()
        names = [node.name for node in wiring.nodes]
        for node in wiring.nodes:
            # A layer that is called elsewhere too, as in a gate, cannot be removed.
            if node.outputs == wiring.outputs and names.count(node.name) == 1:
                path = _last_activation(node.layer)
                return None if path is None else (node.name, *path)
    return None


def _back_from_score(op: str, model: Sequential, x: np.ndarray, target: Any) -> np.ndarray:
    """Forward, then backward from the score of one class per sample; returns these classes."""
    outputs = np.asarray(model(x))
    if outputs.ndim != 2:
        raise ValueError(f"{op}: the outputs have shape {outputs.shape}, expected (n, classes)")
    n, k = outputs.shape
    arguments.finite(op, "the outputs", outputs)
    expected = f"expected a class from 0 to {k - 1}, or one for each of {n} images"
    chosen = outputs.argmax(axis=1)
    if target is not None:
        chosen = arguments.array(op, "target", target, expected)
    if chosen.shape not in ((), (n,)) or chosen.dtype.kind not in "iu":
        raise ValueError(
            f"{op}: target has shape {chosen.shape} and dtype {chosen.dtype}, {expected}"
        )
    chosen = np.broadcast_to(chosen, (n,))
    checks.labels(op, chosen, k)
    one = np.zeros_like(outputs)
    one[np.arange(n), chosen] = 1
    model.backward(one, need_dx=False)  # stops at the tap
    return chosen


def _draw(
    op: str,
    shown: np.ndarray,
    maps: np.ndarray,
    chosen: np.ndarray,
    names: Names,
    path: Path,
    ax: Any,
    over: bool,
) -> Any:
    """Pairs of panels: the image, and its map, on top of the image or alone."""
    pairs = min(len(shown), 2 if len(shown) <= 4 else 3)
    axes = figures.panels(op, ax, -(-len(shown) // pairs), 2 * pairs, (1.5, 1.7))
    for axis in axes[2 * len(shown) :]:
        axis.set_visible(False)
    height, width = shown.shape[1:3]
    for i, picture in enumerate(shown):
        plain, mapped = axes[2 * i], axes[2 * i + 1]
        figures.quiet(plain)
        figures.quiet(mapped)
        look.show(plain, picture)
        top = float(maps[i].max()) or 1.0
        if over:
            grey = picture if picture.ndim == 2 else picture.mean(axis=2)
            mapped.imshow(grey, cmap="gray", interpolation="nearest")
            mapped.imshow(
                maps[i],
                cmap="inferno",
                vmin=0,
                vmax=top,
                alpha=0.62,
                interpolation="bilinear",
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            )
        else:
            mapped.imshow(maps[i], cmap="inferno", vmin=0, vmax=top, interpolation="nearest")
        name = figures.plain(class_name(names, int(chosen[i]), 14))
        text = f"for {name}" if maps[i].any() else f"nothing for {name}"
        mapped.set_title(text, fontsize=9, color=figures.INK, pad=3)
    return figures.finish(op, axes[0], path)
