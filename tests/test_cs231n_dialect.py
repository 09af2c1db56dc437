"""cnnx.compat.cs231n against the same formulas in plain NumPy."""

from __future__ import annotations

import doctest
import importlib
import random

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import cs231n as plain

from cnnx.compat import cs231n

MODULES = [
    *("layers", "normalization", "windows", "fast_layers", "layer_utils"),
    *("optim", "im2col", "gradient_check", "solver", "_numbers"),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pool(height, width, stride):
    return {"pool_height": height, "pool_width": width, "stride": stride}


POOLED = np.random.default_rng(3).integers(0, 3, (2, 3, 6, 8)).astype(float)  # full of ties
LAYERS = {
    "affine": (normal(4, 2, 3), normal(6, 5), normal(5)),
    "relu": (normal(4, 5),),
    "layernorm": (normal(4, 6), normal(6), normal(6, seed=1), {}),
    "layernorm of eps": (normal(4, 6), normal(6), normal(6, seed=1), {"eps": 0.5}),
    "spatial_groupnorm": (normal(3, 6, 2, 4), normal(1, 6, 1, 1), normal(1, 6, 1, 1), 2, {}),
    "spatial_groupnorm by channel": (normal(3, 4, 2, 4), normal(1, 4, 1, 1), 0.0, 4, {}),
    "spatial_groupnorm of one group": (normal(2, 4, 3, 3), normal(1, 4, 1, 1), 0.0, 1, {}),
}
WINDOWS = {
    "conv naive": (normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4), {"stride": 1, "pad": 1}),
    "conv naive strided": (
        normal(2, 3, 7, 7),
        normal(4, 3, 3, 3),
        normal(4),
        {"stride": 2, "pad": 0},
    ),
    "conv im2col": (normal(3, 2, 8, 8), normal(5, 2, 5, 5), normal(5), {"stride": 1, "pad": 2}),
    "max_pool naive": (POOLED, pool(2, 2, 2)),
    "max_pool naive overlapping": (POOLED, pool(3, 2, 1)),
    "max_pool reshape": (POOLED, pool(2, 2, 2)),
    "max_pool fast": (POOLED, pool(2, 2, 2)),
    "max_pool fast of other windows": (POOLED, pool(2, 3, 2)),
}


def both_ways(m, layer, arguments, variant=""):
    """The output, then the gradients for a random gradient of the output."""
    suffix = f"_{variant}" if variant else ""
    out, cache = getattr(m, f"{layer}_forward{suffix}")(*arguments)
    gradients = getattr(m, f"{layer}_backward{suffix}")(normal(*out.shape, seed=9), cache)
    return [out, *(gradients if isinstance(gradients, tuple) else (gradients,))]


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_forward_and_backward(name):
    layer = name.split()[0]
    for ours, theirs in zip(
        both_ways(cs231n, layer, LAYERS[name]), both_ways(plain, layer, LAYERS[name]), strict=True
    ):
        same(ours, theirs)


@pytest.mark.parametrize("name", WINDOWS)
def test_convolution_and_pooling(name):
    layer, variant = name.split()[:2]
    ours = both_ways(cs231n, layer, WINDOWS[name], variant)
    for a, e in zip(ours, both_ways(plain, layer, WINDOWS[name], variant), strict=True):
        same(a, e)


def test_the_four_variants_of_the_course_give_the_same_results():
    for variant in ("im2col", "strides", "fast"):
        assert getattr(cs231n, f"conv_forward_{variant}") is cs231n.conv_forward_naive
        assert getattr(cs231n, f"conv_backward_{variant}") is cs231n.conv_backward_naive
    assert cs231n.max_pool_forward_im2col is cs231n.max_pool_forward_naive
    assert cs231n.max_pool_backward_im2col is cs231n.max_pool_backward_naive


@pytest.mark.parametrize(
    "layer, shape", [("batchnorm", (8, 5)), ("spatial_batchnorm", (4, 5, 3, 2))]
)
def test_batch_norm_keeps_its_statistics_in_the_dictionary(layer, shape):
    gamma, beta, parameters = normal(5), normal(5, seed=1), []
    for m in (cs231n, plain):
        bn_param = {"mode": "train", "momentum": 0.7, "eps": 1e-3}
        rounds = []
        for seed in range(3):
            rounds += both_ways(m, layer, (normal(*shape, seed=seed), gamma, beta, bn_param))
        bn_param["mode"] = "test"
        forward = getattr(m, f"{layer}_forward")
        rounds.append(forward(normal(*shape, seed=5), gamma, beta, bn_param)[0])
        parameters.append([*rounds, bn_param["running_mean"], bn_param["running_var"]])
    for ours, theirs in zip(*parameters, strict=True):
        same(ours, theirs)


