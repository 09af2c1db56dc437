"""fit: results, side effects and errors."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from training_helpers import blobs, mlp, same

from cnnx import data, random
from cnnx.layers import (
    BatchNorm1D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
    Tanh,
)
from cnnx.losses import CrossEntropyLoss, MSELoss
from cnnx.metrics import accuracy
from cnnx.optim import SGD, Adam
from cnnx.training import (
    NotFiniteError,
    evaluate,
    fit,
)


def quiet_fit(model, train, **options):
    return fit(model, train, verbose=False, **options)


def test_fit_learns_and_reports_every_epoch(capsys):
    model = mlp()
    history = fit(
        model,
        blobs(),
        validation=blobs(30, seed=1),
        epochs=12,
        seed=0,
        optimizer=Adam(model.parameters(), lr=0.02),
    )
    assert history["val_accuracy"][-1] > 0.95
    assert history["loss"][-1] < history["loss"][0]
    assert history.columns == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert history["epoch"] == list(range(1, 13))
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 12
    assert out.startswith("epoch  1/12  loss ")
    assert err == ""
    scores = evaluate(model, blobs(30, seed=1))
    assert scores.accuracy == history["val_accuracy"][-1]
    assert scores.loss == pytest.approx(history["val_loss"][-1])


def test_one_step_equals_the_step_computed_by_hand():
    model = Sequential(Linear(1, 1, bias=False))
    model[0].weight.data = np.array([[2.0]])
    x, y = np.array([[1.0], [3.0]]), np.array([[1.0], [0.0]])
    history = quiet_fit(
        model, (x, y), batch_size=2, loss=MSELoss(), optimizer=SGD(model.parameters(), lr=0.1)
    )
    # errors 1 and 6; the slope is mean of 2 * error * x = (2 * 1 + 2 * 6 * 3) / 2
    assert history["loss"] == [pytest.approx((1 + 36) / 2)]
    assert model[0].weight.data.item() == pytest.approx(2 - 0.1 * 19)


def test_the_reported_loss_is_the_mean_over_samples_for_uneven_batches():
    model, (x, y) = mlp(), blobs(7)
    expected = CrossEntropyLoss()(model(x), y)
    still = SGD(model.parameters(), lr=0.0)
    for loss in (CrossEntropyLoss(), CrossEntropyLoss(reduction="sum")):
        history = quiet_fit(model, (x, y), batch_size=3, optimizer=still, loss=loss)
        assert history["loss"][0] == pytest.approx(expected, rel=1e-6)
        assert history["accuracy"][0] == pytest.approx(accuracy(model(x), y))


@pytest.mark.parametrize("between", [lambda: None, lambda: random.generator().random(99)])
def test_the_same_seeds_give_the_same_bits(between):
    results = []
    for _ in range(2):
        model = mlp(seed=1, dropout=0.5)
        between()
        history = quiet_fit(model, blobs(), epochs=3, seed=4)
        results.append((model.state_dict(), history["loss"]))
        between = lambda: random.dropout_key()  # noqa: E731
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    other = mlp(seed=1, dropout=0.5)
    quiet_fit(other, blobs(), epochs=3, seed=5)
    assert not same(results[0][0], other.state_dict())


def test_without_a_seed_manual_seed_fixes_everything():
    results = []
    for _ in range(2):
        model = mlp(seed=2, dropout=0.5)
        quiet_fit(model, blobs(), epochs=2)
        results.append(model.state_dict())
    assert same(*results)


def test_without_shuffle_samples_are_used_in_stored_order():
    seen = []

    class Watch(Layer):
        def forward(self, x):
            if self.training:
                seen.append(x[:, 0].copy())
            return x

        def backward(self, dy):
            return dy

    x, y = blobs(10)
    model = Sequential(Watch(), Linear(2, 3))
    quiet_fit(model, (x, y), batch_size=4, shuffle=False, validation=(x, y))
    assert [len(batch) for batch in seen] == [4, 4, 2]
    assert np.array_equal(np.concatenate(seen), x[:, 0])
    seen.clear()
    quiet_fit(model, (x, y), batch_size=4, seed=0)
    assert not np.array_equal(np.concatenate(seen), x[:, 0])
    assert np.array_equal(np.sort(np.concatenate(seen)), np.sort(x[:, 0]))


def test_modes_are_as_before_after_success_and_failure():
    model = mlp(dropout=0.5)
    model[0].eval()
    before = [layer.training for layer in model.modules()]
    quiet_fit(model, blobs(), validation=blobs())
    assert [layer.training for layer in model.modules()] == before
    model.eval()
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        quiet_fit(model, (blobs()[0], np.full(90, 3)))
    assert not any(layer.training for layer in model.modules())


def test_batch_norm_in_eval_mode_stays_frozen_in_a_training_model():
    model = Sequential(Linear(2, 4), BatchNorm1D(4), ReLU(), Linear(4, 3))
    model[1].eval()
    quiet_fit(model, blobs())
    assert model[1].num_batches_tracked == 0
    model.eval()
    quiet_fit(model, blobs())
    assert model[1].num_batches_tracked == 3
    assert not model.training


def test_a_wrong_label_anywhere_is_detected_before_any_weight_changes():
    x, y = blobs()
    for where in ("train", "validation"):
        bad = y.copy()
        bad[-1] = 7
        model = mlp()
        before = model.state_dict()
        sets = {"train": (x, y), "validation": (x, y), where: (x, bad)}
        with pytest.raises(ValueError, match=r"target\[89\] is 7, but with 3 classes"):
            quiet_fit(model, sets.pop("train"), shuffle=False, **sets)
        assert same(before, model.state_dict())


def test_a_loss_that_is_not_finite_names_epoch_and_batch_and_restores_the_weights():
    x, y = blobs(90)
    model = Sequential(Linear(2, 8), BatchNorm1D(8), ReLU(), Linear(8, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    poisoned = x.copy()

    class Poison:
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.good = model.state_dict(), optimizer.state_dict()
                poisoned[70] = np.nan

    callback = Poison()
    with pytest.raises(NotFiniteError, match=r"loss is nan at epoch 3, batch 3.*before this epoch"):
        quiet_fit(
            model, (poisoned, y), epochs=5, optimizer=optimizer, shuffle=False, callbacks=[callback]
        )
    assert same(callback.good[0], model.state_dict())
    assert np.array_equal(
        callback.good[1]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"]
    )
    assert all(parameter.grad is None for parameter in model.parameters())
    poisoned[70] = 0
    history = quiet_fit(model, (poisoned, y), optimizer=optimizer)
    assert np.isfinite(history["loss"][0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exploding_weights_are_detected_even_in_the_last_step():
    for n, message in ((90, "loss is .* at epoch 1, batch 2"), (32, "weights are not finite")):
        x, y = blobs(n)
        model = mlp()
        before = model.state_dict()
        with pytest.raises(ValueError, match=message):
            quiet_fit(
                model, (x * 1e30, y), optimizer=SGD(model.parameters(), lr=1e30), shuffle=False
            )
        assert same(before, model.state_dict())


def test_an_interrupt_leaves_a_usable_model():
    model = mlp().eval()

    class Interrupt:
        def on_epoch_end(self, epoch, logs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quiet_fit(model, blobs(), epochs=3, callbacks=[Interrupt()])
    assert not model.training
    assert np.isfinite(evaluate(model, blobs()).loss)


def test_an_error_in_the_middle_of_an_epoch_restores_its_start():
    model = Sequential(Linear(2, 4), BatchNorm1D(4), Linear(4, 3))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"more than one value per channel.*drop_last=True"):
        quiet_fit(model, blobs(65), batch_size=32)  # the last batch has one sample
    assert same(before, model.state_dict())


def test_drop_last_leaves_out_the_batch_that_is_not_full():
    model, (x, y) = Sequential(Linear(2, 4), BatchNorm1D(4), Linear(4, 3)), blobs(65)
    twin = model.copy()
    options = {"batch_size": 32, "shuffle": False, "epochs": 2}
    dropped = quiet_fit(model, (x, y), drop_last=True, **options)
    whole = quiet_fit(twin, (x[:64], y[:64]), **options)
    assert dropped["loss"] == whole["loss"]  # the mean over the samples that were used
    assert dropped["accuracy"] == whole["accuracy"]
    assert same(model.state_dict(), twin.state_dict())
    with pytest.raises(ValueError, match="drop_last=True leaves no batch of 100"):
        quiet_fit(model, (x, y), batch_size=100, drop_last=True)


def test_callbacks_see_each_epoch_and_cannot_change_the_history():
    seen = []

    class Listen:
        def on_epoch_end(self, epoch, logs):
            seen.append((epoch, logs["loss"]))
            logs.clear()

    history = quiet_fit(mlp(), blobs(), epochs=2, callbacks=[Listen()])
    assert seen == list(zip([1, 2], history["loss"], strict=True))


def test_metrics_may_be_names_functions_or_a_dict():
    def hits(outputs, target):
        return float((outputs.argmax(1) == target).sum())

    model, sets = mlp(), blobs()
    assert list(evaluate(model, sets)) == ["loss", "accuracy"]
    assert list(evaluate(model, sets, metrics=())) == ["loss"]
    scores = evaluate(model, sets, metrics=["accuracy", hits])
    assert scores["hits"] == pytest.approx(90 * scores.accuracy)
    assert list(evaluate(model, sets, metrics={"h": hits})) == ["loss", "h"]
    history = quiet_fit(model, sets, validation=sets, metrics=[hits])
    assert {"hits", "val_hits"} <= set(history.columns)
    with pytest.raises(ValueError, match="recal' is unknown"):
        evaluate(model, sets, metrics=["recal"])
    with pytest.raises(AttributeError, match="only loss"):
        _ = evaluate(model, sets, metrics=()).accuracy


def test_regression_has_no_accuracy():
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    model = Sequential(Linear(1, 8), Tanh(), Linear(8, 1))
    history = quiet_fit(model, (x, x), validation=(x, x), loss=MSELoss(), epochs=2)
    assert history.columns == ["epoch", "loss", "val_loss", "seconds"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": (np.zeros((0, 2)), np.zeros(0, int))}, ValueError, "0 samples"),
        ({"epochs": -1}, ValueError, "epochs=-1"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"optimizer": Adam}, TypeError, "Adam"),
        ({"optimizer": "adam"}, TypeError, "adam"),
        ({"optimizer": Adam(Linear(1, 1).parameters())}, ValueError, "no parameter of this model"),
        ({"loss": CrossEntropyLoss}, TypeError, "CrossEntropyLoss"),
        ({"callbacks": [print]}, TypeError, "on_epoch_end"),
        ({"model": ReLU()}, ValueError, "nothing to train"),
        ({"model": "lenet"}, TypeError, "str"),
        ({"seed": -1}, ValueError, "seed"),
        ({"train": np.zeros((3, 2))}, TypeError, "train"),
    ],
)
def test_bad_arguments_are_named_and_nothing_changes(options, error, message):
    model = mlp()
    before = model.state_dict()
    arguments = {"model": model, "train": blobs(), **options}
    with pytest.raises(error, match=message):
        quiet_fit(arguments.pop("model"), arguments.pop("train"), **arguments)
    assert same(before, model.state_dict())


def test_no_epochs_give_an_empty_history():
    history = quiet_fit(mlp(), blobs(), epochs=0)
    assert len(history) == 0
    assert repr(history) == "History(no epochs)"


def test_a_users_layer_and_loop_train_as_fit_does():
    x, y = blobs()
    by_hand, by_fit = mlp(), mlp()
    loss_fn, optimizer = CrossEntropyLoss(), Adam(by_hand.parameters())
    for xb, yb in data.batches((x, y), 32, shuffle=True, seed=0):
        optimizer.zero_grad()
        loss_fn(by_hand(xb), yb)
        by_hand.backward(loss_fn.backward())
        optimizer.step()
    quiet_fit(by_fit, (x, y), seed=0)
    assert same(by_hand.state_dict(), by_fit.state_dict())


def test_a_progress_bar_is_shown_on_a_terminal_if_tqdm_is_installed(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(mlp(), blobs(), epochs=1)
    assert "batch" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fit(mlp(), blobs(), epochs=1)
    out, err = capsys.readouterr()
    assert err == ""
    assert "epoch 1/1" in out


def test_a_convolutional_network_trains_in_float64_exactly_as_torch_does():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    ours = Sequential(
        Conv2D(1, 4, 3, padding=1), ReLU(), MaxPool2D(2), Flatten(), Linear(64, 10)
    ).astype("f8")
    theirs = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    ).double()
    ours.load_state_dict(theirs.state_dict())
    train, _ = data.load_digits()
    x, y = train.x[:320].astype(np.float64), train.y[:320]
    twin, losses = torch.optim.Adam(theirs.parameters(), lr=0.01), []
    for _ in range(2):
        total = 0.0
        for start in range(0, 320, 32):
            twin.zero_grad()
            loss = nn.functional.cross_entropy(
                theirs(torch.tensor(x[start : start + 32])), torch.tensor(y[start : start + 32])
            )
            loss.backward()
            twin.step()
            total += loss.item() / 10
        losses.append(total)
    history = quiet_fit(
        ours, (x, y), epochs=2, shuffle=False, optimizer=Adam(ours.parameters(), lr=0.01)
    )
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-8)
    np.testing.assert_allclose(
        ours[0].weight.data, theirs[0].weight.detach().numpy(), rtol=1e-7, atol=1e-9
    )
