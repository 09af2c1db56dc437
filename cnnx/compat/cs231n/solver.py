"""`Solver` of the course: the training loop with its history."""

# Design:
# Random numbers are drawn as in the course, so a seeded program gets the same batches: one
# np.random.choice per step, and one per accuracy that is measured on a part of a set.

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ... import io
from . import optim

__all__ = ["Solver", "load_checkpoint"]

FORMAT = "cnnx.compat.cs231n checkpoint"
SETTINGS = {
    "update_rule": "sgd",
    "optim_config": None,
    "lr_decay": 1.0,
    "batch_size": 100,
    "num_epochs": 10,
    "num_train_samples": 1000,
    "num_val_samples": None,
    "checkpoint_name": None,
    "print_every": 10,
    "verbose": True,
}
HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")


class Solver:
    """Trains a model of the course on a data set.

    model  has `params`, a dictionary of arrays, and `loss(X, y)`, which returns the loss and a
           dictionary of gradients with the same keys; `loss(X)` returns scores
    data   "X_train", "y_train", "X_val", "y_val"

    update_rule        "sgd": a function of `optim`     optim_config       its hyperparameters, {}
    lr_decay           1.0: factor of the learning rate after each epoch
    batch_size         100                              num_epochs         10
    num_train_samples  1000: used for the training accuracy; None: all
    num_val_samples    None                             checkpoint_name    None: not written
    print_every        10 steps                         verbose            True

    After `train()`: `loss_history` (one number per step), `train_acc_history`, `val_acc_history`
    (one number before training and one per epoch) and `best_params`, which are then the model's.
    ValueError for an unknown argument or update rule.

    Example: ``Solver(model, data, update_rule="adam", num_epochs=5).train()``
    """

    update_rule: Any
    optim_config: dict[str, Any]
    lr_decay: float
    batch_size: int
    num_epochs: int
    num_train_samples: int | None
    num_val_samples: int | None
    checkpoint_name: str | None
    print_every: int
    verbose: bool

    def __init__(self, model: Any, data: dict[str, Any], **kwargs: Any) -> None:
        unknown = [repr(name) for name in kwargs if name not in SETTINGS]
        if unknown:
            raise ValueError(
                f"Unrecognized arguments {', '.join(unknown)}: Solver knows {', '.join(SETTINGS)}"
            )
        self.model = model
        self.X_train, self.y_train = data["X_train"], data["y_train"]
        self.X_val, self.y_val = data["X_val"], data["y_val"]
        vars(self).update({**SETTINGS, "optim_config": {}, **kwargs})
        if self.update_rule not in optim.__all__:
            raise ValueError(
                f'Invalid update_rule "{self.update_rule}": expected {", ".join(optim.__all__)}'
            )
        self.update_rule_name, self.update_rule = self.update_rule, getattr(optim, self.update_rule)
        if len(self.X_train) != len(self.y_train) or not len(self.X_train):
            raise ValueError(
                f"Solver: X_train has {len(self.X_train)} samples and y_train {len(self.y_train)}, "
                "expected as many, and one or more"
            )
        self._reset()

    def _reset(self) -> None:
        self.epoch, self.best_val_acc = 0, 0.0
        self.best_params: dict[str, np.ndarray] = {}
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}

    def _step(self) -> None:
        """One update of all parameters, from one batch."""
        chosen = np.random.choice(len(self.X_train), self.batch_size)
        loss, grads = self.model.loss(self.X_train[chosen], self.y_train[chosen])
        self.loss_history.append(loss)
        for name, w in self.model.params.items():
            config = self.optim_configs[name]
            self.model.params[name], self.optim_configs[name] = self.update_rule(
                w, grads[name], config
            )

    def check_accuracy(
        self, X: Any, y: Any, num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """The fraction of (X, y) that the model classifies correctly.

        num_samples  if there are more, this many are drawn     batch_size  samples per batch
        """
        if num_samples is not None and len(X) > num_samples:
            chosen = np.random.choice(len(X), num_samples)
            X, y = X[chosen], y[chosen]
        starts = range(0, len(X), batch_size)
        predicted = [
            np.argmax(self.model.loss(X[start : start + batch_size]), axis=1) for start in starts
        ]
        return float(np.mean(np.hstack(predicted) == y))

    def train(self) -> None:
        """Run all epochs, then set the parameters with the best validation accuracy."""
        steps = max(len(self.X_train) // self.batch_size, 1)
        total = self.num_epochs * steps
        for step in range(total):
            self._step()
            if self.verbose and step % self.print_every == 0:
                loss = self.loss_history[-1]
                print(f"(Iteration {step + 1} / {total}) loss: {loss:f}")
            if (step + 1) % steps == 0:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            if step == 0 or (step + 1) % steps == 0:
                self._measure()
        self.model.params = self.best_params or self.model.params

    def _measure(self) -> None:
        """Record accuracies, the checkpoint, and the best parameters so far."""
        train_acc = self.check_accuracy(
            self.X_train, self.y_train, num_samples=self.num_train_samples
        )
        val_acc = self.check_accuracy(self.X_val, self.y_val, num_samples=self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        self._save_checkpoint()
        if self.verbose:
            epochs = f"Epoch {self.epoch} / {self.num_epochs}"
            print(f"({epochs}) train acc: {train_acc:f}; val_acc: {val_acc:f}")
        if val_acc > self.best_val_acc:
            self.best_val_acc = val_acc
            self.best_params = {name: w.copy() for name, w in self.model.params.items()}

    def _save_checkpoint(self) -> None:
        if self.checkpoint_name is None:
            return
        path = f"{self.checkpoint_name}_epoch_{self.epoch}.npz"
        if self.verbose:
            print(f'Saving checkpoint to "{path}"')
        meta = {
            "format": FORMAT,
            "update_rule": self.update_rule_name,
            "lr_decay": self.lr_decay,
            "batch_size": self.batch_size,
            "num_train_samples": self.num_train_samples,
            "num_val_samples": self.num_val_samples,
            "epoch": self.epoch,
            **{name: [float(value) for value in vars(self)[name]] for name in HISTORIES},
        }
        io.save_npz(path, {name: np.asarray(w) for name, w in self.model.params.items()}, meta)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents written by a Solver, without pickle: "params", a dictionary of arrays, and
    "update_rule", "lr_decay", "batch_size", "epoch", "loss_history", "train_acc_history",
    "val_acc_history", ...

    ValueError for any other file; a pickle of the old program is never opened.

    Example: ``model.params = load_checkpoint("cnn_epoch_3.npz")["params"]``
    """
    params, meta = io.load_npz(path)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"load_checkpoint: {os.fspath(path)!r} is no {FORMAT}")
    return {"params": params, **{name: meta[name] for name in meta if name != "format"}}
