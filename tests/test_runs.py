"""Train and eval mode belong to a run: using a model does not affect its other users."""

from __future__ import annotations

import ast
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from layer_helpers import images
from training_helpers import blobs, mlp

import cnnx
from cnnx import random
from cnnx.layers import (
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    no_grad,
    run_mode,
)

PACKAGE = Path(cnnx.__file__).parent


def noisy():
    """A model whose outputs and statistics depend on its mode at several depths."""
    random.manual_seed(0)
    body = Sequential(Conv2D(4, 4, 3, padding=1), BatchNorm2D(4), Dropout(0.5))
    return Sequential(
        Conv2D(1, 4, 3), BatchNorm2D(4), ReLU(), Residual(body), ReLU(), MaxPool2D(2), Flatten(),
        Dropout(0.5), Linear(36, 5),
    )  # fmt: skip


def everything(model):
    """The observable state of a model: arrays and modes, and the attribute names of its layers,
    except the plan of a container's steps, which is determined by its layers.
    """
    modes = [layer.training for layer in model.modules()]
    return model.state_dict(), modes, [vars(layer).keys() - {"_plan"} for layer in model.modules()]


def assert_unchanged(model, before):
    arrays, modes, held = everything(model)
    assert modes == before[1]
    assert held == before[2]
    for name, array in arrays.items():
        assert np.array_equal(array, before[0][name]), name


def test_four_threads_predict_with_one_model_in_train_mode():
    model, batches = noisy(), [images(40, 1, 8, 8, seed=s, dtype=np.float32) for s in range(4)]
    expected = [model.copy().eval()(x) for x in batches]
    before = everything(model)
    start = threading.Barrier(4)

    def work(x):
        start.wait()
        return [cnnx.predict(model, x, batch_size=16) for _ in range(60)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(work, batches))
    for mine, right in zip(answers, expected, strict=True):
        assert all(np.array_equal(answer, right) for answer in mine)
    assert_unchanged(model, before)


class Keeping(Layer):
    """A user-defined layer that saves values with `_save`, and reads its mode."""

    def forward(self, x):
        factor = np.float32(3 if self.training else 2)
        self._save(x, factor)
        return factor * x * x

    def backward(self, dy):
        x, factor = self._saved()
        return 2 * factor * x * dy


class Body(Layer):
    """A user-defined layer that calls sub-layers."""

    def __init__(self):
        self.body = Sequential(Linear(16, 16), BatchNorm1D(16), Dropout(0.3))

    def forward(self, x):
        return self.body(x)

    def backward(self, dy):
        return self.body.backward(dy)


