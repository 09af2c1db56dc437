"""Callbacks of fit: order, hooks, stopping, errors, and each class."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from training_helpers import blobs, mlp

import cnnx
from cnnx import Callback, EarlyStopping
from cnnx.history import History
from cnnx.optim import SGD


def quiet_fit(model, train, **options):
    return cnnx.fit(model, train, **{"verbose": False, "seed": 0, **options})


class Note(Callback):
    """Writes the name of each event into a list."""

    def __init__(self, seen, name=""):
        self.seen, self.name = seen, name

    def on_train_begin(self):
        self.seen.append(f"{self.name}begin")

    def on_train_end(self):
        self.seen.append(f"{self.name}end")

    def on_epoch_begin(self, epoch):
        self.seen.append(f"{self.name}epoch {epoch}")

    def on_epoch_end(self, epoch, logs):
        self.seen.append(f"{self.name}row {epoch}")

    def on_batch_begin(self, batch):
        self.seen.append(f"{self.name}batch {batch}")

    def on_batch_end(self, batch, logs):
        assert set(logs) == {"loss", "accuracy"}
        self.seen.append(f"{self.name}done {batch}")


def test_hooks_are_called_at_the_begin_and_end_of_training_epochs_and_batches():
    seen = []
    quiet_fit(mlp(), blobs(60), epochs=2, callbacks=Note(seen))
    batches = ["batch 1", "done 1", "batch 2", "done 2"]
    epochs = ["epoch 1", *batches, "row 1", "epoch 2", *batches, "row 2"]
    assert seen == ["begin", *epochs, "end"]


def test_callbacks_are_called_in_the_order_of_the_list_and_those_that_run_last_after_them():
    seen = []
    last = Note(seen, "last ")
    last.runs_last = True
    quiet_fit(mlp(), blobs(30), callbacks=[last, Note(seen, "a "), Note(seen, "b ")])
    assert seen[:3] == ["a begin", "b begin", "last begin"]
    assert seen[-3:] == ["a end", "b end", "last end"]


def test_an_object_needs_only_the_hooks_that_it_uses():
    seen = []

    class OnlyBatches:
        def on_batch_end(self, batch, logs):
            seen.append(batch)

    quiet_fit(mlp(), blobs(90), callbacks=[OnlyBatches()])
    assert seen == [1, 2, 3]
    with pytest.raises(TypeError, match="has no method on_epoch_end"):
        quiet_fit(mlp(), blobs(), callbacks=[EarlyStopping])  # the class


@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end"])
def test_a_callback_can_stop_training_within_an_epoch_or_after_it(hook):
    class Stop(Callback):
        def on_batch_end(self, batch, logs):
            if hook == "on_batch_end" and self.trainer.epoch == 2 and batch == 1:
                self.trainer.stop()

        def on_epoch_end(self, epoch, logs):
            if hook == "on_epoch_end" and epoch == 2:
                self.trainer.stop()

    seen = []
    sets = blobs(90)
    callbacks = [Stop(), Note(seen)]
    history = quiet_fit(mlp(), sets, validation=sets, epochs=5, callbacks=callbacks)
    assert history["epoch"] == [1, 2]
    assert "val_loss" in history
    assert seen.count("done 3") == (1 if hook == "on_batch_end" else 2)
    assert seen[-2:] == ["row 2", "end"]


@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end"])
def test_an_error_in_a_callback_comes_out_with_the_history_and_leaves_the_model_as_it_is(hook):
    class Fail(Callback):
        def fail(self):
            if self.trainer.epoch == 2:
                self.weights = self.trainer.model.state_dict()
                raise OSError("disk")

    setattr(Fail, hook, lambda self, number, logs: self.fail())
    seen, fail, model = [], Fail(), mlp()
    with pytest.raises(OSError, match="disk") as caught:
        quiet_fit(model, blobs(90), epochs=3, callbacks=[fail, Note(seen)])
    assert len(caught.value.history) == (1 if hook == "on_batch_end" else 2)
    assert seen[-1] == "end"
    assert all(np.array_equal(a, fail.weights[k]) for k, a in model.state_dict().items())


def test_an_error_at_the_end_does_not_hide_the_first_one():
    class Last(Callback):
        def on_train_end(self):
            self.first = self.trainer.error
            raise ValueError("end")

    seen = []
    with pytest.raises(ValueError, match="end"):
        quiet_fit(mlp(), blobs(), callbacks=[Last(), Note(seen)])
    assert seen[-1] == "end"

    class Fail(Callback):
        def on_epoch_end(self, epoch, logs):
            raise OSError("first")

    last = Last()
    with pytest.raises(OSError, match="first"):
        quiet_fit(mlp(), blobs(), callbacks=[last, Fail()])
    assert isinstance(last.first, OSError)


def stopped_by(values, **options):
    """The history, EarlyStopping and weights after each epoch, of a run with these scores."""
    weights, scores = [], iter([v for value in values for v in (0.0, value)])
    model = mlp()

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs):
            weights.append(model.state_dict())

    stop = EarlyStopping(monitor="val_s", **options)
    history = quiet_fit(
        model,
        blobs(30),
        validation=blobs(9),
        metrics={"s": lambda outputs, target: next(scores)},
        epochs=len(values),
        callbacks=[stop, Keep()],
    )
    return history, stop, weights, model


def same(one, other):
    return all(np.array_equal(a, other[name]) for name, a in one.items())


def test_early_stopping_waits_and_restores_the_best_weights():
    history, stop, weights, model = stopped_by([1.0, 3.0, 2.0, 2.5, 9.0], patience=2)
    assert len(history) == 4
    assert stop.best_epoch == 2
    assert same(model.state_dict(), weights[1])
    assert not same(weights[1], weights[3])
    _, _, weights, model = stopped_by([3.0, 2.0, 2.5], patience=5)  # it does not stop
    assert same(model.state_dict(), weights[0])
    _, _, weights, model = stopped_by([3.0, 2.0, 2.5], patience=2, restore_best=False)
    assert same(model.state_dict(), weights[2])


def test_early_stopping_has_a_mode_and_a_smallest_change():
    history, stop, _, _ = stopped_by([3.0, 2.9, 2.0, 5.0], patience=1, mode="min", min_delta=0.5)
    assert (len(history), stop.best_epoch) == (2, 1)
    history, stop, _, _ = stopped_by([float("nan"), 1.0, float("nan")], patience=2)
    assert (len(history), stop.best_epoch) == (3, 2)
    with pytest.raises(ValueError, match=r"'val_loss', but an epoch has .*validation set"):
        quiet_fit(mlp(), blobs(), callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="patience=0"):
        EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="mode='best'"):
        EarlyStopping(mode="best")


class Halve:
    """A schedule of the agreed form."""

    def __init__(self, optimizer, interval="epoch", needs_metric=False):
        self.optimizer, self.interval, self.needs_metric = optimizer, interval, needs_metric
        self.metrics = []

    def step(self, metric=None):
        self.metrics.append(metric)
        self.optimizer.lr *= 0.5


@pytest.mark.parametrize(("interval", "steps"), [("epoch", 2), ("batch", 4)])
def test_a_schedule_steps_after_epochs_or_after_steps_of_the_optimiser(interval, steps):
    for as_callback in (False, True):
        model = mlp()
        optimizer = SGD(model.parameters(), lr=1.0)
        schedule = Halve(optimizer, interval)
        given = {"callbacks": cnnx.LRScheduler(schedule)} if as_callback else {"schedule": schedule}
        quiet_fit(model, blobs(90), epochs=2, optimizer=optimizer, accumulate=2, **given)
        assert optimizer.lr == 0.5**steps  # 3 batches are two steps
        assert schedule.metrics == [None] * steps


def test_a_schedule_that_needs_a_metric_gets_the_monitored_column():
    model, sets = mlp(), blobs(30)
    optimizer = SGD(model.parameters(), lr=0.1)
    schedules = [Halve(optimizer, needs_metric=True) for _ in range(2)]
    history = quiet_fit(
        model,
        sets,
        validation=sets,
        epochs=2,
        optimizer=optimizer,
        schedule=schedules[0],
        callbacks=[cnnx.LRScheduler(schedules[1], monitor="accuracy")],
    )
    assert schedules[0].metrics == history["val_loss"]
    assert schedules[1].metrics == history["accuracy"]
    with pytest.raises(TypeError, match="schedule"):
        cnnx.LRScheduler("step")


def test_the_csv_file_has_the_history_after_every_epoch(tmp_path):
    path = tmp_path / "log.csv"

    class Read(Callback):
        def on_epoch_end(self, epoch, logs):
            assert History.from_csv(path) == self.trainer.history

    history = quiet_fit(mlp(), blobs(), epochs=2, callbacks=[cnnx.CSVLogger(path), Read()])
    assert History.from_csv(path) == history


def test_a_progress_bar_counts_the_batches(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    quiet_fit(mlp(), blobs(90), epochs=2, callbacks=[cnnx.ProgressBar()])
    err = capsys.readouterr().err
    assert "epoch 2" in err
    assert "0/3" in err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"cnnx\[cli\]"):
        cnnx.ProgressBar()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_files_have_the_columns(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    quiet_fit(mlp(), blobs(), epochs=2, callbacks=[cnnx.TensorBoard(tmp_path)])
    [events] = tmp_path.iterdir()
    content = events.read_bytes()
    assert content.count(b"accuracy") == 2
    assert b"seconds" in content
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"cnnx\[tensorboard\]"):
        cnnx.TensorBoard(tmp_path)
