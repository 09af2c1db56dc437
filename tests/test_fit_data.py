"""fit, evaluate and predict: forms of data, accumulation, clipping, averages, sample weights."""

from __future__ import annotations

import numpy as np
import pytest
from training_helpers import Tensor, blobs, mlp, quiet_fit, same

import cnnx
from cnnx.data import batches
from cnnx.layers import BatchNorm1D, Dropout, Linear, ReLU, Sequential
from cnnx.losses import CrossEntropyLoss, Loss
from cnnx.optim import SGD


def listed(sets, size=32, seed=None):
    return list(batches(sets, size, shuffle=seed is not None, seed=seed))


@pytest.mark.parametrize(
    "form",
    [
        lambda sets: batches(sets, 32, shuffle=True, seed=3),
        lambda sets: lambda: iter(batches(sets, 32, shuffle=True, seed=3).epoch(0)),
        lambda sets: listed(sets, seed=3),
        lambda sets: iter(listed(sets, seed=3)),
        lambda sets: ([x, y] for x, y in listed(sets, seed=3)),
        lambda sets: ((Tensor(x), Tensor(y)) for x, y in listed(sets, seed=3)),
        lambda sets: ((x.tolist(), y.tolist()) for x, y in listed(sets, seed=3)),
    ],
    ids=["Batches", "function", "list", "iterator", "generator", "another library", "lists"],
)
def test_an_iterable_of_batches_trains_as_the_arrays_do(form):
    sets = blobs()
    by_arrays, by_batches = mlp(dropout=0.5), mlp(dropout=0.5)
    expected = quiet_fit(by_arrays, sets, validation=sets, seed=3)
    history = quiet_fit(by_batches, form(sets), validation=listed(sets), seed=3)
    assert same(by_arrays.state_dict(), by_batches.state_dict())
    assert history["loss"] == expected["loss"]
    assert history.columns == expected.columns
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"], rtol=1e-6)
    np.testing.assert_allclose(history["val_accuracy"], expected["val_accuracy"])


def test_methods_are_the_functions():
    sets = blobs()
    one, other = mlp(), mlp()
    quiet_fit(one, sets, seed=0)
    other.fit(*sets, seed=0, verbose=False)
    assert same(one.state_dict(), other.state_dict())
    assert one.evaluate(sets) == other.evaluate(*sets) == cnnx.evaluate(one, sets)
    assert np.array_equal(one.predict(sets[0]), cnnx.predict(one, sets[0]))


def test_evaluate_and_predict_take_batches():
    model, (x, y) = mlp(), blobs()
    whole, parts = cnnx.evaluate(model, (x, y)), cnnx.evaluate(model, listed((x, y), 7))
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    assert parts.accuracy == pytest.approx(whole.accuracy)
    loss = CrossEntropyLoss(reduction="sum")
    total = cnnx.evaluate(model, listed((x, y), 7), loss=loss).loss
    assert total == pytest.approx(90 * whole.loss, rel=1e-6)
    np.testing.assert_allclose(cnnx.predict(model, iter(listed((x, y), 7))), model.predict(x))
    np.testing.assert_allclose(
        cnnx.predict(model, (part for part in np.split(x, 9))), model.predict(x)
    )


class Count:
    """A streaming metric: the share of right answers, and the number of updates."""

    name = "hits"

    def __init__(self):
        self.reset()

    def reset(self):
        self.right, self.count, self.updates = 0.0, 0.0, 0

    def update(self, pred, target, sample_weight=None):
        weight = np.ones(len(target)) if sample_weight is None else sample_weight
        self.right += float((weight * (pred.argmax(1) == target)).sum())
        self.count += float(weight.sum())
        self.updates += 1

    def compute(self):
        return self.right / self.count


def test_streaming_metrics_see_batches_and_the_users_object_is_not_changed():
    model, sets = mlp(), blobs(90)
    metric = Count()
    scores = cnnx.evaluate(model, sets, batch_size=40, metrics=metric)
    assert list(scores) == ["loss", "hits"]
    assert scores.hits == pytest.approx(cnnx.evaluate(model, sets).accuracy)
    assert cnnx.evaluate(model, sets, metrics=[metric, "accuracy"]).hits == scores.hits
    history = quiet_fit(model, sets, validation=sets, epochs=2, metrics=[metric, "accuracy"])
    np.testing.assert_allclose(history["hits"], history["accuracy"])
    np.testing.assert_allclose(history["val_hits"], history["val_accuracy"])
    assert metric.updates == 0


def test_evaluate_with_streaming_metrics_holds_the_outputs_of_one_batch_only():
    sizes = []

    class Largest(Count):
        def update(self, pred, target, sample_weight=None):
            sizes.append(len(pred))
            super().update(pred, target)

    cnnx.evaluate(mlp(), blobs(90), batch_size=40, metrics=[Largest()])
    assert sizes == [40, 40, 10]


