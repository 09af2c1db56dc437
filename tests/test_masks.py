"""Masked arrays are rejected everywhere, because NumPy would silently drop their mask."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import data, io, ops
from cnnx.layers import Linear, Parameter, ReLU, Sequential
from cnnx.metrics import confusion_matrix

VALUES = np.arange(1.0, 7.0).reshape(3, 2)
MASKED = np.ma.masked_array(VALUES, VALUES > 5)
LABELS = np.ma.masked_array([0, 1, 1], [False, False, True])
MODEL = Sequential(Linear(2, 2))

DOORS = {
    "Dataset x": lambda x: data.Dataset(x, [0, 1, 1]),
    "Dataset y": lambda x: data.Dataset(VALUES, x),
    "Dataset index": lambda x: data.Dataset(VALUES, [0, 1, 1])[LABELS],
    "batches": lambda x: data.batches((x, [0, 1, 1]), 2),
    "normalize mean": lambda x: data.normalize((VALUES, VALUES), mean=x[0], std=1.0),
    "normalize std": lambda x: data.normalize((VALUES, VALUES), mean=1.0, std=x[0]),
    "one_hot": lambda x: data.one_hot(LABELS),
    "relu": ops.relu,
    "cross_entropy target": lambda x: ops.cross_entropy(VALUES, LABELS),
    "cross_entropy probabilities": lambda x: ops.cross_entropy(VALUES, x),
    "argmax": lambda x: ops.max_pool2d_backward(
        np.ones((1, 1, 1, 1)), np.ma.masked_array(np.zeros((1, 1, 1, 1), np.uint8)), (1, 1, 2, 2), 2
    ),
    "a layer": ReLU(),
    "a layer with weights": MODEL,
    "backward": lambda x: _backward(x),
    "Parameter": Parameter,
    "Parameter.data": lambda x: setattr(Parameter(VALUES), "data", x),
    "load_state_dict": lambda x: MODEL.load_state_dict({"0.weight": x[:2], "0.bias": np.ones(2)}),
    "fit x": lambda x: cnnx.fit(MODEL, (x, [0, 1, 1])),
    "fit y": lambda x: cnnx.fit(MODEL, (VALUES, LABELS)),
    "evaluate": lambda x: cnnx.evaluate(MODEL, (x, [0, 1, 1])),
    "predict": lambda x: cnnx.predict(MODEL, x),
    "predict pair": lambda x: cnnx.predict(MODEL, (x, [0, 1, 1])),
    "predict_labels": lambda x: cnnx.predict_labels(MODEL, x),
    "predict_proba": lambda x: cnnx.predict_proba(MODEL, x),
    "CrossEntropyLoss pred": lambda x: cnnx.CrossEntropyLoss()(x, [0, 1, 1]),
    "CrossEntropyLoss target": lambda x: cnnx.CrossEntropyLoss()(VALUES, LABELS),
    "CrossEntropyLoss weight": lambda x: cnnx.CrossEntropyLoss(weight=x[2]),
    "MSELoss target": lambda x: cnnx.MSELoss()(VALUES, x),
    "BCELoss target": lambda x: cnnx.BCELoss()(VALUES / 6, x),
    "BCEWithLogitsLoss target": lambda x: cnnx.BCEWithLogitsLoss()(VALUES, x),
    "accuracy pred": lambda x: cnnx.accuracy(x, [0, 1, 1]),
    "accuracy target": lambda x: cnnx.accuracy([0, 1, 1], LABELS),
    "confusion_matrix": lambda x: confusion_matrix(x, [0, 1, 1]),
    "optimizer state": lambda x: _load_optimizer(x),
    "save_npz": lambda x: io.save_npz("never-written.npz", {"x": x}),
    "save_csv": lambda x: data.save_csv("never-written.csv", (x, [0, 1, 1])),
    "plot_images": lambda x: cnnx.viz.plot_images(x.reshape(1, 1, 3, 2)),
}


def _backward(x):
    layer = ReLU()
    layer(VALUES)
    return layer.backward(x)


def _load_optimizer(x):
    model = Sequential(Linear(2, 3, bias=False)).astype("f8")
    optimizer = cnnx.Adam(model.parameters())
    cnnx.fit(model, (VALUES, [0, 1, 2]), optimizer=optimizer, verbose=False)
    state = optimizer.state_dict()
    state["state"][0]["exp_avg"] = x
    optimizer.load_state_dict(state)


@pytest.mark.parametrize("door", DOORS)
def test_a_masked_array_is_rejected(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=r"masked.*fill it first"):
        DOORS[door](MASKED)
    assert not list(tmp_path.iterdir())


def test_masked_arrays_within_lists_are_rejected_too():
    for rows in (list(MASKED), [[row] for row in MASKED], tuple(MASKED)):
        with pytest.raises(TypeError, match="masked"):
            cnnx.predict(MODEL, list(rows))
        with pytest.raises(TypeError, match="masked"):
            data.Dataset(rows, [0, 1, 1])
        with pytest.raises(TypeError, match="masked"):
            ReLU()(rows)
