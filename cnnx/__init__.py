"""cnnx: train and run convolutional neural networks on a CPU.

Layers have an explicit forward and backward. Two interchangeable backends compute them: `compiled`
(Cython, C, OpenMP) for speed, `reference` (NumPy) for reading. Arrays are NumPy arrays, images are
(n, c, h, w).

>>> model = cnnx.models.lenet5()
>>> history = cnnx.fit(model, train, validation=test, epochs=5)
"""

from typing import TYPE_CHECKING, Any

from . import data, init, io, layers, ops  # noqa: F401  # layers first: graph needs some of them
from ._version import __version__
from .config import (
    available_backends,
    config_dict,
    empty_cache,
    get_backend,
    get_num_threads,
    memory_stats,
    reset_peak_memory_stats,
    set_backend,
    set_num_threads,
    show_config,
    use_algorithm,
    use_backend,
)
from .graph import Graph, Input
from .layers import (
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Concat,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dropout,
    Dropout2D,
    Embedding,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GroupNorm,
    Identity,
    InstanceNorm2D,
    Layer,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    MaxPool1D,
    MaxPool2D,
    Multiply,
    Parameter,
    PReLU,
    Reshape,
    Residual,
    Sequential,
    Upsample,
    ZeroPad1D,
    ZeroPad2D,
    load,
    no_grad,
)
from .layers import activation as _activation
from .layers import curves as _curves
from .layers.activation import *
from .layers.curves import *
from .losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from .optim import (
    EMA,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    NAdam,
    RMSProp,
    clip_grad_norm,
    clip_grad_value,
)
from .preprocessing import Preprocessing
from .random import manual_seed

if TYPE_CHECKING:
    from . import (
        callbacks,
        compat,
        distributed,
        metrics,
        models,
        nn,
        onnx,
        safetensors,
        sklearn,
        testing,
        viz,
    )
    from .callbacks import (
        Callback,
        Checkpoint,
        CSVLogger,
        EarlyStopping,
        LRScheduler,
        ProgressBar,
        TensorBoard,
    )
    from .checkpoint import load_checkpoint, save_checkpoint
    from .engine import Plan, compile, load_plan
    from .history import History
    from .inference import evaluate, predict, predict_labels, predict_proba
    from .metrics import accuracy, confusion_matrix, precision_recall_f1, top_k_accuracy
    from .optim.schedules import (
        ChainedScheduler,
        CosineAnnealingLR,
        CosineAnnealingWarmRestarts,
        ExponentialLR,
        LinearWarmup,
        MultiStepLR,
        OneCycleLR,
        ReduceLROnPlateau,
        SequentialLR,
        StepLR,
    )
    from .testing import gradcheck
    from .training.fit import fit
    from .training.lr_find import lr_find

# Imported when they are first asked for, so that a program that only runs a network starts fast:
# sub-modules, and the names above with the modules that they come from.
_LATER_MODULES = (
    *("bench", "callbacks", "compat", "distributed", "engine", "inference", "metrics", "models"),
    *("nn", "onnx", "safetensors", "sklearn", "testing", "training", "viz"),
)
_LATER = {
    **dict.fromkeys(
        ("Callback", "Checkpoint", "CSVLogger", "EarlyStopping", "LRScheduler"), "callbacks"
    ),
    **dict.fromkeys(("ProgressBar", "TensorBoard"), "callbacks"),
    **dict.fromkeys(("load_checkpoint", "save_checkpoint"), "checkpoint"),
    **dict.fromkeys(("Plan", "compile", "load_plan"), "engine"),
    **dict.fromkeys(("evaluate", "predict", "predict_labels", "predict_proba"), "inference"),
    **dict.fromkeys(
        ("accuracy", "confusion_matrix", "precision_recall_f1", "top_k_accuracy"), "metrics"
    ),
    **dict.fromkeys(("ChainedScheduler", "SequentialLR"), "optim.schedules"),
    **dict.fromkeys(
        ("CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR"), "optim.schedules"
    ),
    **dict.fromkeys(("ExponentialLR", "LinearWarmup", "MultiStepLR", "StepLR"), "optim.schedules"),
    "ReduceLROnPlateau": "optim.schedules",
    "gradcheck": "testing",
    "History": "history",
    "fit": "training",
    "lr_find": "training",
}

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool1D",
    "AdaptiveAvgPool2D",
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1D",
    "BatchNorm2D",
    "CSVLogger",
    "Callback",
    "ChainedScheduler",
    "Checkpoint",
    "Concat",
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CrossEntropyLoss",
    "DiceLoss",
    "Dropout",
    "Dropout2D",
    "EarlyStopping",
    "Embedding",
    "ExponentialLR",
    "Flatten",
    "FocalLoss",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "Graph",
    "GroupNorm",
    "History",
    "HuberLoss",
    "Identity",
    "Input",
    "InstanceNorm2D",
    "L1Loss",
    "LRScheduler",
    "Layer",
    "LayerNorm",
    "Linear",
    "LinearWarmup",
    "LocalResponseNorm",
    "MSELoss",
    "MaxPool1D",
    "MaxPool2D",
    "MultiStepLR",
    "Multiply",
    "NAdam",
    "NLLLoss",
    "OneCycleLR",
    "PReLU",
    "Parameter",
    "Plan",
    "Preprocessing",
    "ProgressBar",
    "RMSProp",
    "ReduceLROnPlateau",
    "Reshape",
    "Residual",
    "Sequential",
    "SequentialLR",
    "SmoothL1Loss",
    "StepLR",
    "TensorBoard",
    "Upsample",
    "ZeroPad1D",
    "ZeroPad2D",
    "__version__",
    "accuracy",
    "available_backends",
    "callbacks",
    "clip_grad_norm",
    "clip_grad_value",
    "compat",
    "compile",
    "config_dict",
    "confusion_matrix",
    "data",
    "distributed",
    "empty_cache",
    "evaluate",
    "fit",
    "get_backend",
    "get_num_threads",
    "gradcheck",
    "init",
    "io",
    "load",
    "load_checkpoint",
    "load_plan",
    "lr_find",
    "manual_seed",
    "memory_stats",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "onnx",
    "ops",
    "precision_recall_f1",
    "predict",
    "predict_labels",
    "predict_proba",
    "reset_peak_memory_stats",
    "safetensors",
    "save_checkpoint",
    "set_backend",
    "set_num_threads",
    "show_config",
    "sklearn",
    "testing",
    "top_k_accuracy",
    "use_algorithm",
    "use_backend",
    "viz",
]
__all__ += _activation.__all__ + _curves.__all__


def __getattr__(name: str) -> Any:
    """The names that are imported when they are first asked for."""
    import importlib

    if name in _LATER_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LATER:
        value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    from .spelling import unknown

    pytorch = importlib.import_module(f"{__name__}.nn").__all__
    elsewhere = {n.lower(): f"cnnx.nn.{n}" for n in pytorch}
    elsewhere |= {"linearlr": "cnnx.LinearWarmup", "dataloader": "cnnx.data.DataLoader"}
    raise unknown(__name__, name, __all__, others=elsewhere)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
