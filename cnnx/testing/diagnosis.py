"""What keeps a model from learning one batch, in words."""

# Design:
# The gradient of each parameter before training is compared with slopes of the loss along random
# directions (as in gradients.py, but with a wide tolerance): a backward that is missing a factor,
# a sign or a term is far off, and rounding and bends of the loss are not.

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from cnnx import random
from cnnx.layers import Layer, no_grad
from cnnx.layers.base import BUILTIN
from cnnx.testing.backends import nodes
from cnnx.testing.trial import Trial, size_of

__all__ = ["diagnose"]

_DIRECTIONS = 3
_WRONG = 0.1  # of the length of the gradient
_HARDLY = 0.003  # a parameter that moved less, relative to its size, did hardly move


def diagnose(trial: Trial, reached: bool) -> tuple[dict[str, str], list[str]]:
    """What is odd about each parameter, "" if nothing is; and, if the bound was not reached, what
    keeps the loss up, the most certain reason first."""
    slopes, found = {}, []
    if not reached:
        try:
            slopes = _wrong_slopes(trial)
        except TypeError as error:  # gradcheck needs float64, training does not
            found.append(f"the gradients could not be checked in float64: {error}")
    words = _notes(trial, slopes)
    if reached:
        return words, []
    found += [*_of_gradients(trial, words), *_of_outputs(trial), *_of_samples(trial.x, trial.y)]
    return words, found + _of_steps(trial, certain=bool(found) or any(words.values()))


def _notes(trial: Trial, slopes: dict[str, tuple[float, float]]) -> dict[str, str]:
    held = {id(parameter) for parameter in trial.optimizer.parameters()}
    before = dict(trial.start.named_parameters())
    trained = len(trial.losses) > 1
    words = {}
    for name, parameter in trial.model.named_parameters():
        largest, note = trial.gradients[name], ""
        if not parameter.requires_grad:
            note = "frozen (requires_grad=False)"
        elif id(parameter) not in held:
            note = "not in the optimizer"
        elif name in slopes:
            slope, claimed = slopes[name]
            said = f"backward says {claimed:.4g}"
            if trained and largest is None:
                said = "backward gave it no gradient"
            note = f"wrong gradient: the loss has the slope {slope:.4g} where {said}"
        elif trained and largest is None:
            note = "backward gave it no gradient"
        elif largest == 0:
            note = "its gradient was 0 in every step"
        elif not np.isfinite(parameter.data).all():
            note = "not finite"
        elif trained and np.array_equal(before[name].data, parameter.data):
            note = "did not move"
        words[name] = note
    return words


def _wrong_slopes(trial: Trial) -> dict[str, tuple[float, float]]:
    """(slope of the loss, what the gradient says) of parameters where these differ."""
    model = copy.deepcopy(trial.start).astype(np.float64)
    loss = _loss(trial, model)
    gradients = {
        name: None if gradient is None else gradient.copy()
        for name, gradient in trial.backward(model).items()
    }
    eps = float(np.finfo(_dtype(trial.outputs(model))).eps)  # a user's layer may give float32
    rng = np.random.default_rng(0)
    wrong = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        data, gradient = parameter.data, gradients[name]
        gradient = np.zeros_like(data) if gradient is None else gradient
        width = eps ** (1 / 3) * (size_of(data) or 1.0)
        for _ in range(_DIRECTIONS):
            direction = rng.standard_normal(data.shape)
            claimed = float(np.sum(gradient * direction))
            slope = _slope(trial, model, data, width * direction) / width
            largest = max(float(np.linalg.norm(gradient)), abs(slope))
            if abs(slope - claimed) > _WRONG * largest + 16 * eps * abs(loss) / width:
                wrong[name] = slope, claimed
                break
    return wrong


def _slope(trial: Trial, model: Layer, data: np.ndarray, move: np.ndarray) -> float:
    """Half the difference of the losses on both sides; the data is restored."""
    before = data.copy()
    losses = []
    with no_grad():
        for sign in (1, -1):
            data[...] = before + sign * move
            losses.append(_loss(trial, model))
    data[...] = before
    return (losses[0] - losses[1]) / 2


