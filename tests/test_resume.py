"""Checkpoints: state trees, what is kept, and training that continues with the same bits."""

from __future__ import annotations

import errno
import os
import signal
import threading

import numpy as np
import pytest
from test_fit_data import Averages, Count
from training_helpers import blobs, quiet_fit, same

import cnnx
from cnnx import Callback, Checkpoint, load_checkpoint, save_checkpoint
from cnnx.callbacks.checkpoint import checkpoints
from cnnx.data import batches
from cnnx.layers import BatchNorm1D, Dropout, Linear, ReLU, Sequential
from cnnx.optim import SGD, Adam


def test_a_state_tree_comes_back_with_the_same_types_and_bits(tmp_path):
    tree = {
        "model": {"0.weight": np.array([[1.5, np.nan]], np.float32)},
        "state": {0: {"step": 3}, 1: None},
        "list": [1, 2.5, "text", (True, float("inf"))],
        "large": 2**127 + 1,
        "a/b": np.arange(3),
        "a": {"b": np.zeros(0, bool)},
    }
    save_checkpoint(tmp_path / "a.npz", tree)
    found = load_checkpoint(tmp_path / "a.npz")
    assert repr(found) == repr(tree)
    assert found["model"]["0.weight"].dtype == np.float32
    with pytest.raises(TypeError, match=r"tree\[x/0\] is a set"):
        save_checkpoint(tmp_path / "b.npz", {"x": [{1}]})
    with pytest.raises(TypeError, match=r"tree\[x\] is an array of object"):
        save_checkpoint(tmp_path / "b.npz", {"x": np.array([None])})
    assert not (tmp_path / "b.npz").exists()


def test_a_damaged_or_foreign_file_is_a_clear_error(tmp_path):
    path = tmp_path / "a.npz"
    save_checkpoint(path, {"x": np.ones(100), "y": [1]})
    content = path.read_bytes()
    for damaged in (b"", content[:200], content.replace(b'"dict"', b'"dick"', 1)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.npz' cannot be read"):
            load_checkpoint(path)
    Sequential(Linear(1, 1)).save(path)
    with pytest.raises(ValueError, match=r"a\.npz' is not a checkpoint"):
        load_checkpoint(path)


def net():
    cnnx.manual_seed(0)
    return Sequential(Linear(2, 8), BatchNorm1D(8), ReLU(), Dropout(0.3), Linear(8, 3))


class Decay:
    """A schedule per batch, of the agreed form."""

    interval, needs_metric = "batch", False

    def __init__(self, optimizer):
        self.optimizer, self.count = optimizer, 0

    def step(self, metric=None):
        self.count += 1
        self.optimizer.lr = 0.05 / (1 + self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def noise(x, y, rng):
    return x + 0.1 * rng.normal(size=x.shape).astype(x.dtype), y


class StopAt(Callback):
    """Raises KeyboardInterrupt after a batch, as Ctrl-C without a handler does."""

    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch, batch) == self.place:
            raise KeyboardInterrupt


def train(directory, *callbacks, resume=None, model=None, **options):
    """Everything that has a state, in one run: (weights, history, EarlyStopping)."""
    model = net() if model is None else model
    optimizer = Adam(model.parameters(), lr=0.05)
    stop = cnnx.EarlyStopping(patience=9)
    saved = [] if directory is None else [Checkpoint(directory, batches=1, keep=2)]
    settings = {
        "epochs": 3,
        "seed": 5,
        "optimizer": optimizer,
        "schedule": Decay(optimizer),
        "ema": Averages(model),
        "augment": noise,
        "batch_size": 20,
        "metrics": [Count(), "accuracy", "f1"],
        "validation": blobs(30, seed=1),
        **options,
    }
    history = quiet_fit(
        model, blobs(90), callbacks=[*saved, stop, *callbacks], resume=resume, **settings
    )
    return model.state_dict(), history, stop


def rows(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


@pytest.mark.parametrize("place", [(1, 2), (2, 3), (2, 5), (3, 5)])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"seed": None}], ids=str)
def test_a_training_resumed_within_an_epoch_has_the_same_bits(tmp_path, place, options):
    cnnx.manual_seed(3)
    model = net()
    cnnx.manual_seed(4)
    weights, history, stop = train(None, model=model, **options)
    model = net()
    cnnx.manual_seed(4)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, StopAt(*place), model=model, **options)
    other = net()
    cnnx.manual_seed(99)
    again, continued, stopped = train(tmp_path, resume=tmp_path, model=other, **options)
    assert same(weights, again)
    assert rows(continued) == rows(history)
    assert stopped.best_epoch == stop.best_epoch


