"""A wrong setting of a layer, a loss or an optimiser is one error of its constructor, which begins
with the class and names the setting and its value; nothing is drawn or changed before."""

from __future__ import annotations

import inspect
import re

import layer_helpers
import numpy as np
import pytest

import cnnx
from cnnx import losses, optim

NAN, INF = float("nan"), float("inf")
COUNT = (0, -1, 1.5, "3", None)  # not one of something
WHERE = (0.5, "1", 2**70)  # not an axis
NUMBER = (NAN, INF, "1", [0.5])  # not a number
POSITIVE = (-0.5, *NUMBER)  # not a number from 0 on
SHARE = (1.5, *POSITIVE)  # not a number from 0 to 1
TRUTH = (1, "no", None)  # not True or False
WINDOW = (0, -2, 1.5, "3", (1, 2, 3))
SIDES = (-1, 0.5, "full", (1, 2, 3))
FACTORS = ([-1.0, 1.0], [NAN, 1.0], "1")  # no weights
WORD = ("median", 1, None)

# What no class accepts for a setting of this name, except as OWN says.
WRONG = {
    "affine": TRUTH,
    "align_corners": (1, "no"),
    "alpha": NUMBER,
    "amsgrad": TRUTH,
    "approximate": WORD,
    "axis": WHERE,
    "beta": NUMBER,
    "betas": ((0.9,), (1.0, 0.9), (0.9, -0.1), 0.9, (0.9, NAN)),
    "bias": TRUTH,
    "ceil_mode": TRUTH,
    "centered": TRUTH,
    "count_include_pad": TRUTH,
    "decoupled_weight_decay": TRUTH,
    "dampening": SHARE,
    "delta": (0, *POSITIVE),
    "dilation": WINDOW,
    "dim": WHERE,
    "divisor_override": (0, 1.5, "2"),
    "elementwise_affine": TRUTH,
    "embedding_dim": COUNT,
    "eps": POSITIVE,
    "gamma": POSITIVE,
    "groups": COUNT,
    "ignore_index": (0.5, "1", None, 2**70),
    "in_channels": COUNT,
    "in_features": COUNT,
    "init": NUMBER,
    "initial_accumulator_value": POSITIVE,
    "inplace": TRUTH,
    "k": POSITIVE,
    "kernel_size": (*WINDOW, None),
    "label_smoothing": SHARE,
    "lr": POSITIVE,
    "lr_decay": POSITIVE,
    "maximize": TRUTH,
    "mode": ("bicubic", 1, None),
    "momentum": SHARE,  # of running statistics
    "momentum_decay": POSITIVE,
    "multilabel": TRUTH,
    "negative_slope": NUMBER,
    "nesterov": TRUTH,
    "normalized_shape": (0, (3, -1), 1.5, (), "3", None),
    "num_channels": COUNT,
    "num_embeddings": COUNT,
    "num_features": COUNT,
    "num_groups": COUNT,
    "num_parameters": COUNT,
    "out_channels": COUNT,
    "out_features": COUNT,
    "output_padding": (-1, 0.5, (1, 2, 3), "same"),
    "output_size": (0, 1.5, "3", (1, 2, 3)),
    "p": SHARE,
    "padding": SIDES,
    "padding_idx": (9, -10, 0.5, "1"),
    "pos_weight": FACTORS,
    "reduction": WORD,
    "scale_factor": (0, -2, NAN, "2", (1, 2, 3)),
    "shape": ((-1, -1), 0.5, "3", None),
    "size": (0, -1, 1.5, "3"),
    "smooth": (0, *POSITIVE),
    "start_dim": (0.5, "1", None),
    "stride": WINDOW,
    "threshold": NUMBER,
    "track_running_stats": TRUTH,
    "weight": FACTORS,
    "weight_decay": POSITIVE,
}
OWN = {
    ("Softplus", "beta"): (0, *NUMBER),
    ("SmoothL1Loss", "beta"): POSITIVE,
    ("FocalLoss", "alpha"): (1.5, -0.5, NAN, "1", [-1.0, 1.0], {1: 2.0}),
    ("CrossEntropyLoss", "weight"): (*FACTORS, [0.0, 0.0], {1: 2.0}, [[1.0]], 1.0),
    ("NLLLoss", "weight"): (*FACTORS, [0.0, 0.0], {1: 2.0}, [[1.0]], 1.0),
    ("LocalResponseNorm", "alpha"): POSITIVE,
    ("RMSProp", "alpha"): SHARE,
    ("RMSProp", "momentum"): POSITIVE,
    ("SGD", "momentum"): POSITIVE,
    ("ZeroPad1D", "padding"): (0.5, "same", (1, 2, 3), None),
    ("ZeroPad2D", "padding"): (0.5, "same", (1, 2, 3), None),
    ("Upsample", "scale_factor"): (0, -2, NAN, "2", (1, 2, 3)),
}
# Arguments with which the others are right.
IMAGES = {"in_channels": 6, "out_channels": 4, "kernel_size": 3}
GIVEN = {
    "AdaptiveAvgPool": {"output_size": 3},
    "AvgPool": {"kernel_size": 3},
    "BatchNorm": {"num_features": 6},
    "Conv": IMAGES,
    "Embedding": {"num_embeddings": 9, "embedding_dim": 3},
    "GroupNorm": {"num_groups": 3, "num_channels": 6},
    "InstanceNorm": {"num_features": 6},
    "LayerNorm": {"normalized_shape": 6},
    "Linear": {"in_features": 6, "out_features": 4},
    "LocalResponseNorm": {"size": 3},
    "MaxPool": {"kernel_size": 3},
    "Reshape": {"shape": 6},
    "SGD": {"lr": 0.1},
    "Upsample": {"size": 6},
    "ZeroPad": {"padding": 1},
}
# Of layers, functions or Symbols: tests/test_layer_protocol.py.
CONTAINERS = {"Activation", "Add", "Concat", "Graph", "Multiply", "Residual", "Sequential"}
CLASSES = {name: kind for name, kind in layer_helpers.OWN.items() if name not in CONTAINERS}
CLASSES |= {name: getattr(losses, name) for name in losses.__all__ if name != "Loss"}
CLASSES |= {
    name: kind
    for name, kind in vars(optim).items()
    if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
}
CASES = {
    (name, setting): OWN.get((name, setting)) or WRONG[setting]  # a new setting needs a row there
    for name, kind in CLASSES.items()
    for setting in inspect.signature(kind).parameters
    if setting != "params"
}


