"""`cnnx.nn`: PyTorch's names for the same classes, and advice for missing names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.layers import activation, curves

ACTIVATIONS = activation.__all__ + curves.__all__
CLASSES = {name: getattr(nn, name) for name in nn.__all__}
# Every public class of cnnx that PyTorch has too, under its name there.
EXPECTED = {
    "AdaptiveAvgPool1d": cnnx.AdaptiveAvgPool1D,
    "AvgPool1d": cnnx.AvgPool1D,
    "Conv1d": cnnx.Conv1D,
    "ConvTranspose1d": cnnx.ConvTranspose1D,
    "MaxPool1d": cnnx.MaxPool1D,
    "ZeroPad1d": cnnx.ZeroPad1D,
    "AdaptiveAvgPool2d": cnnx.AdaptiveAvgPool2D,
    "AvgPool2d": cnnx.AvgPool2D,
    "BCELoss": cnnx.BCELoss,
    "HuberLoss": cnnx.HuberLoss,
    "L1Loss": cnnx.L1Loss,
    "NLLLoss": cnnx.NLLLoss,
    "SmoothL1Loss": cnnx.SmoothL1Loss,
    "BCEWithLogitsLoss": cnnx.BCEWithLogitsLoss,
    "BatchNorm1d": cnnx.BatchNorm1D,
    "BatchNorm2d": cnnx.BatchNorm2D,
    "Conv2d": cnnx.Conv2D,
    "ConvTranspose2d": cnnx.ConvTranspose2D,
    "CrossEntropyLoss": cnnx.CrossEntropyLoss,
    "Dropout": cnnx.Dropout,
    "Dropout2d": cnnx.Dropout2D,
    "Embedding": cnnx.Embedding,
    "Flatten": cnnx.Flatten,
    "Identity": cnnx.Identity,
    "GroupNorm": cnnx.GroupNorm,
    "InstanceNorm2d": cnnx.InstanceNorm2D,
    "LayerNorm": cnnx.LayerNorm,
    "Linear": cnnx.Linear,
    "LocalResponseNorm": cnnx.LocalResponseNorm,
    "MSELoss": cnnx.MSELoss,
    "MaxPool2d": cnnx.MaxPool2D,
    "Module": cnnx.Layer,
    "PReLU": cnnx.PReLU,
    "Parameter": cnnx.Parameter,
    "Sequential": cnnx.Sequential,
    "Upsample": cnnx.Upsample,
    "ZeroPad2d": cnnx.ZeroPad2D,
    **{name: getattr(cnnx, name) for name in ACTIVATIONS if name != "Activation"},
}
PERMIT_INPLACE = [
    getattr(cnnx, name)
    for name in ACTIVATIONS
    if issubclass(getattr(cnnx, name), activation.PermitsInplace)
]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


# A PyTorch program, except for its import line.
PORTED = """
model = nn.Sequential(
    nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
    nn.MaxPool2d(kernel_size=2, stride=2), nn.Dropout(p=0.25, inplace=False),
    nn.Conv2d(8, 12, 3, padding="same", groups=4), nn.LeakyReLU(0.1, inplace=True),
    nn.Upsample(scale_factor=1.5, mode="bilinear"), nn.ZeroPad2d((1, 0, 2, 1)),
    nn.AvgPool2d(2), nn.ReLU6(True), nn.AdaptiveAvgPool2d((2, None)),
    nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
    nn.Linear(in_features=12, out_features=10), nn.Softmax(dim=1),
)
"""


def made(module):
    """The model of the ported program, with a module in place of nn."""
    names = {"nn": module}
    exec(PORTED, names)
    return names["model"]


def test_the_names_are_those_of_the_same_classes():
    assert CLASSES == EXPECTED
    assert nn.__all__ == sorted(nn.__all__)


def test_every_name_is_pytorchs(torch):
    for name in nn.__all__:
        assert inspect.isclass(getattr(torch.nn, name)), name


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "Module"])
def test_arguments_have_pytorchs_names(name, torch):
    ours = inspect.signature(CLASSES[name]).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    own = {
        "Softmax": {"axis"},
        "LogSoftmax": {"axis"},
        "Parameter": {"name"},
        "Sequential": {"layers"},
    }.get(name, set())
    if set(theirs) != {"args", "kwargs"}:
        assert set(ours) - own <= set(theirs)
    for argument in set(ours) & set(theirs):
        usual, there = ours[argument].default, theirs[argument].default
        assert usual == there or argument in ("data", "dim"), f"{name}({argument}={there})"


def test_a_sequential_is_ported_by_its_import_line(torch):
    there, here = made(torch.nn).eval(), made(nn).eval()
    here.load_state_dict(there.state_dict())
    x = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
    with torch.no_grad():
        expected = there(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(here(x), expected, rtol=1e-5, atol=1e-6)


def test_weights_are_copied_to_pytorch_by_from_numpy(torch):
    """The recipe in the docstring of `state_dict`."""
    there, here = made(torch.nn).eval(), made(nn)
    here(np.random.default_rng(1).random((4, 3, 8, 8), np.float32))  # statistics of its own
    there.load_state_dict({k: torch.from_numpy(v) for k, v in here.state_dict().items()})
    x = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
    with torch.no_grad():
        answer = there(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(answer, here.eval()(x), rtol=1e-5, atol=1e-6)
    assert "torch.from_numpy" in cnnx.Layer.state_dict.__doc__


def test_inplace_changes_no_result_and_survives_a_file(tmp_path):
    model = made(nn)
    assert repr(model[2]) == "ReLU(inplace=True)" and repr(nn.ReLU()) == "ReLU()"
    x = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    for plain, permitted in (
        *((layer(), layer(inplace=True)) for layer in PERMIT_INPLACE),
        (nn.LeakyReLU(0.1), nn.LeakyReLU(0.1, True)),
        (nn.Dropout(0).eval(), nn.Dropout(0, inplace=True).eval()),
    ):
        before = x.copy()
        assert np.array_equal(permitted(x), plain(x)) and np.array_equal(x, before)
    model.save(tmp_path / "m.npz")
    assert repr(cnnx.load(tmp_path / "m.npz")) == repr(model)
    for layer in (*PERMIT_INPLACE, nn.Dropout):
        with pytest.raises(TypeError, match=f"^{layer.__name__}: inplace='yes'.*True or False"):
            layer(inplace="yes")


def test_softmax_accepts_axis_and_dim(tmp_path):
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    assert np.array_equal(nn.Softmax(dim=2)(x), cnnx.Softmax(2)(x))
    nn.Softmax(dim=-1).save(tmp_path / "s.npz")
    assert cnnx.load(tmp_path / "s.npz").axis == -1
    with pytest.raises(TypeError, match="Softmax: axis=1 and dim=2"):
        nn.Softmax(axis=1, dim=2)


def test_positional_arguments_that_mean_something_else_in_pytorch_are_rejected():
    with pytest.raises(TypeError, match=r"ceil_mode=1.*True or False"):
        nn.MaxPool2d(3, 2, 1, 1)(np.zeros((1, 1, 8, 8), np.float32))  # dilation, there
    with pytest.raises(TypeError, match="Parameter: name is False"):
        nn.Parameter(np.zeros(3), False)  # requires_grad, there
    with pytest.raises(TypeError, match="label_smoothing"):
        nn.CrossEntropyLoss(np.ones(3))  # weight, there


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (cnnx, "Conv2d", "module 'cnnx' has no 'Conv2d': did you mean Conv2D, or cnnx.nn.Conv2d"),
        (cnnx, "CrossEntropyloss", "did you mean CrossEntropyLoss"),
        (cnnx, "maxpool2d", "did you mean MaxPool2D, or cnnx.nn.MaxPool2d"),
        (cnnx, "Module", "'Module': did you mean cnnx.nn.Module"),
        (cnnx, "LinearLR", "did you mean Linear, or cnnx.LinearWarmup"),
        (cnnx, "DataLoader", "did you mean cnnx.data.DataLoader"),
        (cnnx, "zebra", "module 'cnnx' has no 'zebra'$"),
        (nn, "Conv2D", "module 'cnnx.nn' has no 'Conv2D': did you mean Conv2d"),
        (nn, "LSTM", "has no 'LSTM': of torch.nn it has AdaptiveAvgPool1d, .*ZeroPad2d$"),
        (nn, "functional", "has no 'functional': .*cnnx.ops"),
        (nn, "init", "has no 'init': .*cnnx.init"),
        (nn, "ModuleList", "has no 'ModuleList': a list of layers is enough"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(module, name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(module, name)
    with pytest.raises(ImportError, match=words):
        exec(f"from {module.__name__} import {name}", {})
    assert not hasattr(module, name) and getattr(module, name, 3) == 3


def test_names_with_leading_underscores_get_no_suggestion():
    with pytest.raises(AttributeError, match=r"has no '__wrapped__'$"):
        cnnx.__wrapped__  # noqa: B018


def test_nn_is_imported_on_first_access():
    code = (
        "import sys, cnnx; print('cnnx.nn' in sys.modules, 'difflib' in sys.modules);"
        "print(cnnx.nn.Conv2d.__name__); from cnnx import nn; import cnnx.nn"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False", "Conv2D"]
