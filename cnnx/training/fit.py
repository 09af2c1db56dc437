"""`fit`: its arguments."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnx import checks
from cnnx.callbacks import Hooks, LRScheduler, ProgressBar
from cnnx.callbacks.logs import EpochLines
from cnnx.feed import feed
from cnnx.history import History
from cnnx.inference import ways_of
from cnnx.layers import Layer
from cnnx.objective import as_loss
from cnnx.optim import Adam, Optimizer
from cnnx.scoring import Measures, Metrics, check_loss
from cnnx.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnx.data.batches import Transform
    from cnnx.optim import EMA
    from cnnx.typing import ArrayLike, Data, HasStep, Losses, Path

__all__ = ["fit", "prepare"]

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)

_LARGE = 100  # integers above it are pixels 0..255, or of a similar scale


def fit(
    model: Layer,
    train: Data,
    *,
    validation: Data | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: Optimizer | None = None,
    loss: Losses | None = None,
    loss_weights: Sequence[float] | None = None,
    seed: int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    metrics: Metrics = None,
    callbacks: object = (),
    verbose: bool = True,
    schedule: HasStep | None = None,
    ema: EMA | None = None,
    accumulate: int = 1,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    steps_per_epoch: int | None = None,
    sample_weight: ArrayLike | None = None,
    augment: Transform | None = None,
    workers: int = 0,
    resume: Path | None = None,
) -> History:
    """Train a model, and return loss and metrics of each epoch.

    train      Dataset, (x, y), (x, y, sample_weight), an object whose samples can be asked for (see
               `cnnx.data.batches`), or an iterable of batches of these forms: a list, `Batches`, a
               loader, a generator, a function that returns one for each epoch. For a Graph of
               several inputs or outputs, x or y is a tuple of arrays
    validation data in the same forms, measured after each epoch
    epochs     passes over train
    batch_size, shuffle, drop_last, augment, workers   how samples become batches; an iterable of
               batches determines its own. drop_last leaves out an incomplete last batch, for
               instance one of a single sample, on which batch norm cannot be trained; augment is a
               transform of batches (x, y, rng) -> (x, y); workers threads prepare batches ahead
    optimizer  None: Adam(lr=1e-3)
    loss       None: CrossEntropyLoss(); for a model of several outputs a list with a loss for each,
               or None, whose sum with the factors loss_weights is minimised. Targets are then one
               for all, or a tuple; metrics measure the first output
    seed       fixes shuffling, dropout and augmentation: the same weights, data and seed give the
               same bits. None draws from `cnnx.manual_seed`'s stream
    metrics    as in `evaluate`; the columns of train are means over the batches during the epoch,
               and exact for streaming metrics
    callbacks  `cnnx.Callback` objects, or others with some of its methods; or one such object
    verbose    print a line per epoch; with tqdm installed and a terminal, a bar within the epoch
    schedule   of the learning rate (`cnnx.optim.schedules`): stepped after each epoch, or after
               each step of the optimiser if its interval is "batch"; with `needs_metric` by the
               validation loss (see `cnnx.LRScheduler`)
    ema        a `cnnx.EMA` of this model: updated after each step; validation uses the averaged
               weights, and at the end the model gets them
    accumulate the gradients of so many batches are added for a step of the optimiser: that of their
               mean loss, to rounding, since kernels add samples in another order. The last group of
               an epoch may be smaller
    clip_grad_norm, clip_grad_value  limits of the gradients, as the functions of these names
    steps_per_epoch  batches per epoch: epochs continue where the last one stopped, and begin again
               at the end of the data
    sample_weight    (n,), factors of the samples' losses, of which "mean" is the weighted mean
    resume     a file of `cnnx.Checkpoint`, or its directory (the newest file that can be read; none
               at all: from the start): continue with the same bits as without interruption. The
               arguments must be the same, except for epochs and validation

    A model in eval mode is trained as if it were in train mode; in a model in train mode, layers
    in eval mode stay in it (batch norm with frozen statistics). No mode is changed, and other
    threads may `predict` with the model meanwhile.

    The loss of a row is the mean over the samples of the epoch, with class weights or sample
    weights the weighted mean: the sum of weight * loss over the sum of the weights, independent of
    the batches. A loss with reduction="sum" is reported per sample, too.

    `NotFiniteError` (a FloatingPointError and ValueError) names epoch and batch of a loss that is
    inf or NaN; weights, statistics and optimiser are restored to the last good epoch (after a
    resume within an epoch, to the checkpoint). ValueError for a train set without samples, an
    optimiser of another model, and, before any weight changes, for targets that the loss does not
    accept, such as labels without a corresponding output (in an iterable: in the first batch).
    ValueError, with both values, for a resume with other settings. UserWarning for a model that
    ends in Softmax with CrossEntropyLoss, and for pixels 0..255. Ctrl-C leaves a usable model. The
    exception that ends training early, KeyboardInterrupt too, has the finished epochs as its
    ``history``.

    Example: ``history = cnnx.fit(model, train, validation=test, epochs=5, seed=0)``
    """
    given = dict(locals())
    del given["resume"]
    trainer = prepare(Trainer, **given)
    check_loss("fit", model, trainer.loss)
    _warn_of_pixels(getattr(trainer.data.whole, "x", None))
    return trainer.run(seed, resume)


def prepare(
    kind: type[AnyTrainer],
    model: Layer,
    train: Any,
    *,
    validation: Any,
    epochs: int,
    batch_size: int,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    seed: int | None,
    shuffle: bool,
    drop_last: bool,
    metrics: Metrics,
    callbacks: object,
    verbose: bool,
    schedule: Any,
    ema: Any,
    accumulate: int,
    clip_grad_norm: float | None,
    clip_grad_value: float | None,
    steps_per_epoch: int | None,
    sample_weight: Any,
    augment: Any,
    workers: int,
) -> AnyTrainer:
    """The run that the arguments of `fit` describe, checked."""
    if not isinstance(model, Layer):
        raise TypeError(f"fit: model is a {type(model).__name__}, expected a Layer")
    ways = ways_of(model)
    epochs = checks.integer("fit", "epochs", epochs)
    hooks = Hooks(callbacks)
    steps = _optional_count("steps_per_epoch", steps_per_epoch)
    data = feed(
        "fit",
        "train",
        train,
        ways,
        sample_weight=sample_weight,
        steps=steps,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        transform=augment,
        workers=workers,
    )
    data.check_epochs(epochs)
    held_out = None
    if validation is not None:
        held_out = feed("fit", "validation", validation, ways, batch_size=256)
        held_out.check_epochs(epochs)
    loss_fn = as_loss("fit", loss, loss_weights)
    optimizer = Adam(model.parameters(), lr=1e-3) if optimizer is None else optimizer
    _check_optimizer(model, optimizer)
    return kind(
        model,
        optimizer,
        loss_fn,
        Measures("fit", model, loss_fn, metrics),
        data=data,
        held_out=held_out,
        hooks=_with_own(hooks, schedule, epochs, verbose),
        epochs=epochs,
        accumulate=checks.integer("fit", "accumulate", accumulate, least=1),
        clip_norm=_optional_limit("clip_grad_norm", clip_grad_norm),
        clip_value=_optional_limit("clip_grad_value", clip_grad_value),
        schedule=schedule,
        ema=ema,
    )


def _with_own(hooks: Hooks, schedule: Any, epochs: int, verbose: bool) -> Hooks:
    """The user's callbacks after those that the arguments ask for."""
    own: list[Any] = []
    if verbose:
        shown = any(isinstance(callback, ProgressBar) for callback in hooks.callbacks)
        bar = None if shown else ProgressBar.of_terminal()
        own = [EpochLines(epochs)] if bar is None else [bar, EpochLines(epochs)]
    if schedule is not None:
        own.append(LRScheduler(schedule))
    return Hooks(own + hooks.callbacks)


def _check_optimizer(model: Layer, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer is {optimizer!r}, expected one such as Adam(params)")
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for parameter in optimizer.parameters()):
        raise ValueError(
            "fit: the optimizer holds no parameter of this model: create it from model.parameters()"
        )


def _optional_count(name: str, value: Any) -> int | None:
    return None if value is None else checks.integer("fit", name, value, least=1)


def _optional_limit(name: str, value: Any) -> float | None:
    return None if value is None else checks.real("fit", name, value, 0.0)


def _warn_of_pixels(x: Any) -> None:
    """Inputs like 255 saturate the first layer, and training starts at a loss of 20."""
    if not isinstance(x, np.ndarray):
        return
    if x.dtype.kind in "iu" and x.size and x.max() > _LARGE:
        warnings.warn(
            f"fit: train.x holds whole numbers up to {x.max()} ({x.dtype}), and networks train "
            "poorly on values far from 1: scale them, pixels with x.astype('float32') / 255, "
            "others with cnnx.data.normalize",
            UserWarning,
            stacklevel=3,
        )