def test_a_training_resumed_at_the_end_of_an_epoch_can_go_on_longer(tmp_path):
    weights, history, _ = train(None, epochs=4)
    train(tmp_path, epochs=2)
    again, continued, _ = train(tmp_path, resume=tmp_path, epochs=4)
    assert same(weights, again)
    assert rows(continued) == rows(history)
    again, continued, _ = train(tmp_path, resume=tmp_path, epochs=4)  # there is nothing left to do
    assert same(weights, again)
    assert rows(continued) == rows(history)


@pytest.mark.parametrize(
    "form",
    [
        lambda: batches(blobs(90), 20, shuffle=True, seed=1),
        lambda: list(batches(blobs(90), 20)),
        lambda: (batch for _ in range(9) for batch in batches(blobs(90), 20)),
    ],
    ids=["Batches", "list", "generator"],
)
@pytest.mark.parametrize("place", [(1, 2), (2, 1)])
def test_iterables_of_batches_resume_at_the_same_batch(tmp_path, form, place):
    options = {"epochs": 2, "seed": 0, "steps_per_epoch": 3}
    model = net()
    quiet_fit(model, form(), **options)
    cut = [Checkpoint(tmp_path, batches=1), StopAt(*place)]
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(net(), form(), callbacks=cut, **options)
    other = net()
    quiet_fit(other, form(), resume=tmp_path, **options)
    assert same(model.state_dict(), other.state_dict())


def test_settings_that_differ_are_named_with_both_values(tmp_path):
    def run(model=None, data=None, **options):
        model = net() if model is None else model
        quiet_fit(model, blobs(90) if data is None else data, **{"seed": 5, **options})

    run(callbacks=[Checkpoint(tmp_path)])
    for options, message in (
        ({"seed": 6}, "seed is 6, but .* was written with 5"),
        ({"batch_size": 16}, "batch_size is 16, but .* with 32"),
        ({"data": blobs(60)}, "number of samples is 60, but .* with 90"),
        ({"accumulate": 2}, "accumulate is 2, but .* with 1"),
        ({"model": net().astype("f8")}, "dtype is .*float64.*float32"),
        ({"model": Sequential(Linear(2, 3))}, "is of another model"),
    ):
        with pytest.raises(ValueError, match=f"fit: resume: .*{message}"):
            run(**options, epochs=2, resume=tmp_path)
    model = net()
    before = model.state_dict()
    groups = [{"params": model[0].parameters()}, {"params": model[4].parameters()}]
    with pytest.raises(ValueError, match=r"fit: resume: .* groups have"):
        run(model, optimizer=Adam(groups), resume=tmp_path)
    assert same(before, model.state_dict())
    with pytest.raises(ValueError, match=r"optimizer is 'SGD', but .* with 'Adam'"):
        model = net()
        run(model, optimizer=SGD(model.parameters(), lr=0.1), resume=tmp_path)
    with pytest.raises(FileNotFoundError):
        run(resume=tmp_path / "none.npz")
    with pytest.raises(FileExistsError, match="already has 1 checkpoints"):
        run(callbacks=[Checkpoint(tmp_path)])
    with pytest.warns(UserWarning, match="the state of EarlyStopping"):
        directory = tmp_path / "b"
        run(callbacks=[Checkpoint(directory), cnnx.EarlyStopping("loss")])
        run(resume=directory)


def test_the_last_files_and_the_best_are_kept(tmp_path):
    scores = iter([0, 1.0, 0, 3.0, 0, 2.0, 0, 0.5])
    model, weights = net(), []

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs):
            weights.append(model.state_dict())

    quiet_fit(
        model,
        blobs(30),
        validation=blobs(9),
        epochs=4,
        metrics={"s": lambda outputs, target: next(scores)},
        callbacks=[Checkpoint(tmp_path, keep=2, best="val_s"), Keep()],
    )
    assert [position for position, _ in checkpoints(tmp_path)] == [(3, 0), (4, 0)]
    best = load_checkpoint(tmp_path / "best.npz")
    assert same(best["model"], weights[1])
    assert (best["epoch"], best["row"]["val_s"]) == (2, 3.0)
    with pytest.raises(ValueError, match=r"best\.npz' is no state of a training"):
        quiet_fit(net(), blobs(30), resume=tmp_path / "best.npz")


