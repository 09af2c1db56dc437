"""`fit`: train a model on a data set."""

# Design:
# "The last good weights" are those after the last finished epoch (before the first: the initial
# ones), whose loss was finite over a whole pass. They and the optimiser's state are copied once per
# epoch, at negligible cost, and are restored when a loss or, at the end of an epoch, a weight is
# not finite. A copy before each step would be newer, but one step before NaN the weights are
# usually unusable already. Other errors within an epoch (a sample that a layer rejects) restore
# them too; Ctrl-C does not: it keeps the steps so far.
# All randomness of a run comes from its seed (random.seeded), whatever ran before.

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from cnnx import checks, random, terminal
from cnnx.data import Batches, Dataset, as_dataset, batches
from cnnx.graph.steps import call_backward
from cnnx.history import History, Row
from cnnx.inference import evaluate, predict, predict_labels, predict_proba, score, single
from cnnx.layers import Layer, run_mode
from cnnx.losses import CrossEntropyLoss, Loss
from cnnx.optim import Adam, Optimizer
from cnnx.scoring import Measures, Metrics, check_loss

__all__ = [
    "History",
    "NotFiniteError",
    "evaluate",
    "fit",
    "predict",
    "predict_labels",
    "predict_proba",
]

_LARGE = 100  # integers above it are pixels 0..255, or of a similar scale


class NotFiniteError(FloatingPointError, ValueError):
    """A loss or weights became inf or NaN in training; the last good weights are restored.

    ``error.history`` holds the finished epochs.
    """


def fit(
    model: Layer,
    train: Any,
    *,
    validation: Any = None,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: Optimizer | None = None,
    loss: Any = None,
    seed: int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    metrics: Metrics = None,
    callbacks: Any = (),
    verbose: bool = True,
) -> History:
    """Train a model, and return loss and metrics of each epoch.

    train, validation  Dataset or (x, y) pair
    epochs     passes over train                  batch_size  samples per step
    optimizer  None: Adam(lr=1e-3)                loss        None: CrossEntropyLoss()
    seed       fixes shuffling and dropout: the same weights, data and seed give the same bits.
               None draws from `cnnx.manual_seed`'s stream
    drop_last  skip an incomplete last batch, for instance one of a single sample, on which batch
               norm cannot be trained
    metrics    as in `evaluate`; the columns of train are means over the batches during the epoch
    callbacks  objects with ``on_epoch_end(epoch, logs)``: called after each epoch (from 1) with
               its row of the history, a dict; or one such object
    verbose    print a line per epoch; with tqdm installed and a terminal, a bar within the epoch

    A model in eval mode is trained as if it were in train mode; in a model in train mode, layers
    in eval mode stay in it (batch norm with frozen statistics). No mode is changed, and other
    threads may `predict` with the model meanwhile.

    The loss of a row is the mean over the samples of the epoch, with class weights the weighted
    mean: the sum of weight * loss over the sum of the weights, independent of the batches. A loss
    with reduction="sum" is reported per sample, too.

    `NotFiniteError` (a FloatingPointError and ValueError) names epoch and batch of a loss that is
    inf or NaN; weights, statistics and optimiser are restored to the last good epoch. ValueError
    for a train set without samples, an optimiser of another model, and, before any weight changes,
    for targets that the loss does not accept, such as labels without a corresponding output.
    UserWarning for a model that ends in Softmax with CrossEntropyLoss, and for pixels 0..255.
    Ctrl-C leaves a usable model. The exception that ends training early, KeyboardInterrupt too, has
    the finished epochs as its ``history``.

    Example: ``history = cnnx.fit(model, train, validation=test, epochs=5, seed=0)``
    """
    if not isinstance(model, Layer):
        raise TypeError(f"fit: model is a {type(model).__name__}, expected a Layer")
    data = as_dataset(train, "train")
    held_out = None if validation is None else as_dataset(validation, "validation")
    for name, samples in (("train", data), ("validation", held_out)):
        if samples is not None and len(samples) == 0:
            raise ValueError(f"fit: {name} has 0 samples, expected at least one")
    epochs = checks.integer("fit", "epochs", epochs)
    loss_fn = CrossEntropyLoss() if loss is None else loss
    optimizer = Adam(model.parameters(), lr=1e-3) if optimizer is None else optimizer
    listeners = _listeners(callbacks)
    _check_optimizer(model, optimizer)
    check_loss("fit", model, loss_fn)
    measures = Measures("fit", model, loss_fn, metrics)
    _warn_of_pixels(data.x)
    history = History()
    stream = nullcontext() if seed is None else random.seeded(seed)
    with stream, _carried(history):
        loader = batches(data, batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last)
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            one_pass = _Epoch(model, optimizer, loss_fn, measures, held_out)
            with run_mode(_mode(model)):
                row: Row = {"epoch": epoch, **one_pass.run(loader, epoch, verbose)}
            if held_out is not None:
                scores = score(model, held_out, 256, loss_fn, measures)
                if _is_sum(loss_fn):
                    scores["loss"] /= len(held_out)
                row.update({f"val_{name}": value for name, value in scores.items()})
            row["seconds"] = time.perf_counter() - start
            history.append(row)
            if verbose:
                terminal.say(_line(row, epochs))
            for listener in listeners:
                listener.on_epoch_end(epoch, dict(row))
    return history


@contextmanager
def _carried(history: History) -> Iterator[None]:
    """Attach the finished epochs to the exception that ends training early."""
    try:
        yield
    except BaseException as error:
        error.history = history  # type: ignore[attr-defined]
        raise