@pytest.mark.parametrize("form", [lambda sets: batches(sets, 30), lambda sets: listed(sets, 30)])
def test_steps_per_epoch_cuts_epochs_from_an_endless_sequence(form):
    x, y = blobs(90)
    seen = []

    class Watch(cnnx.Layer):
        def forward(self, x):
            seen.append(x[0, 0])
            return x

        def backward(self, dy):
            return dy

    model = Sequential(Watch(), mlp())
    history = quiet_fit(model, form((x, y)), epochs=2, steps_per_epoch=2)
    assert seen == [x[0, 0], x[30, 0], x[60, 0], x[0, 0]]
    assert len(history) == 2


def test_a_generator_that_ends_early_is_a_clear_error():
    sets = blobs(90)
    with pytest.raises(ValueError, match="iterated only once, but epochs is 2: give steps_per"):
        quiet_fit(mlp(), iter(listed(sets)), epochs=2)
    with pytest.raises(ValueError, match=r"validation is a .*iterator.* only once.*: give a list"):
        quiet_fit(mlp(), sets, validation=iter(listed(sets)), epochs=2)
    with pytest.raises(ValueError, match="ended after 1 of 2 batches of epoch 2") as caught:
        quiet_fit(mlp(), iter(listed(sets)), epochs=2, steps_per_epoch=2)
    assert len(caught.value.history) == 1
    with pytest.raises(ValueError, match="train has no batches"):
        quiet_fit(mlp(), iter([]))
    with pytest.raises(TypeError, match=r"batch 1 is a ndarray, expected \(x, y\)"):
        quiet_fit(mlp(), iter([np.zeros((3, 2))]))
    with pytest.raises(ValueError, match="augment is for arrays"):
        quiet_fit(mlp(), listed(sets), augment=lambda x, y, rng: (x, y))


def test_augmentation_changes_the_batches_and_any_number_of_workers_gives_the_same_bits():
    def shift(x, y, rng):
        return x + rng.normal(size=x.shape).astype(x.dtype), y

    states = []
    for options in ({}, {"augment": shift}, {"augment": shift, "workers": 2}):
        model = mlp()
        quiet_fit(model, blobs(), seed=1, epochs=2, **options)
        states.append(model.state_dict())
    assert not same(states[0], states[1])
    assert same(states[1], states[2])


def grads_of_a_step(model, sets, size, **options):
    """The change of the weights in one step of plain SGD with rate 1: minus the gradient."""
    before = model.state_dict()
    optimizer = SGD(model.parameters(), lr=1.0)
    quiet_fit(model, sets, batch_size=size, shuffle=False, optimizer=optimizer, seed=0, **options)
    return {name: before[name] - a for name, a in model.state_dict().items()}


@pytest.mark.parametrize(("n", "size", "k"), [(96, 24, 4), (90, 32, 3), (50, 20, 5)])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_the_gradients_of_several_batches_add_up_to_that_of_the_large_batch(n, size, k, weight):
    loss = CrossEntropyLoss(weight=weight)
    large = grads_of_a_step(mlp(), blobs(n), n, loss=loss)
    added = grads_of_a_step(mlp(), blobs(n), size, accumulate=k, loss=loss)
    for name, gradient in large.items():
        # Sums of n products of size below 8, in another order.
        np.testing.assert_allclose(added[name], gradient, rtol=0, atol=n * 8 * 2**-24)


def test_a_group_that_is_not_full_steps_too_and_sums_are_not_scaled():
    steps = []

    class Counted(SGD):
        def step(self):
            steps.append(self.parameters()[0].grad.copy())
            super().step()

    def run(loss, size, **options):
        steps.clear()
        model = mlp()
        optimizer = Counted(model.parameters(), lr=0.0)
        quiet_fit(
            model,
            blobs(90),
            batch_size=size,
            shuffle=False,
            optimizer=optimizer,
            loss=loss,
            **options,
        )
        return list(steps)

    assert len(run(None, 30, accumulate=2)) == 2
    [whole] = run(CrossEntropyLoss(reduction="sum"), 90)
    [added] = run(CrossEntropyLoss(reduction="sum"), 30, accumulate=8)
    np.testing.assert_allclose(added, whole, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="accumulate=0"):
        quiet_fit(mlp(), blobs(), accumulate=0)


