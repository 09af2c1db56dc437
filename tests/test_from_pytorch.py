"""docs/from_pytorch.md: what it says about differences, and about what there is none of."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import cnnx
from cnnx import nn

torch = pytest.importorskip("torch")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", ["GELU", "SiLU", "Mish"])
def test_activations_far_below_zero(name):
    x = np.array([-np.inf])
    assert getattr(nn, name)()(x) == 0
    assert torch.isnan(getattr(torch.nn, name)()(torch.from_numpy(x))).all()


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_losses_of_samples_that_are_all_ignored(name, rng):
    x = rng.normal(size=(2, 3))
    assert getattr(nn, name)()(x, [-100, -100]) == 0
    loss = getattr(torch.nn, name)()(torch.from_numpy(x), torch.tensor([-100, -100]))
    assert torch.isnan(loss)


def test_a_target_without_the_axis_of_one_output_is_not_broadcast(rng):
    x, target = rng.normal(size=(4, 1)), rng.normal(size=4)
    np.testing.assert_allclose(nn.MSELoss()(x, target), ((x[:, 0] - target) ** 2).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.nn.MSELoss()(torch.from_numpy(x), torch.from_numpy(target)).item()
    np.testing.assert_allclose(theirs, ((x - target) ** 2).mean())


def test_ema_is_an_averaged_model_that_was_updated_at_the_start(rng):
    from torch.optim import swa_utils

    start, *steps = rng.normal(size=(5, 2, 3))
    theirs, ours = torch.nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    theirs.double(), ours.astype(np.float64)
    theirs.load_state_dict({"weight": torch.from_numpy(start)})
    ours.load_state_dict({"weight": start})
    averaged = swa_utils.AveragedModel(theirs, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    averaged.update_parameters(theirs)
    ema = cnnx.EMA(ours, decay=0.9)
    for weight in steps:
        theirs.load_state_dict({"weight": torch.from_numpy(weight)})
        ours.load_state_dict({"weight": weight})
        averaged.update_parameters(theirs)
        ema.update()
    expected = averaged.module.weight.detach().numpy()
    np.testing.assert_allclose(ema.state_dict()["averages"]["weight"], expected, rtol=1e-12)


def test_clipping_a_norm_that_is_not_finite_leaves_the_gradients():
    gradient = np.array([np.inf, 1.0])
    ours = cnnx.Parameter(np.ones(2), "w")
    ours.accumulate(gradient.copy())
    assert cnnx.clip_grad_norm([ours], 1.0) == np.inf
    np.testing.assert_array_equal(ours.grad, gradient)
    theirs = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    theirs.grad = torch.from_numpy(gradient.copy())
    torch.nn.utils.clip_grad_norm_([theirs], 1.0)
    assert torch.isnan(theirs.grad).any()


def test_a_linear_warmup_by_epochs_is_linear_lr():
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    ours = cnnx.SGD(nn.Linear(1, 1).parameters(), lr=0.3)
    there = torch.optim.lr_scheduler.LinearLR(theirs, total_iters=4)
    here = cnnx.LinearWarmup(ours, total_iters=4, interval="epoch")
    assert cnnx.LinearWarmup.interval == cnnx.OneCycleLR.interval == "batch"
    for _ in range(6):
        np.testing.assert_allclose(here.get_last_lr(), there.get_last_lr(), rtol=1e-12)
        ours.step(), theirs.step()
        here.step(), there.step()


def ordered(function):
    """The names of the arguments that can be given by position."""
    arguments = inspect.signature(function).parameters.values()
    return [a.name for a in arguments if a.kind != inspect.Parameter.KEYWORD_ONLY]


def test_the_order_of_arguments_differs_where_the_page_says_so():
    """Arguments that PyTorch has too and that stand at another place here."""
    elsewhere = set()
    for name in set(nn.__all__) - {"Module", "Parameter", "Sequential"}:
        ours, theirs = ordered(getattr(nn, name)), ordered(getattr(torch.nn, name))
        if any(a != b and a in theirs for a, b in zip(ours, theirs, strict=False)):
            elsewhere.add(name)
    losses = {name for name in nn.__all__ if name.endswith("Loss")}
    assert elsewhere <= losses | {"MaxPool1d", "MaxPool2d", "Softmax", "LogSoftmax"}
    assert {"CrossEntropyLoss", "MaxPool2d"} <= elsewhere
    for name in ("Adam", "AdamW", "NAdam", "Adagrad", "RMSprop"):
        ours = ordered(getattr(cnnx, name.replace("RMSprop", "RMSProp")))
        theirs = ordered(getattr(torch.optim, name))
        assert ours == theirs[: len(ours)]


def test_one_image_without_a_batch_axis():
    image = np.zeros((3, 8, 8), np.float32)
    taken = [
        *(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3), nn.MaxPool2d(2), nn.AvgPool2d(2)),
        *(nn.AdaptiveAvgPool2d(1), nn.ZeroPad2d(1), nn.InstanceNorm2d(3)),
    ]
    for layer in taken:
        assert layer(image).ndim == 3, layer
    for layer in (nn.BatchNorm2d(3), nn.Upsample(scale_factor=2), nn.GroupNorm(1, 3)):
        with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
            layer(image)
    assert nn.Flatten()(image).shape == (3, 64)
    assert torch.nn.Flatten()(torch.from_numpy(image)).shape == (3, 64)


def test_data_sets_and_loaders_of_pytorch_can_be_given_to_fit(rng):
    x, y = rng.normal(size=(20, 4)).astype(np.float32), np.arange(20) % 2
    theirs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(theirs, batch_size=8)
    weights = []
    for data in ((x, y), theirs, loader):
        cnnx.manual_seed(0)
        model = nn.Linear(4, 2)
        model.fit(data, batch_size=8, shuffle=False, verbose=False)
        assert 0 <= model.evaluate(data).accuracy <= 1
        weights.append(model.weight.data)
    np.testing.assert_array_equal(weights[1], weights[0])
    np.testing.assert_array_equal(weights[2], weights[0])


@pytest.mark.parametrize("name", ["LSTM", "MultiheadAttention", "Conv3d", "ModuleList"])
def test_what_cnnx_lacks_is_an_error(name):
    assert hasattr(torch.nn, name)
    with pytest.raises(AttributeError, match=name):
        getattr(nn, name)


@pytest.mark.parametrize("argument", ["padding_mode", "device", "dtype"])
def test_an_argument_that_cnnx_lacks_is_an_error(argument):
    assert argument in inspect.signature(torch.nn.Conv2d).parameters
    with pytest.raises(TypeError, match=argument):
        nn.Conv2d(1, 1, 1, **{argument: None})
