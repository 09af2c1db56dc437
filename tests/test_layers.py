"""Layers: hand-computed values, dtypes, and forward and backward against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import Double64, Scale, check_against_torch, check_gradients, images

import cnnx
from cnnx import init, random
from cnnx.layers import (
    ELU,
    GELU,
    Activation,
    AdaptiveAvgPool2D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    ConvTranspose2D,
    Dropout,
    Dropout2D,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    Identity,
    InstanceNorm2D,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool2D,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Upsample,
    ZeroPad2D,
)

# -- against PyTorch -------------------------------------------------------------------------------

TWINS = [
    (Conv2D(4, 6, 3), "Conv2d(4, 6, 3)", (3, 4, 7, 6)),
    (Conv2D(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), groups=2, bias=False),
     "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), groups=2, bias=False)", (3, 4, 7, 6)),
    (Conv2D(4, 4, 3, padding="same", dilation=2, groups=4),
     "Conv2d(4, 4, 3, padding='same', dilation=2, groups=4)", (3, 4, 7, 6)),
    (Conv2D(4, 5, 1, padding="valid"), "Conv2d(4, 5, 1, padding='valid')", (3, 4, 7, 6)),
    (ConvTranspose2D(4, 6, 3), "ConvTranspose2d(4, 6, 3)", (3, 4, 7, 6)),
    (ConvTranspose2D(4, 6, (3, 2), (2, 3), (1, 2), (1, 0), 2, False, (1, 2)),
     "ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 2), (1, 0), 2, False, (1, 2))", (3, 4, 7, 6)),
    (ConvTranspose2D(4, 4, 4, stride=2, padding=1, groups=4),
     "ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4)", (3, 4, 7, 6)),
    (Linear(5, 3), "Linear(5, 3)", (7, 5)),
    (Linear(5, 3, bias=False), "Linear(5, 3, bias=False)", (2, 4, 5)),
    (MaxPool2D(2), "MaxPool2d(2)", (3, 4, 7, 6)),
    (MaxPool2D(3, stride=2, padding=1, ceil_mode=True),
     "MaxPool2d(3, stride=2, padding=1, ceil_mode=True)", (3, 4, 8, 6)),
    (AvgPool2D((2, 3)), "AvgPool2d((2, 3))", (3, 4, 7, 6)),
    (AvgPool2D(3, 2, 1, count_include_pad=False),
     "AvgPool2d(3, 2, 1, count_include_pad=False)", (3, 4, 7, 6)),
    (MaxPool2D(3, (2, 1), 1, dilation=2), "MaxPool2d(3, (2, 1), 1, 2)", (3, 4, 9, 8)),
    (AvgPool2D(3, 2, 1, divisor_override=4),
     "AvgPool2d(3, 2, 1, divisor_override=4)", (3, 4, 7, 6)),
    (GlobalAvgPool2D(), "AdaptiveAvgPool2d(1)", (3, 4, 7, 6)),
    (AdaptiveAvgPool2D(1), "AdaptiveAvgPool2d(1)", (3, 4, 7, 6)),
    (AdaptiveAvgPool2D((3, None)), "AdaptiveAvgPool2d((3, None))", (3, 4, 7, 6)),
    (AdaptiveAvgPool2D((9, 4)), "AdaptiveAvgPool2d((9, 4))", (3, 4, 7, 6)),
    (AdaptiveAvgPool2D(3), "AdaptiveAvgPool2d(3)", (3, 4, 6, 6)),
    (AdaptiveAvgPool2D(3), "AdaptiveAvgPool2d(3)", (3, 4, 9, 18)),
    (Upsample(scale_factor=2), "Upsample(scale_factor=2)", (3, 4, 7, 6)),
    (Upsample((5, 11)), "Upsample((5, 11))", (3, 4, 7, 6)),
    (Upsample(scale_factor=(2.6, 0.5)), "Upsample(scale_factor=(2.6, 0.5))", (3, 4, 7, 6)),
    (Upsample(4, mode="bilinear"), "Upsample(4, mode='bilinear')", (3, 4, 7, 6)),
    (Upsample(scale_factor=2, mode="bilinear"),
     "Upsample(scale_factor=2, mode='bilinear')", (3, 4, 7, 6)),
    (Upsample(scale_factor=(1.7, 3.3), mode="bilinear", align_corners=False),
     "Upsample(scale_factor=(1.7, 3.3), mode='bilinear', align_corners=False)", (3, 4, 7, 6)),
    (Upsample((13, 1), mode="bilinear", align_corners=True),
     "Upsample((13, 1), mode='bilinear', align_corners=True)", (3, 4, 7, 6)),
    (Upsample(scale_factor=2.5, mode="bilinear", align_corners=True),
     "Upsample(scale_factor=2.5, mode='bilinear', align_corners=True)", (3, 4, 7, 6)),
    (ZeroPad2D(2), "ZeroPad2d(2)", (3, 4, 7, 6)),
    (ZeroPad2D((1, -2, -3, 4)), "ZeroPad2d((1, -2, -3, 4))", (3, 4, 7, 6)),
    (BatchNorm2D(4), "BatchNorm2d(4)", (3, 4, 7, 6)),
    (BatchNorm2D(4, momentum=None), "BatchNorm2d(4, momentum=None)", (3, 4, 7, 6)),
    (BatchNorm2D(4, eps=1e-3, affine=False, track_running_stats=False),
     "BatchNorm2d(4, eps=1e-3, affine=False, track_running_stats=False)", (3, 4, 7, 6)),
    (BatchNorm1D(4, momentum=0.3), "BatchNorm1d(4, momentum=0.3)", (9, 4)),
    (BatchNorm1D(4), "BatchNorm1d(4)", (5, 4, 3)),
    (BatchNorm2D(4).eval(), "BatchNorm2d(4).eval()", (3, 4, 7, 6)),
    (BatchNorm2D(4, track_running_stats=False).eval(),
     "BatchNorm2d(4, track_running_stats=False).eval()", (3, 4, 7, 6)),
    (GroupNorm(2, 4), "GroupNorm(2, 4)", (3, 4, 7, 6)),
    (GroupNorm(3, 6, 1e-3, False), "GroupNorm(3, 6, 1e-3, False)", (3, 6, 5)),
    (LayerNorm(6), "LayerNorm(6)", (3, 4, 6)),
    (LayerNorm((4, 3), bias=False), "LayerNorm((4, 3), bias=False)", (5, 4, 3)),
    (LayerNorm([3], 1e-3, False), "LayerNorm([3], 1e-3, False)", (5, 3)),
    (InstanceNorm2D(4), "InstanceNorm2d(4)", (3, 4, 7, 6)),
    (InstanceNorm2D(4, affine=True, track_running_stats=True, momentum=0.3),
     "InstanceNorm2d(4, affine=True, track_running_stats=True, momentum=0.3)", (3, 4, 7, 6)),
    (InstanceNorm2D(4, affine=True, track_running_stats=True).eval(),
     "InstanceNorm2d(4, affine=True, track_running_stats=True).eval()", (3, 4, 7, 6)),
    (LocalResponseNorm(5), "LocalResponseNorm(5)", (3, 8, 7, 6)),
    (LocalResponseNorm(4, 0.5, 0.6, 2.0), "LocalResponseNorm(4, 0.5, 0.6, 2.0)", (3, 6, 5)),
    (ELU(), "ELU()", (3, 4, 2)),
    (ELU(0.3), "ELU(0.3)", (3, 4)),
    (GELU(), "GELU()", (3, 4, 7, 6)),
    (GELU("tanh"), "GELU('tanh')", (3, 4)),
    (SiLU(), "SiLU()", (3, 4)),
    (Softplus(), "Softplus()", (3, 4)),
    (Softplus(3, 0.5), "Softplus(3, 0.5)", (3, 4, 7, 6)),
    (Mish(), "Mish()", (3, 4)),
    (LogSoftmax(), "LogSoftmax(1)", (3, 4, 2)),
    (PReLU(), "PReLU()", (37,)),
    (PReLU(init=-0.5), "PReLU(init=-0.5)", (3, 4, 7, 6)),
    (PReLU(4), "PReLU(4)", (3, 4, 7, 6)),
    (PReLU(4), "PReLU(4)", (3, 4)),
    (Dropout2D(0.5).eval(), "Dropout2d(0.5).eval()", (3, 4, 2, 2)),
    (LeakyReLU(0.2), "LeakyReLU(0.2)", (3, 4)),
    (ReLU(), "ReLU()", (3, 4)),
    (ReLU6(), "ReLU6()", (3, 4)),
    (Sigmoid(), "Sigmoid()", (3, 4)),
    (Tanh(), "Tanh()", (3, 4)),
    (Softmax(), "Softmax(1)", (3, 4, 2)),
    (Softmax(axis=-1), "Softmax(-1)", (3, 4, 2)),
    (Flatten(), "Flatten()", (3, 4, 2)),
    (Flatten(0), "Flatten(0)", (3, 4, 2)),
    (Reshape((2, -1)), "Unflatten(1, (2, 6))", (3, 12)),
    (Identity(), "Identity()", (3, 4)),
    (Dropout(0.5).eval(), "Dropout(0.5).eval()", (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "twin", "shape"), TWINS, ids=[t for _, t, _ in TWINS])
def test_forward_backward_and_state_are_those_of_torch(layer, twin, shape):
    check_against_torch(layer, twin, shape)


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [(lambda: Linear(400, 300), 400), (lambda: Conv2D(16, 64, 5, groups=2), 8 * 5 * 5)],
)
def test_initial_weights_fill_the_range_of_torch(make, fan_in):
    random.manual_seed(1)
    bound = 1 / np.sqrt(fan_in)
    for parameter in make().parameters():
        assert parameter.dtype == np.float32
        assert np.abs(parameter.data).max() <= bound
        assert parameter.data.max() > 0.9 * bound
        assert parameter.data.min() < -0.9 * bound
        assert abs(parameter.data.mean()) < 4 * bound / np.sqrt(3 * parameter.size)


def test_a_model_has_the_keys_and_shapes_of_its_torch_twin():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    theirs = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )
    ours = Sequential(Conv2D(1, 4, 3), BatchNorm2D(4), ReLU(), Flatten(), Linear(16, 2))
    expected = {name: tuple(t.shape) for name, t in theirs.state_dict().items()}
    assert {name: a.shape for name, a in ours.state_dict().items()} == expected
    assert list(ours.state_dict()) == list(expected)
    assert ours.state_dict()["1.num_batches_tracked"].dtype == np.int64
    x = images(2, 1, 4, 4, dtype=np.float32)
    ours.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach().numpy(), atol=1e-5)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})


# -- by hand ---------------------------------------------------------------------------------------


def test_a_convolution_computed_by_hand():
    layer = Conv2D(1, 1, 2)
    layer.weight.data = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    layer.bias.data = np.array([10.0])
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    assert layer(x).tolist() == [[[[0 + 2 + 9 + 16 + 10, 1 + 4 + 12 + 20 + 10]]]]
    dx = layer.backward(np.array([[[[1.0, 10.0]]]]))
    assert dx.tolist() == [[[[1, 2 + 10, 20], [3, 4 + 30, 40]]]]
    assert layer.weight.grad.tolist() == [[[[0 + 10, 1 + 20], [3 + 40, 4 + 50]]]]
    assert layer.bias.grad.tolist() == [11.0]


def test_a_linear_layer_computed_by_hand():
    layer = Linear(2, 1)
    layer.weight.data, layer.bias.data = np.array([[2.0, 3.0]]), np.array([1.0])
    assert layer([[1.0, 10.0]]).tolist() == [[33.0]]
    assert layer.backward([[5.0]]).tolist() == [[10.0, 15.0]]
    assert layer.weight.grad.tolist() == [[5.0, 50.0]]
    assert layer.bias.grad.tolist() == [5.0]


def test_pooling_and_activations_computed_by_hand():
    x = np.array([[[[1.0, 5.0], [5.0, -3.0]]]])
    pool = MaxPool2D(2)
    assert pool(x).item() == 5.0
    assert pool.backward(np.full((1, 1, 1, 1), 7.0)).tolist() == [[[[0, 7], [0, 0]]]]
    assert AvgPool2D(2)(x).item() == GlobalAvgPool2D()(x).item() == 2.0
    assert ReLU()(x).ravel().tolist() == [1, 5, 5, 0]
    assert ReLU6()(x).ravel().tolist() == [1, 5, 5, 0]
    assert LeakyReLU(0.5)(x).ravel().tolist() == [1, 5, 5, -1.5]
    assert Sigmoid()(np.zeros(1)).tolist() == [0.5]
    np.testing.assert_allclose(Softmax()(np.log([[1.0, 3.0]])), [[0.25, 0.75]])
    np.testing.assert_allclose(Activation(np.sin, np.cos)(x), np.sin(x))


def test_batch_norm_computed_by_hand():
    layer = BatchNorm1D(1, eps=0.0, momentum=0.5)
    x = np.array([[1.0], [3.0]], np.float32)
    assert layer(x).tolist() == [[-1.0], [1.0]]
    assert layer.running_mean.tolist() == [1.0]  # half of 0 and 2
    assert layer.running_var.tolist() == [1.5]  # half of 1 and the unbiased 2
    assert layer.num_batches_tracked == 1
    layer.eval()
    np.testing.assert_allclose(layer(x), (x - 1) / np.sqrt(1.5), rtol=1e-6)
    assert layer.num_batches_tracked == 1


def test_cumulative_batch_norm_keeps_the_mean_of_all_batches():
    layer = BatchNorm1D(1, momentum=None)
    for values in ([0.0, 2.0], [4.0, 6.0], [7.0, 9.0]):
        layer(np.array(values, np.float32)[:, None])
    np.testing.assert_allclose(layer.running_mean, [(1 + 5 + 8) / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2D(2, 3, 3, padding=((1, 0), (2, 1)), stride=2), (2, 2, 5, 6)),
        (Linear(3, 2), (4, 3)),
        (BatchNorm2D(2), (3, 2, 3, 3)),
        (AvgPool2D(3, 2, 1), (2, 2, 5, 5)),
        (MaxPool2D(3, 2, 1), (2, 2, 5, 5)),
        (Activation(np.sin, np.cos), (3, 4)),
        (Softmax(), (3, 4)),
        (Scale(), (3, 4)),
        (
            Sequential(Conv2D(1, 2, 3), BatchNorm2D(2), Tanh(), Flatten(), Linear(8, 3)),
            (4, 1, 4, 4),
        ),
    ],
)
def test_gradients_are_slopes(layer, shape):
    check_gradients(layer.copy().astype(np.float64), images(*shape))


# -- dtype -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i8", "f2", "f4", ">f4", "f8", ">f8"])
def test_layers_cast_their_input_by_the_rule(dtype):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    assert Linear(2, 2)(x).dtype == np.float32
    assert Linear(2, 2).astype("float64")(x).dtype == np.float64
    expected = np.float64 if np.dtype(dtype).itemsize == 8 and "f" in dtype else np.float32
    for layer in (
        ReLU(),
        Flatten(),
        Identity(),
        Dropout(0.5),
        BatchNorm1D(2, affine=False, track_running_stats=False),
    ):
        assert layer(x).dtype == expected
        assert layer(x).dtype.isnative


@pytest.mark.parametrize("layer", [ReLU(), Linear(2, 2), Flatten(), MaxPool2D(1), Identity()])
@pytest.mark.parametrize("x", [np.ones((1, 2), complex), np.array([[None, 1]]), [["a", "b"]]])
def test_values_that_are_not_real_numbers_are_a_type_error(layer, x):
    with pytest.raises(TypeError, match=type(layer).__name__):
        layer(x)


def test_gradients_of_another_dtype_are_cast_back():
    model = Sequential(Linear(2, 3), ReLU(), Double64(), Sigmoid(), Linear(3, 2))
    y = model(images(4, 2, dtype=np.float32))
    assert model.backward(np.ones(y.shape)).dtype == np.float32


def test_astype_casts_weights_and_statistics_in_place():
    model = Sequential(Linear(2, 3), BatchNorm1D(3))
    parameters = model.parameters()
    assert model.astype("float64") is model
    assert model.parameters()[0] is parameters[0]
    dtypes = {name: array.dtype for name, array in model.state_dict().items()}
    assert dtypes.pop("1.num_batches_tracked") == np.int64
    assert set(dtypes.values()) == {np.dtype("f8")}
    with pytest.raises(TypeError, match="int32"):
        model.astype("int32")


# -- initial values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda s: init.kaiming_uniform(s), -np.sqrt(6 / 75), np.sqrt(6 / 75)),
        (lambda s: init.kaiming_uniform(s, a=np.sqrt(5)), -np.sqrt(1 / 75), np.sqrt(1 / 75)),
        (lambda s: init.xavier_uniform(s), -np.sqrt(6 / 575), np.sqrt(6 / 575)),
        (lambda s: init.uniform(s, 2, 3), 2, 3),
    ],
)
def test_uniform_initialisation_fills_its_range(make, low, high):
    values = make((20, 3, 5, 5))
    assert low <= values.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < values.max() <= high


def test_normal_initialisation_has_its_deviation():
    shape = (200, 3, 5, 5)
    assert init.kaiming_normal(shape).std() == pytest.approx(np.sqrt(2 / 75), rel=0.03)
    assert init.xavier_normal(shape).std() == pytest.approx(np.sqrt(2 / 5075), rel=0.03)
    assert init.zeros(3).tolist() == [0, 0, 0]
    assert init.ones((2,), dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match=r"\(3,\)"):
        init.kaiming_normal((3,))


@pytest.mark.parametrize("shape", [(64, 3, 4, 4), (5, 2, 40, 41), (300, 7)], ids=str)
def test_the_variance_of_a_channel_far_from_zero_keeps_its_digits(shape):
    """Squares about zero, or about the first value (an outlier here), lose them in float32."""
    x = 1000 + np.random.default_rng(0).standard_normal(shape)
    x.reshape(-1)[0] = 0.0
    x = x.astype(np.float32)
    with cnnx.use_backend("compiled"):
        _, mean, inv_std = cnnx.ops.batch_norm(x, eps=0.0)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(mean, np.mean(x, axes, np.float64), rtol=1e-6)
    np.testing.assert_allclose(inv_std, 1 / np.std(x, axes, np.float64), rtol=1e-4)


@pytest.mark.parametrize("backend", cnnx.available_backends())
def test_gelu_takes_an_array_of_no_axes(backend):
    with cnnx.use_backend(backend):
        gelu, x = GELU(), np.array(0.5, np.float32)
        y, dx = gelu(x), gelu.backward(np.array(2.0, np.float32))
    assert np.shape(y) == np.shape(dx) == ()
    assert y == pytest.approx(0.5 * 0.691462, rel=1e-5)  # P(X < 0.5) of a normal X
    assert dx == pytest.approx(2 * (0.691462 + 0.5 * 0.352065), rel=1e-5)  # and its density