def test_a_batch_of_one_normalises_to_beta():
    gamma, beta = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    out, cache = cs231n.batchnorm_forward(normal(1, 2), gamma, beta, {"mode": "train"})
    assert out.tolist() == [[5.0, 7.0]]
    dx, dgamma, dbeta = cs231n.batchnorm_backward(np.ones((1, 2)), cache)
    assert dbeta.tolist() == [1.0, 1.0] and not dgamma.any() and not dx.any()


@pytest.mark.parametrize("mode", ["train", "test"])
def test_dropout_draws_from_np_random(mode):
    results = []
    for m in (cs231n, plain):
        np.random.seed(4)
        rounds = both_ways(m, "dropout", (normal(5, 6), {"p": 0.3, "mode": mode}))
        rounds += both_ways(m, "dropout", (normal(5, 6), {"p": 0.3, "mode": mode, "seed": 8}))
        results.append([*rounds, np.random.rand(2)])
    for ours, theirs in zip(*results, strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("loss", ["softmax_loss", "svm_loss"])
def test_losses_and_their_gradients(loss):
    x, y = 3 * normal(6, 4), np.array([0, 3, 2, 1, 1, 0])
    value, dx = getattr(cs231n, loss)(x, y)
    expected, gradient = getattr(plain, loss)(x, y)
    assert value == pytest.approx(expected, rel=1e-12)
    same(dx, gradient)


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 3, 3), (5,)])
def test_an_update_rule_and_its_state(rule, shape):
    results = []
    for m in (cs231n, plain):
        w, config, rounds = normal(*shape), {}, []
        for seed in range(4):
            w, config = getattr(m, rule)(w, normal(*shape, seed=seed), config)
            rounds.append(w.copy())
        results.append((rounds, config))
    (ours, config), (theirs, expected) = results
    for a, e in zip(ours, theirs, strict=True):
        same(a, e)
    assert config.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(config[name], value, rtol=1e-12, atol=1e-15)


def test_an_update_rule_does_not_change_its_arguments_except_sgd():
    w, dw, v = np.ones(3), np.ones(3), np.full(3, 0.5)
    for rule, state in (("sgd_momentum", "velocity"), ("rmsprop", "cache"), ("adam", "m")):
        next_w, _ = getattr(cs231n, rule)(w, dw, {state: v})
        assert next_w is not w and (w == 1).all() and (v == 0.5).all()
    assert cs231n.sgd(w, dw)[0] is w and (w == 0.99).all()


def test_float32_networks_compute_in_float32():
    x, w, b = (normal(*s).astype(np.float32) for s in ((2, 3, 4, 4), (5, 3, 3, 3), (5,)))
    out, cache = cs231n.conv_relu_forward(x, w, b, {"stride": 1, "pad": 1})
    assert out.dtype == np.float32
    assert all(g.dtype == np.float32 for g in cs231n.conv_relu_backward(out, cache))
    assert cs231n.adam(w, w)[0].dtype == np.float32
    assert (
        cs231n.conv_forward_fast(x, w.astype(float), b, {"stride": 1, "pad": 1})[0].dtype == float
    )


@pytest.mark.parametrize("padding, stride", [(0, 1), (1, 2)])
def test_columns_have_the_order_of_the_course(padding, stride):
    x = normal(2, 3, 5, 7)
    cols = cs231n.im2col_indices(x, 3, 3, padding, stride)
    same(cols, plain.im2col_indices(x, 3, 3, padding, stride))
    same(cs231n.im2col_cython(x, 3, 3, padding, stride), cols)
    k, i, j = cs231n.get_im2col_indices(x.shape, 3, 3, padding, stride)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    same(padded[:, k, i, j].transpose(1, 2, 0).reshape(len(cols), -1), cols)
    # The adjoint: <im2col(x), c> = <x, col2im(c)>.
    c = normal(*cols.shape, seed=1)
    back = cs231n.col2im_indices(c, x.shape, 3, 3, padding, stride)
    assert np.vdot(cols, c) == pytest.approx(np.vdot(x, back), rel=1e-12)
    same(cs231n.col2im_cython(c, *x.shape, 3, 3, padding, stride), back)
    oh, ow = (5 + 2 * padding - 3) // stride + 1, (7 + 2 * padding - 3) // stride + 1
    six = c.reshape(3, 3, 3, oh, ow, 2).transpose(0, 1, 2, 5, 3, 4)
    same(cs231n.col2im_6d_cython(six, *x.shape, 3, 3, padding, stride), back)