def test_gradients_are_clipped_before_the_step():
    moved = grads_of_a_step(mlp(), blobs(90), 90, clip_grad_norm=1e-3)
    norm = np.sqrt(sum(float((g.astype("f8") ** 2).sum()) for g in moved.values()))
    assert norm == pytest.approx(1e-3, rel=1e-2)
    moved = grads_of_a_step(mlp(), blobs(90), 90, clip_grad_value=1e-3)
    assert max(np.abs(g).max() for g in moved.values()) == pytest.approx(1e-3, rel=1e-2)
    with pytest.raises(ValueError, match="clip_grad_norm=-1"):
        quiet_fit(mlp(), blobs(), clip_grad_norm=-1)


class Averages:
    """An average of weights of the agreed form, in plain NumPy."""

    def __init__(self, model):
        self.model, self.average = model, model.state_dict()

    def update(self):
        for name, value in self.model.state_dict().items():
            self.average[name] = (0.5 * self.average[name] + 0.5 * value).astype(value.dtype)

    def averaged(self):
        from contextlib import contextmanager

        @contextmanager
        def swapped():
            raw = self.model.state_dict()
            self.model.load_state_dict(self.average)
            try:
                yield
            finally:
                self.model.load_state_dict(raw)

        return swapped()

    def copy_to_model(self):
        self.model.load_state_dict(self.average)

    def state_dict(self):
        return {"average": dict(self.average)}

    def load_state_dict(self, state):
        self.average = dict(state["average"])


def test_averaged_weights_are_validated_and_kept():
    sets = blobs(90)
    plain, model = mlp(), mlp()
    quiet_fit(plain, sets, epochs=2, seed=0)
    ema = Averages(model)
    history = quiet_fit(model, sets, validation=sets, epochs=2, seed=0, ema=ema)
    assert same(model.state_dict(), ema.average)
    assert not same(model.state_dict(), plain.state_dict())
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(sets).loss)


def test_an_error_within_an_epoch_restores_the_averages_too():
    x, y = blobs(90)
    bad = [(x[:30], y[:30]), (x[30:60], y[30:60] + 7)]
    model = mlp()
    ema = Averages(model)
    before = model.state_dict()
    with pytest.raises(ValueError, match="with 3 classes"):
        quiet_fit(model, bad, ema=ema)
    assert same(model.state_dict(), before)
    assert same(ema.average, before)


class WeightedSquares(Loss):
    """Half the weighted mean of the squared errors, with the agreed arguments of losses."""

    def __call__(self, pred, target, sample_weight=None):
        weight = np.ones(len(pred)) if sample_weight is None else np.asarray(sample_weight)
        weight = weight[:, None] / max(weight.sum(), 1e-30)  # a batch may weigh nothing
        self._gradient = (weight * (pred - target)).astype(pred.dtype)
        return float((weight * (pred - target) ** 2).sum() / 2)

    def share(self, target, shape, sample_weight=None):
        return float(len(target) if sample_weight is None else np.sum(sample_weight))


def test_sample_weights_are_factors_of_the_samples_in_every_form():
    x = blobs(60)[0]
    y, weight = x[:, :1] ** 2, np.r_[np.full(30, 2.0), np.full(20, 1.0), np.zeros(10)]
    repeated = np.r_[0:30, 0:30, 30:50]  # a weight of 2 is a sample that occurs twice

    def run(data, **options):
        cnnx.manual_seed(0)
        model = Sequential(Linear(2, 4), ReLU(), Linear(4, 1))
        loss = WeightedSquares()
        history = quiet_fit(model, data, loss=loss, epochs=2, shuffle=False, **options)
        return history["loss"], model

    losses, twin = run((x[repeated], y[repeated]), batch_size=80)
    for form in (
        {"data": (x, y, weight), "batch_size": 60},
        {"data": (x, y), "sample_weight": weight, "batch_size": 60},
        {"data": [(x, y, weight)]},
        {"data": (x, y, weight), "batch_size": 20, "accumulate": 3},
        {"data": (x, y, weight), "batch_size": 25, "accumulate": 4},
    ):
        found, model = run(**form)
        np.testing.assert_allclose(found, losses, rtol=1e-5)
        scores = model.evaluate((x, y, weight), loss=WeightedSquares())
        plain = twin.evaluate((x[repeated], y[repeated]), loss=WeightedSquares())
        assert scores.loss == pytest.approx(plain.loss, rel=1e-4)
    with pytest.raises(ValueError, match="it has weights already"):
        run((x, y, weight), sample_weight=weight)
    with pytest.raises(ValueError, match="nothing to train"):
        run((x, y, 0 * weight))
    with pytest.raises(ValueError, match=r"sample_weight has shape \(9,\)"):
        run((x, y), sample_weight=weight[:9])


def test_batch_norm_sees_the_batches_of_a_group_one_by_one():
    model = Sequential(Linear(2, 4), BatchNorm1D(4), Dropout(0.0), Linear(4, 3))
    quiet_fit(model, blobs(90), batch_size=30, accumulate=3)
    assert model[1].num_batches_tracked == 3
