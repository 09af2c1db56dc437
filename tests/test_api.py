"""The public names, by group: each exists, and each layer computes the same on both backends."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from layer_helpers import OWN
from training_helpers import blobs

import cnnx

X2, X3, X4 = (2, 6), (2, 6, 8), (2, 6, 8, 8)
# (arguments, input shapes); ints stand for indices. Every layer is here: a test compares the lists.
LAYERS = {
    "Activation": ((np.sin, np.cos), X4),
    "AdaptiveAvgPool1D": ((3,), X3),
    "AdaptiveAvgPool2D": ((3,), X4),
    "AvgPool1D": ((2,), X3),
    "AvgPool2D": ((2,), X4),
    "BatchNorm1D": ((6,), X2),
    "BatchNorm2D": ((6,), X4),
    "Concat": ((cnnx.Identity(), cnnx.ReLU()), X4),
    "Conv1D": ((6, 4, 3), X3),
    "Conv2D": ((6, 4, 3), X4),
    "ConvTranspose1D": ((6, 4, 3), X3),
    "ConvTranspose2D": ((6, 4, 3), X4),
    "Dropout": ((0.5,), X4),
    "Dropout2D": ((0.5,), X4),
    "ELU": ((), X4),
    "Embedding": ((7, 3), None),
    "Flatten": ((), X4),
    "GELU": ((), X4),
    "GlobalAvgPool1D": ((), X3),
    "GlobalAvgPool2D": ((), X4),
    "GroupNorm": ((3, 6), X4),
    "Hardsigmoid": ((), X4),
    "Hardswish": ((), X4),
    "Identity": ((), X4),
    "InstanceNorm2D": ((6,), X4),
    "LayerNorm": ((6,), X2),
    "LeakyReLU": ((), X4),
    "Linear": ((6, 4), X2),
    "LocalResponseNorm": ((3,), X4),
    "LogSoftmax": ((), X2),
    "MaxPool1D": ((2,), X3),
    "MaxPool2D": ((2,), X4),
    "Mish": ((), X4),
    "PReLU": ((6,), X4),
    "ReLU": ((), X4),
    "ReLU6": ((), X4),
    "Reshape": (((12, -1),), X4),
    "Residual": ((cnnx.ReLU(),), X4),
    "Sequential": ((cnnx.Linear(6, 3), cnnx.Tanh()), X2),
    "SiLU": ((), X4),
    "Sigmoid": ((), X4),
    "Softmax": ((), X2),
    "Softplus": ((), X4),
    "Tanh": ((), X4),
    "Upsample": ((2,), X4),
    "ZeroPad1D": ((1,), X3),
    "ZeroPad2D": ((1,), X4),
}
OF_SEVERAL_INPUTS = {"Add", "Multiply", "Graph"}  # tests/test_merge.py, test_graph.py

NAMES = {
    "containers": "Layer Parameter Identity Sequential Residual Concat Add Multiply Graph Input",
    "convolutions": "Conv2D ConvTranspose2D Conv1D ConvTranspose1D",
    "pooling": "MaxPool2D AvgPool2D AdaptiveAvgPool2D GlobalAvgPool2D MaxPool1D AvgPool1D "
    "AdaptiveAvgPool1D GlobalAvgPool1D",
    "dense layers and shapes": "Linear Embedding Flatten Reshape ZeroPad2D ZeroPad1D Upsample",
    "activations": "ReLU LeakyReLU PReLU ELU GELU SiLU Hardswish Hardsigmoid ReLU6 Mish Sigmoid "
    "Tanh Softmax LogSoftmax Softplus Activation",
    "normalisation and dropout": "BatchNorm2D BatchNorm1D LayerNorm GroupNorm InstanceNorm2D "
    "LocalResponseNorm Dropout Dropout2D",
    "losses": "CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss MSELoss L1Loss HuberLoss "
    "SmoothL1Loss FocalLoss DiceLoss",
    "optimisers": "SGD RMSProp Adagrad Adam AdamW NAdam EMA clip_grad_norm clip_grad_value",
    "schedules": "StepLR MultiStepLR ExponentialLR CosineAnnealingLR CosineAnnealingWarmRestarts "
    "OneCycleLR ReduceLROnPlateau LinearWarmup SequentialLR ChainedScheduler",
    "training": "fit evaluate predict predict_proba predict_labels History no_grad lr_find load "
    "save_checkpoint load_checkpoint Preprocessing",
    "engine": "compile Plan load_plan",
    "callbacks": "Callback EarlyStopping Checkpoint LRScheduler CSVLogger ProgressBar TensorBoard",
    "metrics": "accuracy top_k_accuracy confusion_matrix precision_recall_f1",
    "backend": "use_backend set_backend get_backend available_backends set_num_threads "
    "get_num_threads show_config config_dict manual_seed gradcheck use_algorithm empty_cache "
    "memory_stats reset_peak_memory_stats",
    "sub-modules": "ops data models init viz io testing sklearn compat callbacks metrics nn "
    "onnx safetensors distributed",
}
OPS = """
    conv2d conv2d_backward conv_transpose2d conv_transpose2d_backward im2col col2im max_pool2d
    max_pool2d_backward avg_pool2d global_avg_pool2d batch_norm layer_norm group_norm linear
    relu softmax log_softmax cross_entropy dropout interpolate sgd_step adam_step