def network(m):
    """A convolutional network of the course: conv - batch norm - relu - pool - affine, dropout."""

    class Network:
        def __init__(self):
            self.params = {
                "W1": 0.3 * np.random.randn(4, 2, 3, 3),
                "b1": np.zeros(4),
                "gamma": np.ones(4),
                "beta": np.zeros(4),
                "W2": 0.3 * np.random.randn(64, 3),
                "b2": np.zeros(3),
            }
            self.bn_param = {"mode": "train"}

        def loss(self, X, y=None):
            p, mode = self.params, "test" if y is None else "train"
            self.bn_param["mode"] = mode
            conv_param, pool_param = {"stride": 1, "pad": 1}, pool(2, 2, 2)
            a, conv = m.conv_forward_naive(X, p["W1"], p["b1"], conv_param)
            a, norm = m.spatial_batchnorm_forward(a, p["gamma"], p["beta"], self.bn_param)
            a, relu = m.relu_forward(a)
            a, pooled = m.max_pool_forward_fast(a, pool_param)
            a, drop = m.dropout_forward(a, {"p": 0.8, "mode": mode})
            scores, affine = m.affine_forward(a, p["W2"], p["b2"])
            if y is None:
                return scores
            loss, d = m.softmax_loss(scores, y)
            grads = {}
            d, grads["W2"], grads["b2"] = m.affine_backward(d, affine)
            d = m.relu_backward(m.max_pool_backward_fast(m.dropout_backward(d, drop), pooled), relu)
            d, grads["gamma"], grads["beta"] = m.spatial_batchnorm_backward(d, norm)
            _, grads["W1"], grads["b1"] = m.conv_backward_naive(d, conv)
            return loss, grads

    return Network()


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
def test_a_solver_follows_the_course_and_leaves_the_same_random_stream(rule):
    y = np.array([0, 1, 2] * 8)
    X = normal(24, 2, 8, 8) + y[:, None, None, None]
    data = {"X_train": X[:20], "y_train": y[:20], "X_val": X[20:], "y_val": y[20:]}
    results = []
    for m in (cs231n, plain):
        np.random.seed(11)
        settings = {"batch_size": 4, "num_epochs": 4, "num_train_samples": 10, "lr_decay": 0.9}
        config = {"learning_rate": 3e-3}
        quiet = {"verbose": False} if m is cs231n else {}
        solver = m.Solver(
            network(m), data, update_rule=rule, optim_config=config, **settings, **quiet
        )
        solver.train()
        results.append((solver, np.random.rand(3)))
    (ours, drawn), (theirs, expected) = results
    assert len(ours.loss_history) == 20 and len(ours.val_acc_history) == 5
    np.testing.assert_allclose(ours.loss_history, theirs.loss_history, rtol=1e-6)
    assert ours.train_acc_history == theirs.train_acc_history
    assert ours.val_acc_history == theirs.val_acc_history
    for name, w in theirs.model.params.items():
        same(ours.model.params[name], w, 1e-7)
    assert drawn.tolist() == expected.tolist()


def small_solver(**settings):
    X, y = normal(8, 2, 8, 8), np.array([0, 1] * 4)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    return cs231n.Solver(network(cs231n), data, batch_size=4, num_epochs=2, **settings)


def test_a_solver_prints_the_lines_of_the_course(capsys):
    solver = small_solver(print_every=2)
    solver.train()
    lines = capsys.readouterr().out.splitlines()
    losses, train, val = solver.loss_history, solver.train_acc_history, solver.val_acc_history
    assert lines == [
        f"(Iteration 1 / 4) loss: {losses[0]:f}",
        f"(Epoch 0 / 2) train acc: {train[0]:f}; val_acc: {val[0]:f}",
        f"(Epoch 1 / 2) train acc: {train[1]:f}; val_acc: {val[1]:f}",
        f"(Iteration 3 / 4) loss: {losses[2]:f}",
        f"(Epoch 2 / 2) train acc: {train[2]:f}; val_acc: {val[2]:f}",
    ]


