"""cnnx: train and run convolutional neural networks on a CPU.

Layers have an explicit forward and backward. Two interchangeable backends compute them: `compiled`
(Cython, C, OpenMP) for speed, `reference` (NumPy) for reading. Arrays are NumPy arrays, images are
(n, c, h, w).

>>> model = cnnx.models.lenet5()
>>> history = cnnx.fit(model, train, validation=test, epochs=5)
"""

from typing import TYPE_CHECKING, Any

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
from .later import find as _find
from .later import places as _places

if TYPE_CHECKING:
    from . import (  # noqa: F401  # modules
        bench,
        callbacks,
        compat,
        data,
        distributed,
        engine,
        graph,
        init,
        io,
        layers,
        losses,
        metrics,
        models,
        nn,
        onnx,
        ops,
        optim,
        safetensors,
        sklearn,
        testing,
        training,
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
    from .graph import Graph, Input
    from .history import History
    from .inference import evaluate, predict, predict_labels, predict_proba
    from .layers import (
        ELU,
        GELU,
        Activation,
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
        Hardsigmoid,
        Hardswish,
        Identity,
        InstanceNorm2D,
        Layer,
        LayerNorm,
        LeakyReLU,
        Linear,
        LocalResponseNorm,
        LogSoftmax,
        MaxPool1D,
        MaxPool2D,
        Mish,
        Multiply,
        Parameter,
        PReLU,
        ReLU,
        ReLU6,
        Reshape,
        Residual,
        Sequential,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Tanh,
        Upsample,
        ZeroPad1D,
        ZeroPad2D,
        load,
        no_grad,
    )
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
    from .preprocessing import Preprocessing
    from .random import manual_seed
    from .testing import gradcheck
    from .training.fit import fit
    from .training.lr_find import lr_find

__all__ = [
    "ELU",
    "EMA",
    "GELU",
    "SGD",
    "Activation",
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
    "Hardsigmoid",
    "Hardswish",
    "History",
    "HuberLoss",
    "Identity",
    "Input",
    "InstanceNorm2D",
    "L1Loss",
    "LRScheduler",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearWarmup",
    "LocalResponseNorm",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1D",
    "MaxPool2D",
    "Mish",
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
    "ReLU",
    "ReLU6",
    "ReduceLROnPlateau",
    "Reshape",
    "Residual",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "StepLR",
    "Tanh",
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

# Everything is imported when it is first asked for: a program that runs a network from a file needs
# an eighth of cnnx, and starts in a fraction of the time (later.py).
_WHERE = _places(
    {
        "callbacks": (
            "Callback Checkpoint CSVLogger EarlyStopping LRScheduler ProgressBar TensorBoard"
        ),
        "checkpoint": "load_checkpoint save_checkpoint",
        "engine": "Plan compile load_plan",
        "graph": "Graph Input",
        "history": "History",
        "inference": "evaluate predict predict_labels predict_proba",
        "layers": (
            "Activation AdaptiveAvgPool1D AdaptiveAvgPool2D Add AvgPool1D AvgPool2D BatchNorm1D "
            "BatchNorm2D Concat Conv1D Conv2D ConvTranspose1D ConvTranspose2D Dropout Dropout2D "
            "ELU Embedding Flatten GELU GlobalAvgPool1D GlobalAvgPool2D GroupNorm Hardsigmoid "
            "Hardswish Identity InstanceNorm2D Layer LayerNorm LeakyReLU Linear "
            "LocalResponseNorm LogSoftmax MaxPool1D MaxPool2D Mish Multiply PReLU Parameter ReLU "
            "ReLU6 Reshape Residual Sequential SiLU Sigmoid Softmax Softplus Tanh Upsample "
            "ZeroPad1D ZeroPad2D load no_grad"
        ),
        "losses": (
            "BCELoss BCEWithLogitsLoss CrossEntropyLoss DiceLoss FocalLoss HuberLoss L1Loss "
            "MSELoss NLLLoss SmoothL1Loss"
        ),
        "metrics": "accuracy confusion_matrix precision_recall_f1 top_k_accuracy",
        "optim": "EMA SGD Adagrad Adam AdamW NAdam RMSProp clip_grad_norm clip_grad_value",
        "optim.schedules": (
            "ChainedScheduler CosineAnnealingLR CosineAnnealingWarmRestarts ExponentialLR "
            "LinearWarmup MultiStepLR OneCycleLR ReduceLROnPlateau SequentialLR StepLR"
        ),
        "preprocessing": "Preprocessing",
        "random": "manual_seed",
        "testing": "gradcheck",
        "training": "fit lr_find",
    }
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The names that are imported when they are first asked for."""
        import importlib

        if name in _WHERE:
            return _find(__name__, _WHERE, name)
        if name[0] != "_":
            try:
                return importlib.import_module(f"{__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{__name__}.{name}":
                    raise
        from .spelling import unknown

        pytorch = importlib.import_module(f"{__name__}.nn").__all__
        elsewhere = {n.lower(): f"cnnx.nn.{n}" for n in pytorch}
        elsewhere |= {"linearlr": "cnnx.LinearWarmup", "dataloader": "cnnx.data.DataLoader"}
        raise unknown(__name__, name, __all__, others=elsewhere)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
