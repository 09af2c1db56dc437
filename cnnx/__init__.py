"""cnnx: train and run convolutional neural networks on a CPU.

Layers have an explicit forward and backward. Two interchangeable backends compute them: `compiled`
(Cython, C, OpenMP) for speed, `reference` (NumPy) for reading. Arrays are NumPy arrays, images are
(n, c, h, w).

>>> model = cnnx.models.lenet5()
>>> history = cnnx.fit(model, train, validation=test, epochs=5)
"""

from typing import Any

from . import callbacks, data, init, io, models, ops
from ._version import __version__
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
from .history import History
from .inference import evaluate, predict, predict_labels, predict_proba
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
from .metrics import accuracy, confusion_matrix, precision_recall_f1, top_k_accuracy
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
from .training import fit

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
    "Checkpoint",
    "Concat",
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "CrossEntropyLoss",
    "DiceLoss",
    "Dropout",
    "Dropout2D",
    "EarlyStopping",
    "Embedding",
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
    "LocalResponseNorm",
    "MSELoss",
    "MaxPool1D",
    "MaxPool2D",
    "Multiply",
    "NAdam",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "Preprocessing",
    "ProgressBar",
    "RMSProp",
    "Reshape",
    "Residual",
    "Sequential",
    "SmoothL1Loss",
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
    "config_dict",
    "confusion_matrix",
    "data",
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
    "manual_seed",
    "memory_stats",
    "metrics",
    "models",
    "nn",
    "no_grad",
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
    """Import sub-modules that few programs use on first access."""
    import importlib

    if name in ("viz", "bench", "compat", "nn", "sklearn", "testing"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "gradcheck":
        return importlib.import_module(f"{__name__}.testing").gradcheck
    from .spelling import unknown

    pytorch = importlib.import_module(f"{__name__}.nn").__all__
    raise unknown(__name__, name, __all__, others={n.lower(): f"cnnx.nn.{n}" for n in pytorch})