def _loss(trial: Trial, model: Layer) -> float:
    """The loss, with the same random numbers each time."""
    with random.seeded(0):
        return trial.loss_of(model)


def _dtype(outputs: Any) -> np.dtype[Any]:
    return (outputs[0] if isinstance(outputs, tuple) else outputs).dtype


def _of_gradients(trial: Trial, words: dict[str, str]) -> list[str]:
    wrong = [name for name, note in words.items() if note.startswith("wrong gradient")]
    frozen = [name for name, note in words.items() if note.startswith("frozen")]
    found = []
    if wrong:
        own = sorted(
            {
                type(layer).__name__
                for layer in trial.model.modules()
                if type(layer) not in BUILTIN.values()
            }
        )
        suspects = f" Layers of your own: {', '.join(own)}." if own else ""
        found.append(
            f"the backward of a layer that holds {wrong[-1]}, or comes after it, is wrong: check "
            f"these layers, and the loss, with cnnx.gradcheck.{suspects}"
        )
    if frozen:
        found.append(
            f"{len(frozen)} of {len(words)} parameters are frozen: model.unfreeze() trains them"
        )
    return found


def _of_outputs(trial: Trial) -> list[str]:
    """The first layer whose outputs are the same for all samples."""
    inputs = trial.x if isinstance(trial.x, tuple) else (trial.x,)
    if len(inputs[0]) < 2 or any((part == part[:1]).all() for part in inputs):
        return []
    with no_grad():
        values = dict(enumerate(inputs))
        for name, layer, reads, writes in nodes(trial.model, len(inputs)):
            outputs = layer(*[values[i] for i in reads])
            values.update(zip(writes, outputs if isinstance(outputs, tuple) else (outputs,)))
            for y in (values[i] for i in writes):
                where = f"layer {name} ({type(layer).__name__})" if name else type(layer).__name__
                if not y.any():
                    return [
                        f"all outputs of {where} are 0, for every sample: after a ReLU, its units "
                        "are dead: try other initial weights, a smaller learning rate or LeakyReLU"
                    ]
                if (y == y[:1]).all():
                    return [f"the outputs of {where} are the same for all samples"]
    return []


def _of_samples(x: Any, y: Any) -> list[str]:
    """The first two samples that are equal, but have different targets."""
    if isinstance(x, tuple) or isinstance(y, tuple):
        return []
    known: dict[bytes, int] = {}
    for i, sample in enumerate(x):
        first = known.setdefault(np.ascontiguousarray(sample).tobytes(), i)
        if not np.array_equal(y[i], y[first]):
            return [
                f"samples {first} and {i} are equal, but their targets differ: no model can learn "
                "both. Check how x and y were put together"
            ]
    return []


def _of_steps(trial: Trial, certain: bool) -> list[str]:
    """Whether the learning rate is wrong, or the steps are too few."""
    losses, lr = trial.losses, trial.optimizer.lr
    last, before = losses[-1], losses[len(losses) * 3 // 4 - 1]
    if not math.isfinite(last):
        return [
            f"the loss became {last}: the learning rate {lr:g} is too large, or x is not scaled"
        ]
    if last > losses[0]:
        return [f"the loss grew: the learning rate {lr:g} is too large, or a gradient is wrong"]
    if certain:
        return []
    starts = dict(trial.start.named_parameters())
    moved = max(
        size_of(p.data - starts[name].data) / (size_of(starts[name].data) or 1.0)
        for name, p in trial.model.named_parameters()
    )
    if moved < _HARDLY:
        return [
            f"no parameter moved by more than {moved:.2g} of its size: the learning rate {lr:g} is "
            "too small"
        ]
    if last < 0.97 * before:
        return [
            f"the loss was still falling: it needs more steps than {len(losses) - 1}, or a larger "
            f"learning rate than {lr:g}"
        ]
    return [
        "the gradients are right and the parameters move, so the model may be too small for this "
        "batch, its last layer may limit the outputs (ReLU, Sigmoid, or Softmax before a loss of "
        f"logits), or the learning rate {lr:g} may be too large"
    ]