"""
PROTOCOL = {
    "Layer": "forward backward train eval training modules zero_grad parameters named_parameters "
    "state_dict load_state_dict output_shape summary freeze unfreeze astype copy save fit evaluate "
    "predict preprocessing",
    "Parameter": "data grad name requires_grad",
    "Sequential": "append extend insert pop __getitem__ __setitem__ __delitem__ __len__ __iter__",
    "Plan": "run profile save",
    "Adam": "step zero_grad param_groups state_dict load_state_dict",
    "OneCycleLR": "step state_dict load_state_dict",
    "CrossEntropyLoss": "__call__ backward reduction",
}


@pytest.mark.parametrize("group", NAMES)
def test_every_name_exists_and_is_listed(group):
    for name in NAMES[group].split():
        assert hasattr(cnnx, name), name
        assert name in cnnx.__all__, name
        assert getattr(cnnx, name).__doc__, name


def test_every_public_name_is_in_a_group():
    grouped = {name for names in NAMES.values() for name in names.split()}
    assert set(cnnx.__all__) - {"__version__"} == grouped


def test_ops_and_modules_that_are_imported_by_name_exist():
    assert set(OPS.split()) <= set(cnnx.ops.__all__)
    for name in ("examples", "cli", "bench", "training", "optim.schedules", "data.transforms"):
        assert importlib.import_module(f"cnnx.{name}")


@pytest.mark.parametrize("name", PROTOCOL)
def test_an_object_has_the_members_that_users_call(name):
    parameters = [cnnx.Parameter(np.zeros(2))]
    made = {
        "Parameter": lambda: parameters[0],
        "Adam": lambda: cnnx.Adam(parameters),
        "OneCycleLR": lambda: cnnx.OneCycleLR(cnnx.Adam(parameters), max_lr=0.1, total_steps=2),
        "Plan": lambda: cnnx.compile(cnnx.Sequential(cnnx.ReLU()), (3,)),
    }
    value = made.get(name, getattr(cnnx, name))()
    for member in PROTOCOL[name].split():
        assert hasattr(value, member), member


def test_every_layer_is_compared():
    assert set(LAYERS) | OF_SEVERAL_INPUTS == set(OWN)
    assert set(OWN) <= {name for names in NAMES.values() for name in names.split()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_on_both_backends(name):
    """Outputs, dx, gradients and running statistics, in float64."""
    arguments, shape = LAYERS[name]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (2, 5)) if shape is None else rng.normal(size=shape)
    found = []
    for backend in cnnx.available_backends():
        with cnnx.use_backend(backend):
            cnnx.manual_seed(0)
            layer = getattr(cnnx, name)(*arguments).astype(np.float64)
            y = layer(x)
            layer.zero_grad()
            dx = layer.backward(np.cos(np.arange(y.size)).reshape(y.shape))
            grads = [parameter.grad for parameter in layer.parameters()]
            found.append([y, dx, *grads, *layer.state_dict().values()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES["losses"].split())
def test_a_loss_computes_the_same_on_both_backends(name):
    rng = np.random.default_rng(0)
    classes = name in ("CrossEntropyLoss", "NLLLoss", "FocalLoss", "DiceLoss")
    pred = rng.uniform(0.1, 0.9, (6, 4, 5))
    target = rng.integers(0, 4, (6, 5)) if classes else rng.uniform(0, 1, pred.shape).round()
    found = []
    for backend in cnnx.available_backends():
        with cnnx.use_backend(backend):
            loss = getattr(cnnx, name)()
            found.append([loss(pred, target), loss.backward()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10)


@pytest.mark.parametrize("name", ["SGD", "RMSProp", "Adagrad", "Adam", "AdamW", "NAdam"])
def test_an_optimiser_with_averaged_weights_trains_the_same_on_both_backends(name):
    found = []
    for backend in cnnx.available_backends():
        with cnnx.use_backend(backend):
            cnnx.manual_seed(0)
            model = cnnx.Sequential(cnnx.Linear(2, 8), cnnx.Tanh(), cnnx.Linear(8, 3))
            model.astype(np.float64)
            optimizer = getattr(cnnx, name)(model.parameters(), lr=0.01)
            ema = cnnx.EMA(model, decay=0.9)
            model.fit(*blobs(60), optimizer=optimizer, ema=ema, epochs=2, seed=0, verbose=False)
            found.append(list(model.state_dict().values()))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-8)
