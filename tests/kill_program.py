"""The program of test_kill.py: trains a small model with everything that has a state, continues
from the checkpoints in a directory, and writes the final weights.

    python kill_program.py DIRECTORY RESULT

It prints a line for each batch and each write, so that it can be killed by progress.
"""

from __future__ import annotations

import os
import sys

import numpy as np

import cnnx
from cnnx.optim.schedules import OneCycleLR


class Lines(cnnx.Callback):
    """A line for each batch."""

    def on_batch_begin(self, batch):
        print("batch", flush=True)


class Writes(cnnx.Checkpoint):
    """A line before each write, which the kill may hit in any state."""

    def save(self):
        print("save", flush=True)
        super().save()


def main(directory, result):
    os.makedirs(directory, exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 1, 6, 6)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    cnnx.manual_seed(0)
    model = cnnx.Sequential(
        cnnx.Conv2D(1, 4, 3),
        cnnx.BatchNorm2D(4),
        cnnx.ReLU(),
        cnnx.Flatten(),
        cnnx.Dropout(0.3),
        cnnx.Linear(64, 2),
    )
    optimizer = cnnx.Adam(model.parameters(), lr=0.01)
    ema = cnnx.EMA(model, decay=0.9)
    model.fit(
        x,
        y,
        validation=(x[:20], y[:20]),
        epochs=3,
        batch_size=8,
        seed=1,
        optimizer=optimizer,
        schedule=OneCycleLR(optimizer, max_lr=0.05, total_steps=30),
        augment=lambda x, y, rng: (x + rng.normal(size=x.shape).astype(np.float32) * 0.1, y),
        callbacks=[
            Lines(),
            cnnx.EarlyStopping(patience=9),
            Writes(directory, batches=1, best="val_loss"),
        ],
        resume=directory,
        verbose=False,
        ema=ema,
    )
    cnnx.save_checkpoint(result, model.state_dict())


if __name__ == "__main__":
    main(*sys.argv[1:])