class _Epoch:
    """One pass over the training data; an error restores the state before it."""

    def __init__(
        self,
        model: Layer,
        optimizer: Optimizer,
        loss_fn: Any,
        measures: Measures,
        held_out: Dataset | None,
    ) -> None:
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.measures, self.held_out = measures, held_out
        self.weights, self.state = model.state_dict(), optimizer.state_dict()

    def run(self, loader: Batches, epoch: int, verbose: bool) -> Row:
        """The means of loss and metrics over the samples."""
        try:
            return self._run(loader, epoch, verbose)
        except Exception:
            self.model.load_state_dict(self.weights)
            self.optimizer.load_state_dict(self.state)
            self.model.zero_grad()
            raise

    def _run(self, loader: Batches, epoch: int, verbose: bool) -> Row:
        sums: Row = {}
        samples, shares = 0, 0.0
        for number, (x, y) in enumerate(_shown(loader, epoch, verbose), start=1):
            outputs = single(self.model(x), "fit")
            if epoch == number == 1:
                self._check_targets(outputs, loader.data)
            loss = float(self.loss_fn(outputs, y))
            if not math.isfinite(loss):
                raise self._not_finite(f"the loss is {loss} at epoch {epoch}, batch {number}")
            self.optimizer.zero_grad()
            call_backward(self.model, self.loss_fn.backward(), need_dx=False)
            self.optimizer.step()
            share = self._share(y, outputs.shape)
            samples, shares = samples + len(x), shares + share
            # A sum over samples for either reduction.
            _add(sums, "loss", loss if _is_sum(self.loss_fn) else loss * share)
            for name, value in self.measures(outputs, y).items():
                _add(sums, name, value * len(x))
        if not all(np.isfinite(p.data).all() for p in self.model.parameters()):
            raise self._not_finite(f"the weights are not finite after epoch {epoch}")
        by = {"loss": samples if _is_sum(self.loss_fn) else shares}
        return {name: value / by.get(name, samples) for name, value in sums.items()}

    def _share(self, target: Any, shape: tuple[int, ...]) -> float:
        """The weight of a batch's mean loss in the epoch's mean."""
        if isinstance(self.loss_fn, Loss):
            return self.loss_fn.share(target, shape)
        return len(target)  # a user-defined loss

    def _not_finite(self, what: str) -> NotFiniteError:
        return NotFiniteError(
            f"fit: {what}: the weights from before this epoch are restored. Try a smaller learning "
            f"rate than {self.optimizer.lr:g}, and look for inf or NaN in the data"
        )

    def _check_targets(self, outputs: Any, data: Dataset) -> None:
        """Detect wrong targets anywhere in the data before the first step."""
        self.measures.settle(outputs, data.y, "train")
        if self._share(data.y, (len(data), *outputs.shape[1:])) == 0:
            raise ValueError(
                "fit: every label of train has the class weight 0, so there is nothing to train: "
                "give a class that occurs a weight above 0"
            )
        if self.held_out is not None:
            self.measures.check(outputs, self.held_out.y, "validation")


def _mode(model: Layer) -> bool | None:
    """The `run_mode` of an epoch: each layer's own mode, or train mode if the model is in eval."""
    with run_mode(None):
        return None if model.training else True


def _is_sum(loss: Any) -> bool:
    """Whether a loss is a sum over samples; the history holds it per sample."""
    return getattr(loss, "reduction", "mean") == "sum"


def _check_optimizer(model: Layer, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer is {optimizer!r}, expected one such as Adam(params)")
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for parameter in optimizer.parameters()):
        raise ValueError(
            "fit: the optimizer holds no parameter of this model: create it from model.parameters()"
        )


def _listeners(callbacks: Any) -> list[Any]:
    if callable(getattr(callbacks, "on_epoch_end", None)):
        return [callbacks]
    try:
        listeners = list(callbacks)
    except TypeError:
        raise TypeError(
            f"fit: callbacks is {callbacks!r}, expected a list of objects with "
            "on_epoch_end(epoch, logs)"
        ) from None
    for callback in listeners:
        if not callable(getattr(callback, "on_epoch_end", None)):
            raise TypeError(f"fit: callback {callback!r} has no method on_epoch_end(epoch, logs)")
    return listeners


def _warn_of_pixels(x: np.ndarray) -> None:
    """Inputs like 255 saturate the first layer, and training starts at a loss of 20."""
    if x.dtype.kind in "iu" and x.size and x.max() > _LARGE:
        warnings.warn(
            f"fit: train.x holds whole numbers up to {x.max()} ({x.dtype}), and networks train "
            "poorly on values far from 1: scale them, pixels with x.astype('float32') / 255, "
            "others with cnnx.data.normalize",
            UserWarning,
            stacklevel=3,
        )


def _shown(loader: Batches, epoch: int, verbose: bool) -> Iterator[tuple[Any, ...]]:
    """The epoch's batches, with a progress bar if possible."""
    run = loader.epoch(epoch - 1)
    if verbose and terminal.is_terminal(sys.stderr):
        try:
            from tqdm import tqdm
        except ImportError:
            return run
        return iter(tqdm(run, f"epoch {epoch}", len(loader), leave=False, unit="batch"))
    return run


def _add(sums: Row, name: str, value: float) -> None:
    sums[name] = sums.get(name, 0.0) + value


def _line(row: Row, epochs: int) -> str:
    measured = "  ".join(
        f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "seconds")
    )
    return f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  {measured}  {row['seconds']:.1f} s"
