"""The parts of a training together: they learn the bundled digits, in both backends alike.

An untrained network is right for a tenth of the digits; so is one whose gradients, mixed labels,
weights of samples or averages are confused.
"""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import data, metrics
from cnnx.data import transforms

TRAIN, TEST = data.load_digits()
BATCH, ACCUMULATE = 32, 2


def _network():
    """Deep supervision: outputs after the last block, and after the first."""
    x = cnnx.Input((1, 8, 8))
    h = cnnx.ReLU()(cnnx.GroupNorm(2, 8)(cnnx.Conv2D(1, 8, 3, padding=1, bias=False)(x)))
    early = cnnx.Linear(8, 10)(cnnx.Flatten()(cnnx.GlobalAvgPool2D()(h)))
    h = cnnx.MaxPool2D(2)(h)
    h = cnnx.PReLU(16)(cnnx.Conv2D(8, 16, 3, padding=1)(h))
    h = cnnx.Dropout2D(0.1)(cnnx.MaxPool2D(2)(h))
    return cnnx.Graph(x, (cnnx.Linear(64, 10)(cnnx.Flatten()(h)), early))


def _plain():
    conv = cnnx.Conv2D(1, 8, 3, padding=1, bias=False)
    return cnnx.Sequential(
        *(conv, cnnx.BatchNorm2D(8), cnnx.SiLU(), cnnx.MaxPool2D(2)),
        *(cnnx.Flatten(), cnnx.LayerNorm(128), cnnx.Dropout(0.1), cnnx.Linear(128, 10)),
    )


def _batches(augment, dtype=np.float32, sampler=True):
    """Balanced, augmented batches, in which the second half of the samples counts twice."""
    weight = np.where(np.arange(len(TRAIN)) < len(TRAIN) // 2, 1.0, 2.0)
    source = (TRAIN.x.astype(dtype), TRAIN.y, weight)
    choice = {"sampler": data.ClassBalancedSampler(TRAIN.y)} if sampler else {"shuffle": True}
    return data.batches(source, BATCH, transform=augment, seed=0, drop_last=True, **choice)


class _Losses(cnnx.Callback):
    def __init__(self):
        self.seen = []

    def on_batch_end(self, batch, logs):
        self.seen.append(logs["loss"])


def _everything(dtype, epochs, steps=None):
    """The model, and the losses of the batches: CutMix, balanced classes, weights of samples, two
    outputs, OneCycleLR, accumulated and clipped gradients, averaged weights, streaming metrics.
    """
    cnnx.manual_seed(0)
    model = _network().astype(dtype)
    batches = _batches(transforms.CutMix(1.0, num_classes=10), dtype)
    optimizer = cnnx.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    per_epoch = -(-(steps or len(batches)) // ACCUMULATE)
    losses = _Losses()
    cnnx.fit(
        model,
        batches,
        epochs=epochs,
        optimizer=optimizer,
        loss=[cnnx.CrossEntropyLoss(label_smoothing=0.05), cnnx.CrossEntropyLoss()],
        loss_weights=[1.0, 0.3],
        schedule=cnnx.OneCycleLR(optimizer, 0.4, epochs=epochs, steps_per_epoch=per_epoch),
        ema=cnnx.EMA(model, decay=0.95, warmup=True),
        accumulate=ACCUMULATE,
        clip_grad_norm=5.0,
        metrics=[metrics.Accuracy()],
        steps_per_epoch=steps,
        callbacks=losses,
        seed=0,
        verbose=False,
    )
    return model, losses.seen


def _accuracy(model):
    outputs = cnnx.predict(model, TEST.x)
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    return float(np.mean(outputs.argmax(1) == TEST.y))


def test_everything_at_once_learns_the_digits():
    model, losses = _everything(np.float32, epochs=5)
    assert _accuracy(model) > 0.85
    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:20])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_first_losses_are_the_same_in_every_backend(dtype):
    """Rounding differs by the order of sums: of the positions of a batch at most, in each step."""
    steps = 8
    found = []
    for backend in cnnx.available_backends():
        with cnnx.use_backend(backend):
            found.append(_everything(dtype, epochs=1, steps=steps)[1])
    terms = BATCH * 8 * 8  # their errors add up like a random walk
    for other in found[1:]:
        assert len(other) == steps and len(set(other)) == steps
        np.testing.assert_allclose(found[0], other, rtol=steps * terms**0.5 * np.finfo(dtype).eps)


def test_mixup_with_a_rate_that_falls_on_a_plateau():
    cnnx.manual_seed(0)
    model = _plain()
    optimizer = cnnx.NAdam(model.parameters(), lr=0.03, weight_decay=0.01)
    schedule = cnnx.ReduceLROnPlateau(optimizer, factor=0.3, patience=0, threshold=0.05)
    history = cnnx.fit(
        model,
        _batches(transforms.MixUp(0.4, num_classes=10), sampler=False),
        validation=TEST,
        epochs=6,
        optimizer=optimizer,
        schedule=schedule,
        ema=cnnx.EMA(model, decay=0.9),
        clip_grad_value=0.5,
        metrics="accuracy",
        seed=0,
        verbose=False,
    )
    assert _accuracy(model) > 0.94
    assert history["val_accuracy"][-1] == _accuracy(model), "the averages are in the model"
    assert optimizer.lr < 0.03, "the rate fell"


def test_focal_loss_with_balanced_classes_and_weighted_metrics():
    cnnx.manual_seed(0)
    model = _plain()
    optimizer = cnnx.AdamW(model.parameters(), lr=0.01, amsgrad=True)
    shift = transforms.RandomCrop(8, padding=1)
    history = cnnx.fit(
        model,
        _batches(shift),
        validation=TEST,
        epochs=4,
        optimizer=optimizer,
        loss=cnnx.FocalLoss(gamma=2.0, alpha=np.linspace(0.5, 1.5, 10)),
        metrics=[metrics.Accuracy(), metrics.F1Score("macro"), metrics.TopKAccuracy(2)],
        ema=cnnx.EMA(model, decay=0.9),
        accumulate=ACCUMULATE,
        seed=0,
        verbose=False,
    )
    assert _accuracy(model) > 0.88
    names = [name for name in history.columns if name.startswith("val_")]
    assert all(history[name][-1] > 0.85 for name in names if name != "val_loss"), history[-1]
