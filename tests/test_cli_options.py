"""Options of `cnnx train` that change how it trains: each has the effect that it promises."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cli_helpers import failure, settings_of, sides

import cnnx
from cnnx.cli import main, train
from cnnx.cli.recipes import AUGMENTS, SCHEDULES

pytestmark = pytest.mark.usefixtures("own_directory", "no_pictures")


def trained(npz, out, *words):
    """The weights after a run."""
    base = ("--data", npz, "--epochs", "3", "--model", "mlp", "--batch-size", "8", "--threads", "1")
    assert main(["train", *base, "--out", out, *words]) == 0
    return cnnx.load(f"{out}/model.npz").state_dict()


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("tenth", [1, 1, 1, 1, 1, 0.1]),
        ("step", [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("cosine", [(1 + np.cos(np.pi * t / 6)) / 2 for t in range(6)]),
        ("plateau", [1, 1, 1, 1, 0.1, 0.1]),  # the loss is lowest after the first epoch
    ],
)
def test_schedules_by_epoch_have_these_rates(name, expected):
    optimizer = cnnx.SGD([cnnx.Parameter(np.ones(1, np.float32))], lr=1.0)
    schedule = SCHEDULES[name].make(optimizer, 6, 4)
    rates = []
    for epoch in range(6):
        rates.append(optimizer.lr)
        if schedule is not None:
            schedule.step(1.0 + epoch if schedule.needs_metric else None)
    np.testing.assert_allclose(rates, expected)


@pytest.mark.parametrize("method", ["sgd", "adagrad"])
def test_one_cycle_rises_to_the_given_rate_and_covers_all_steps(npz, monkeypatch, method):
    rates = []
    optimizer = {"sgd": cnnx.SGD, "adagrad": cnnx.Adagrad}[method]
    real = optimizer.step

    def step(self):
        rates.append(self.lr)
        real(self)

    monkeypatch.setattr(optimizer, "step", step)
    trained(npz, "run", "--schedule", "onecycle", "--optimizer", method, "--lr", "0.02")
    assert len(rates) == 12 and max(rates) == pytest.approx(0.02, rel=0.1)
    assert rates[0] == pytest.approx(0.02 / 25) and rates[-1] < 1e-6
    assert settings_of("run")["options"]["schedule"] == "onecycle"


def test_every_schedule_and_augmentation_trains_to_other_weights(npz):
    plain = trained(npz, "plain", "--constant-lr")
    for name in set(SCHEDULES) - {"constant", "plateau", "tenth"}:
        assert not same(plain, trained(npz, name, "--schedule", name))
    for name in set(AUGMENTS) - {"none"}:
        assert not same(plain, trained(npz, name, "--constant-lr", "--augment", name))
    assert settings_of("light")["options"]["augment"] == "light"


def test_augmentation_is_for_images(capsys):
    error = failure(capsys, "train", "--data", "spiral", "--augment", "light")
    assert "--augment is for images" in error


def test_workers_do_not_change_the_bits(npz, monkeypatch):
    alone = trained(npz, "alone", "--augment", "light")
    names = set()
    real = cnnx.data.transforms.RandomCrop.apply_x

    def seen(self, x, rng):
        names.add(threading.current_thread().name)
        return real(self, x, rng)

    monkeypatch.setattr(cnnx.data.transforms.RandomCrop, "apply_x", seen)
    assert same(alone, trained(npz, "two", "--augment", "light", "--workers", "2"))
    assert "MainThread" not in names


def test_early_stopping_keeps_the_best_model_and_its_score(npz, monkeypatch):
    losses = iter([0.5, 0.3, 0.4, 0.6, 0.2])
    monkeypatch.setattr(train, "EarlyStopping", lambda patience: Scripted(losses, patience))
    trained(npz, "run", "--epochs", "5", "--early-stop", "2", "--optimizer", "sgd")
    trained(npz, "two", "--epochs", "2", "--constant-lr", "--optimizer", "sgd")
    result = settings_of("run")["result"]
    assert result["epochs"] == 4 and result["finished"] is True
    two = settings_of("two")["result"]
    assert same(*(cnnx.load(f"{name}/model.npz").state_dict() for name in ("run", "two")))
    assert result["test_loss"] == pytest.approx(two["test_loss"])


class Scripted(cnnx.EarlyStopping):
    """Early stopping by losses that the test chooses."""

    def __init__(self, losses, patience):
        super().__init__(patience=patience)
        self.losses = losses

    def on_epoch_end(self, epoch, logs):
        super().on_epoch_end(epoch, {**logs, "val_loss": next(self.losses)})


def test_a_validation_split_trains_on_less_and_scores_the_test_set_once(npz, capsys):
    trained(npz, "run", "--val-split", "0.25")
    settings = settings_of("run")
    assert [settings["data"][part] for part in ("train", "validation", "test")] == [24, 8, 8]
    result = settings["result"]
    last = cnnx.History.from_csv("run/history.csv")[-1]
    assert result["val_loss"] == last["val_loss"] != result["test_loss"]
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 0  # neither the validation nor the training samples
    out = capsys.readouterr().out
    assert "8 to score" in out and f"loss {result['test_loss']:.4f}" in out


def test_class_weights_balance_the_loss(capsys, monkeypatch):
    x, y = sides(60)
    rare = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:10]]
    np.savez("rare.npz", x=x[rare], y=y[rare])
    made = []
    real = train.CrossEntropyLoss
    monkeypatch.setattr(
        train, "CrossEntropyLoss", lambda **k: made.append(k["weight"]) or real(**k)
    )
    trained("rare.npz", "run", "--class-weights")
    assert made[0].tolist() == [32 / 48, 32 / 16]  # 24 and 8 training samples
    assert settings_of("run")["options"]["class-weights"] is True
    error = failure(capsys, "train", "--data", "polynomial", "--class-weights")
    assert "--class-weights is for classes" in error


def test_averaged_weights_are_scored_and_saved(npz):
    plain, averaged = trained(npz, "plain"), trained(npz, "ema", "--ema", "0.9")
    assert not same(plain, averaged)
    settings = settings_of("ema")
    assert settings["options"]["ema"] == 0.9
    last = cnnx.History.from_csv("ema/history.csv")[-1]
    assert settings["result"]["test_loss"] == last["val_loss"]
    assert main(["evaluate", "ema"]) == 0