def trained(beside):
    """The weights after training, while `beside(model, stop)` runs in another thread."""
    random.manual_seed(1)
    model = Sequential(
        Linear(2, 16), BatchNorm1D(16), ReLU(), Dropout(0.4), Keeping(), Body(), Linear(16, 3)
    )
    stop, errors = threading.Event(), []

    def guarded():
        try:
            beside(model, stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    train, held_out = blobs(240), blobs(30, seed=1)
    try:
        history = cnnx.fit(
            model, train, validation=held_out, epochs=6, batch_size=16, seed=0, verbose=False
        )
    finally:
        stop.set()
        thread.join()
    assert not errors
    return model, history["loss"], history["val_loss"]


def test_predicting_in_another_thread_does_not_affect_fit():
    calls = []

    def predict(model, stop):
        x, names = blobs(50, seed=3)[0], model.state_dict().keys()
        while not stop.is_set():
            assert np.isfinite(cnnx.predict(model, x, batch_size=20)).all()
            assert np.isfinite(cnnx.evaluate(model, (x, np.zeros(50, int))).loss)
            assert model.output_shape((2,)) == (3,)
            assert pickle.loads(pickle.dumps(model)).state_dict().keys() == names
            calls.append(model.training)

    def count(model, stop):
        return None

    alone, disturbed = trained(count), trained(predict)
    assert len(calls) > 3 and all(calls)
    assert alone[1:] == disturbed[1:]
    for name, array in alone[0].state_dict().items():
        assert np.array_equal(array, disturbed[0].state_dict()[name]), name


def test_inside_no_grad_forward_does_not_modify_any_layer():
    model, x = Sequential(noisy(), Keeping()).eval(), images(4, 1, 8, 8, dtype=np.float32)
    model(x)
    before = [dict(vars(layer)) for layer in model.modules()]
    with no_grad():
        model(x)
    for layer, was in zip(model.modules(), before, strict=True):
        assert vars(layer).keys() == was.keys()
        # Except the plan for runs that save nothing, which is made in the first one.
        assert all(vars(layer)[name] is was[name] for name in was.keys() - {"_plan"})


def test_a_forward_in_no_grad_preserves_the_saved_values_of_the_previous_one():
    """As in PyTorch, where the graph of the first forward still exists."""
    model, x = Sequential(Linear(2, 2), Keeping()), images(3, 2, dtype=np.float32)
    model(x)
    expected = model.copy()
    expected(x)
    with no_grad():
        model(images(5, 2, seed=9, dtype=np.float32))
    dy = np.ones((3, 2), np.float32)
    assert np.array_equal(model.backward(dy), expected.backward(dy))


def test_the_mode_of_a_run_is_read_by_every_layer_and_stored_in_none():
    model = noisy()
    model[1].eval()
    own = [layer.training for layer in model.modules()]
    held = [dict(vars(layer)) for layer in model.modules()]
    for mode in (False, True):
        with run_mode(mode):
            assert {layer.training for layer in model.modules()} == {mode}
            with run_mode(None):  # each layer's own mode
                assert [layer.training for layer in model.modules()] == own
            assert model.training is mode
    assert [dict(vars(layer)) for layer in model.modules()] == held
    with pytest.raises(TypeError, match="run_mode: training is 'eval', expected True, False or No"):
        run_mode("eval").__enter__()


def test_the_mode_of_a_run_belongs_to_its_thread():
    model, seen = noisy(), []
    with run_mode(False):
        thread = threading.Thread(target=lambda: seen.append(model.training))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_layers_mode_survives_copies_pickles_files_and_old_pickles(tmp_path):
    model = noisy()
    model.training = False
    model[1].training = False
    own = [layer.training for layer in model.modules()]
    assert own[0] is False and own[1] is True and own[2] is False
    path = tmp_path / "model.npz"
    with run_mode(True):  # the mode of a run is not copied
        copies = [model.copy(), pickle.loads(pickle.dumps(model))]
    model.save(path)
    for twin in (*copies, cnnx.load(path)):
        assert [layer.training for layer in twin.modules()] == own
    old = Linear.__new__(Linear)
    old.__dict__.update({**vars(Linear(2, 2)), "training": False})  # as pickles hold it
    assert old.training is False
    assert old.train().training is True


def test_a_mode_set_by_a_class_is_the_mode_of_its_layers():
    class Off(Dropout):
        training = False

    @dataclass(eq=False)
    class Data(Layer):
        factor: float = 2.0
        training: bool = True

    off, on = Off(0.5), Data()
    assert (off.training, on.training, Off.training, Data.training) == (False, True, False, True)
    with run_mode(True):
        assert off.training and on.training
    with run_mode(False):
        assert not on.training
    assert off.train().training and not on.eval().training and not Off(0.5).training


def test_a_model_saved_in_a_run_has_the_mode_of_the_run(tmp_path):
    model = noisy()
    with run_mode(False):
        model.save(tmp_path / "model.npz")
    assert not any(layer.training for layer in cnnx.load(tmp_path / "model.npz").modules())
    assert all(layer.training for layer in model.modules())


def test_fit_trains_a_model_in_eval_mode_and_writes_no_mode():
    seen = []

    class Look(Layer):
        def forward(self, x):
            seen.append((self.training, vars(self).get("training", True)))
            return x

        def backward(self, dy):
            return dy

    x, y = blobs(20)
    model = Sequential(Look(), Linear(2, 3)).eval()
    cnnx.fit(model, (x, y), batch_size=20, validation=(x, y), verbose=False)
    assert seen == [(True, False), (False, False)]


def test_callbacks_of_fit_see_the_modes_that_the_user_set():
    modes = []

    class Callback:
        def on_epoch_end(self, epoch, logs):
            modes.append(model.training)
            model[2].eval()  # from the next epoch on its noise is off

    model = mlp(dropout=0.5)
    assert isinstance(model[2], Dropout)
    cnnx.fit(model, blobs(), epochs=2, verbose=False, callbacks=[Callback()])
    assert modes == [True, True]
    assert not model[2].training
    model.eval()
    modes.clear()
    cnnx.fit(model, blobs(), epochs=1, verbose=False, callbacks=[Callback()])
    assert modes == [False]


def _writers():
    """(file, function) of all code in cnnx that assigns an attribute `training`, or calls a method
    that does."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [
            node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))
        ]
        for node in ast.walk(tree):
            stores = isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del))
            named = stores and node.attr == "training"
            text = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr")
            named = named or (text and "'training'" in ast.unparse(node))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = named or node.func.attr in ("train", "eval", "set_training")
            if named:
                inside = [f for f in functions if node in ast.walk(f)]
                yield name, getattr(inside[-1], "name", "lambda") if inside else ""


def test_only_train_and_eval_write_a_mode():
    """The rest of cnnx sets the mode of a run; it may switch models that it created itself."""
    assert set(_writers()) == {
        ("layers/base.py", "train"),
        ("layers/base.py", "eval"),
        ("layers/base.py", "__init_subclass__"),  # the default of a class
        ("layers/files.py", "_build"),  # the modes of the file, for the new model
        ("viz/attention.py", "_to_the_score"),  # a copy
        ("testing/overfit.py", "overfit_one_batch"),  # trains a copy
        ("testing/trial.py", "__init__"),  # a copy
        ("engine/graphs.py", "graph_of"),  # a new graph of copied layers
        ("engine/files.py", "build"),  # a new graph
        ("onnx/builder.py", "graph"),  # a new graph
        ("bench/twins.py", "module"),  # PyTorch's network
        ("bench/workloads.py", "_predict"),  # a new model
        ("compat/network/containers.py", "__init__"),  # that dialect's own train() and eval()
        ("compat/network/containers.py", "_set_training"),
        ("compat/network/base.py", "set_training"),
        ("compat/network/checkpoint.py", "_rebuilt"),
        ("examples/cs231n_convnet.py", "main"),  # Solver.train(), which trains
        ("examples/fine_tuning.py", "start"),  # a copy
    }