def _arguments(name):
    given = next((dict(a) for start, a in GIVEN.items() if name.startswith(start)), {})
    if "params" in inspect.signature(CLASSES[name]).parameters:
        given["params"] = [cnnx.Parameter(np.zeros(3))]
    return given


@pytest.mark.parametrize("name", CLASSES)
def test_the_other_arguments_are_right(name):
    CLASSES[name](**_arguments(name))


def test_every_row_is_used():
    assert set(WRONG) == {setting for _, setting in CASES}
    assert set(OWN) <= set(CASES)


@pytest.mark.parametrize("name, setting", CASES, ids=map("-".join, CASES))
def test_wrong_settings_are_named_with_their_values(name, setting):
    for value in CASES[name, setting]:
        before = cnnx.random.get_state()
        with pytest.raises((ValueError, TypeError)) as caught:
            CLASSES[name](**(_arguments(name) | {setting: value}))
        message = str(caught.value)
        assert cnnx.random.get_state() == before, f"{value!r}: weights were drawn before the error"
        assert message.startswith(f"{name}: ") and "\n" not in message, message
        shown = "|".join(map(re.escape, _shown(value)))
        assert setting in message and re.search(rf"(?<![\w.])({shown})(?!\w)", message), message


def _shown(value):
    """The ways to write a value, or what is wrong with it: an entry, its shape, its dtype."""
    if isinstance(value, dict):
        return [str(list(value))]
    if isinstance(value, str):
        return [value, str(np.array(value).dtype)]
    if value == ():
        return ["empty"]
    entries = np.array(value, dtype=object).ravel().tolist()
    numbers = [f"{v:g}" for v in entries if isinstance(v, float)]
    return [*map(str, entries), *numbers, f"shape {np.shape(value)}"]