def test_a_damaged_newest_file_falls_back_to_the_one_before(tmp_path):
    weights, _, _ = train(None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, StopAt(2, 4))
    [(_, older), (_, newest)] = checkpoints(tmp_path)
    os.truncate(newest, os.path.getsize(newest) // 2)
    with pytest.warns(RuntimeWarning, match=r"cannot be read.*continuing from .*000002"):
        again, _, _ = train(tmp_path, resume=tmp_path)
    assert same(weights, again)
    assert older.endswith("checkpoint-0001-000002.npz")
    for _, path in checkpoints(tmp_path):
        os.truncate(path, 0)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        train(tmp_path, resume=tmp_path)


def test_ctrl_c_ends_after_the_batch_with_a_checkpoint(tmp_path, interruptible):
    class Press(Callback):
        """Ctrl-C in the middle of a batch."""

        def on_batch_begin(self, batch):
            if (self.trainer.epoch, batch) == (2, 2):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(3):
                    pass  # handlers run between two instructions

    before = signal.getsignal(signal.SIGINT)
    weights, history, _ = train(None)
    with pytest.raises(KeyboardInterrupt) as caught:
        quiet = Checkpoint(tmp_path, every=None)
        train(None, quiet, Press())
    assert len(caught.value.history) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert [position for position, _ in checkpoints(tmp_path)] == [(1, 2)]
    again, continued, _ = train(tmp_path, resume=tmp_path)
    assert same(weights, again)
    assert rows(continued) == rows(history)


def test_a_signal_in_the_validation_is_raised_at_once_with_a_checkpoint(tmp_path):
    weights, history, _ = train(None)
    sizes, pressed = [], []

    def press(outputs, target):
        sizes.append(len(target))
        if sizes.count(30) == 2 and not pressed:  # the second validation
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(3):
                pass
        return 0.0

    metrics = [Count(), "accuracy", "f1", press]
    with pytest.raises(SystemExit) as caught:
        train(None, Checkpoint(tmp_path, every=None, sigterm=True), metrics=metrics)
    assert caught.value.code == 143
    assert [position for position, _ in checkpoints(tmp_path)] == [(1, 5)]
    again, continued, _ = train(None, resume=tmp_path, metrics=metrics)
    assert same(weights, again)
    assert continued["val_loss"] == history["val_loss"]


def test_checkpoints_work_in_a_thread_without_signals(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(train(tmp_path)))
    thread.start()
    thread.join()
    assert same(results[0][0], train(None)[0])


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    weights, _, _ = train(None)
    fsync, full = os.fsync, [False]

    def fill(descriptor):
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    class Fill(Callback):
        def on_batch_end(self, batch, logs):
            full[0] = (self.trainer.epoch, batch) in ((2, 3), (2, 4))

    monkeypatch.setattr(os, "fsync", fill)
    with (
        pytest.warns(RuntimeWarning, match=r"could not be written: .*No space left"),
        pytest.raises(KeyboardInterrupt),
    ):
        train(tmp_path, Fill(), StopAt(2, 4))
    assert [position for position, _ in checkpoints(tmp_path)] == [(1, 1), (1, 2)]
    assert len(os.listdir(tmp_path)) == 2
    full[0] = False
    assert same(weights, train(tmp_path, resume=tmp_path)[0])


def test_a_directory_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = net()
    before = model.state_dict()
    with pytest.raises(OSError):
        quiet_fit(model, blobs(), callbacks=[Checkpoint(tmp_path / "file" / "runs")])
    assert same(before, model.state_dict())


def test_an_early_stop_is_part_of_the_checkpoint(tmp_path):
    class StopAfterTwo(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.trainer.stop()

    history = train(tmp_path, StopAfterTwo())[1]
    again = train(tmp_path, resume=tmp_path)[1]
    assert rows(again) == rows(history)
    assert len(again) == 2