def test_checkpoints_come_back_without_pickle(tmp_path, capsys):
    solver = small_solver(checkpoint_name=str(tmp_path / "net"), verbose=False)
    solver.train()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"net_epoch_{epoch}.npz" for epoch in range(3)
    ]
    found = cs231n.load_checkpoint(tmp_path / "net_epoch_2.npz")
    assert found["epoch"] == 2 and found["loss_history"] == solver.loss_history
    assert found["params"].keys() == solver.model.params.keys()
    (tmp_path / "old.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match="pickle"):
        cs231n.load_checkpoint(tmp_path / "old.pkl")


def test_numerical_gradients_agree_with_the_layers(capsys):
    x, w, b = normal(2, 2, 4, 4), normal(3, 2, 3, 3), normal(3)
    conv_param, dout = {"stride": 1, "pad": 1}, normal(2, 3, 4, 4, seed=2)
    _, cache = cs231n.conv_forward_fast(x, w, b, conv_param)
    gradients = cs231n.conv_backward_fast(dout, cache)
    calls = (
        lambda v: cs231n.conv_forward_fast(v, w, b, conv_param)[0],
        lambda v: cs231n.conv_forward_fast(x, v, b, conv_param)[0],
        lambda v: cs231n.conv_forward_fast(x, w, v, conv_param)[0],
    )
    for call, value, gradient in zip(calls, (x, w, b), gradients, strict=True):
        numerical = cs231n.eval_numerical_gradient_array(call, value, dout)
        assert cs231n.rel_error(numerical, gradient) < 1e-6
    y = np.array([1, 0])
    scores = normal(2, 3)
    _, dx = cs231n.softmax_loss(scores, y)
    slopes = cs231n.eval_numerical_gradient(lambda v: cs231n.softmax_loss(v, y)[0], scores)
    assert cs231n.rel_error(slopes, dx) < 1e-6
    assert capsys.readouterr().out.count("\n") == scores.size
    random.seed(0)
    cs231n.grad_check_sparse(lambda v: cs231n.softmax_loss(v, y)[0], scores, dx, num_checks=3)
    errors = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(errors) == 3 and max(errors) < 1e-6


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: cs231n.affine_forward([[1.0]], np.ones((2, 1)), [0.0]), ValueError, r"\(1, 1\)"),
        (lambda: cs231n.relu_forward(["a"]), TypeError, "relu_forward expects numbers"),
        (
            lambda: cs231n.batchnorm_forward([[1.0]], [1.0], [0.0], {"mode": "eval"}),
            ValueError,
            "'eval', expected",
        ),
        (
            lambda: cs231n.dropout_forward([1.0], {"p": 0, "mode": "train"}),
            ValueError,
            "p=0, expected above 0",
        ),
        (lambda: cs231n.dropout_forward([1.0], {"p": 1, "mode": "x"}), ValueError, "mode is 'x'"),
        (
            lambda: cs231n.spatial_groupnorm_forward(normal(1, 3, 2, 2), 1.0, 0.0, 2, {}),
            ValueError,
            "G=2 does not divide 3",
        ),
        (
            lambda: cs231n.max_pool_forward_reshape(POOLED, pool(3, 3, 2)),
            ValueError,
            "do not tile",
        ),
        (lambda: cs231n.softmax_loss([[1.0, 2.0]], [2]), ValueError, "2"),
        (lambda: cs231n.adam(np.ones(2), np.ones(3)), ValueError, r"\(2,\), but dw \(3,\)"),
        (lambda: cs231n.adam(np.ones(2), np.ones(2), {"m": [0.0]}), ValueError, r"state \(1,\)"),
        (lambda: cs231n.col2im_indices(np.ones((1, 3)), (2, 1, 1, 1)), ValueError, r"\(1, 3\)"),
        (lambda: small_solver(epochs=3), ValueError, "Unrecognized arguments 'epochs'"),
        (lambda: small_solver(update_rule="lbfgs"), ValueError, 'Invalid update_rule "lbfgs"'),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_page_runs_with_its_import_lines_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path, 400)
    old, imports, idiomatic = page("cs231n")
    names = run(with_new_imports(old, imports))
    assert names["solver"].best_val_acc > 0.85
    assert run(idiomatic)["accuracy"] > 0.9


@pytest.mark.parametrize("name", ["", *(f".{module}" for module in MODULES)])
def test_the_examples_run(name):
    found = doctest.testmod(
        importlib.import_module(f"cnnx.compat.cs231n{name}"), optionflags=doctest.ELLIPSIS
    )
    assert not found.failed and (found.attempted or name == ".solver")
