"""`Residual`: the sum of body and shortcut, its gradients, errors and fused steps."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import Double64, Scale, check_gradients, images

import cnnx
from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    Identity,
    Linear,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    load,
    no_grad,
)


def block(shortcut=True):
    body = Sequential(Conv2D(4, 6, 3, stride=2, padding=1), BatchNorm2D(6), ReLU())
    body.append(Conv2D(6, 6, 3, padding=1))
    around = Sequential(Conv2D(4, 6, 1, stride=2, bias=False), BatchNorm2D(6))
    return Residual(body, around) if shortcut else Residual(Conv2D(4, 4, 3, padding=1))


def test_sum_and_gradient_match_values_computed_by_hand():
    layer = Residual(Scale(3.0), Scale(5.0))
    assert layer(np.array([1.0, 2.0])).tolist() == [8.0, 16.0]
    assert layer.backward(np.array([1.0, 10.0])).tolist() == [8.0, 80.0]
    assert layer.body.weight.grad.tolist() == [21.0] == layer.shortcut.weight.grad.tolist()
    plain = Residual(Scale(3.0))
    assert plain(np.array([1.0, 2.0])).tolist() == [4.0, 8.0]
    assert plain.backward(np.array([1.0, 10.0])).tolist() == [4.0, 40.0]


@pytest.mark.parametrize("shortcut", [True, False])
def test_gradients_match_finite_differences(shortcut):
    check_gradients(block(shortcut).astype("f8"), images(3, 4, 5, 4), 1e-5)


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_residual_matches_torch(shortcut, training):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            if shortcut:
                self.body = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
                self.body.append(nn.Conv2d(6, 6, 3, padding=1))
                self.shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
            else:
                self.body = nn.Conv2d(4, 4, 3, padding=1)
                self.shortcut = nn.Identity()

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    ours, theirs = block(shortcut).astype("f8").train(training), Twin().double().train(training)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = images(3, 4, 8, 6)
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor)
    dy = images(*expected.shape, seed=1)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours(x), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.backward(dy), tensor.grad.numpy(), rtol=1e-9, atol=1e-11)
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    assert {name for name, _ in ours.named_parameters()} == set(gradients)
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad, gradients[name], rtol=1e-9, atol=1e-11)
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name].numpy(), rtol=1e-10)


def test_gradients_of_shared_layers_and_blocks_add_up():
    shared = Linear(3, 3)
    inner = Residual(Sequential(shared, ReLU()), shared)
    check_gradients(Sequential(inner, Linear(3, 3), inner).astype("f8"), images(4, 3), 1e-5)


def test_weight_gradients_do_not_depend_on_need_dx():
    model = block().astype("f8")
    x, dy = images(2, 4, 6, 6), images(2, 6, 3, 3, seed=1)
    model(x)
    assert model.backward(dy) is not None
    whole = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    model(x)
    assert model.backward(dy, need_dx=False) is None
    for parameter, gradient in zip(model.parameters(), whole, strict=True):
        assert np.array_equal(parameter.grad, gradient)


def test_without_dx_backward_skips_a_path_without_trainable_parameters():
    model = Residual(Linear(2, 2), Linear(2, 2))
    model.shortcut.freeze()
    model(images(3, 2))
    model.shortcut.backward = None  # calling it would be a TypeError
    model.backward(images(3, 2), need_dx=False)
    assert model.body.weight.grad is not None


def test_different_output_shapes_of_the_paths_are_an_error_with_both():
    x = images(2, 4, 6, 6)
    with pytest.raises(ValueError, match=r"\(2, 6, 6, 6\).*\(2, 4, 6, 6\)"):
        Residual(Conv2D(4, 6, 3, padding=1))(x)
    with pytest.raises(ValueError, match=r"\(2, 6, 6, 6\).*\(2, 6, 3, 3\)"):
        Residual(Conv2D(4, 6, 1), Conv2D(4, 6, 1, stride=2))(x)
    with pytest.raises(ValueError, match=r"\(2, 1, 6, 6\)"):  # which NumPy would broadcast
        Residual(Conv2D(4, 1, 1))(x)


@pytest.mark.parametrize("paths", [(None,), (Linear,), (Linear(1, 1), np.abs)])
def test_a_path_that_is_not_a_layer_is_a_type_error(paths):
    with pytest.raises(TypeError, match=r"Residual: (body|shortcut) is .*expected a layer"):
        Residual(*paths)


def test_the_sum_has_the_dtype_of_the_body():
    x = images(2, 3)
    assert Residual(Linear(3, 3))(x).dtype == np.float32
    layer = Residual(Linear(3, 3), Double64())
    assert layer(x).dtype == np.float32
    assert layer.backward(x).dtype == np.float32
    assert Residual(Identity())(np.ones((2, 2), np.int64)).dtype == np.float32


def test_modes_saving_and_text(tmp_path):
    cnnx.manual_seed(0)
    model = Sequential(block(), ReLU(), Residual(Identity())).eval()
    assert not model[0].shortcut[1].training
    x = images(2, 4, 6, 6, dtype=np.float32)
    model.save(tmp_path / "model.npz")
    twin = load(tmp_path / "model.npz")
    assert repr(twin) == repr(model)
    assert "(shortcut): Sequential(" in repr(model)
    assert np.array_equal(twin(x), model(x))
    assert "0.shortcut.1.running_mean" in model.state_dict()
    assert twin[2].shortcut is None
    fresh = model.copy()
    with no_grad():
        fresh(x)
    with pytest.raises(RuntimeError, match="no forward"):
        fresh.backward(x)


def test_a_summary_lists_the_layers_of_both_paths():
    summary = Sequential(block(), ReLU()).summary((4, 8, 8))
    body, around = [f"0.body.{i}" for i in range(4)], ["0.shortcut.0", "0.shortcut.1"]
    assert [row.name for row in summary.rows] == [*around, *body, "0.add", "1"]
    assert [row.output_shape for row in summary.rows] == [(6, 4, 4)] * 8
    reads = {row.name: row.reads for row in summary.rows}
    assert reads["0.body.0"] == reads["0.shortcut.0"] == ("input",)
    assert reads["0.add"] == ("0.body.3", "0.shortcut.1")
    products = (4 * 6 * 9 + 6 * 6 * 9 + 4 * 6) * 16
    assert summary.macs == products == block().macs((4, 8, 8))
    assert summary.parameters == sum(p.size for p in block().parameters())
    assert Sequential(block(), ReLU()).macs((4, 8, 8)) == products


def test_empty_batches_and_output_shapes():
    assert block()(np.empty((0, 4, 6, 6), np.float32)).shape == (0, 6, 3, 3)
    assert block().output_shape((4, 7, 7)) == (6, 4, 4)


def _steps_of(model, x, dy):
    model.zero_grad()
    y = model(x)
    return [y, model.backward(dy), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("shortcut", [None, Conv2D(3, 3, 1)], ids=["itself", "convolution"])
@pytest.mark.parametrize("end", [Conv2D(3, 3, 3, padding=1), BatchNorm2D(3)], ids=["conv", "norm"])
@pytest.mark.parametrize("last", [ReLU(), ReLU6(), Identity()], ids=["relu", "relu6", "identity"])
def test_a_fused_sum_is_bit_identical_to_add(backend, shortcut, end, last):
    x, dy = images(4, 3, 5, 7, dtype=np.float32), images(4, 3, 5, 7, dtype=np.float32)[::-1].copy()
    body = Sequential(Conv2D(3, 3, 3, padding=1), end)
    kept_apart = Sequential(*body, Identity())
    fused, apart = (Residual(path).explain().splitlines() for path in (body, kept_apart))
    assert len(fused) == 2 and len(apart) == 4
    with cnnx.use_backend(backend):
        ends = _steps_of(Sequential(Residual(body, shortcut), last), x, dy)
        apart = _steps_of(Sequential(Residual(kept_apart, shortcut), last), x, dy)
    for a, b in zip(ends, apart, strict=True):
        np.testing.assert_array_equal(a, b)


class Loud(Conv2D):
    def forward(self, x):
        return 2 * super().forward(x)


def test_a_body_that_overrides_forward_is_not_fused():
    patched = Conv2D(3, 3, 1)
    patched.forward = lambda x: 0 * x
    x = images(2, 3, 4, 4, dtype=np.float32)
    np.testing.assert_array_equal(Residual(patched)(x), x)
    loud = Loud(3, 3, 1)
    np.testing.assert_array_equal(Residual(loud)(x), loud(x) + x)
    np.testing.assert_array_equal(Residual(Sequential(loud))(x), loud(x) + x)
