"""`MixUp` and `CutMix`: batches whose samples are mixed with each other, and their labels too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from .base import Transform

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .base import Pair

__all__ = ["CutMix", "MixUp"]


@dataclass
class MixUp(Transform):
    """Mix each sample with its neighbour in the batch, and their labels in the same proportion.

    alpha        parameter of the Beta distribution; 0.2 changes images little, 1 is uniform
    num_classes  number of classes, needed for integer labels y (n,), which become rows (n, k)

    lam ~ Beta(alpha, alpha), one number per batch; x[i] -> lam*x[i] + (1-lam)*x[i-1], with x[-1]
    the last sample, and the same for the one-hot rows of y. Targets of numbers (n, ...) are mixed
    as they are. `CrossEntropyLoss` accepts the result; a shuffled batch mixes random pairs.

    H. Zhang et al., mixup: Beyond empirical risk minimization, ICLR 2018, arXiv:1710.09412.

    Example: ``MixUp(alpha=0.2, num_classes=10)(x, y, rng)``
    """

    alpha: float = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check(self)

    def apply(self, x: np.ndarray, y: ArrayLike | None, rng: np.random.Generator) -> Pair:
        rows = _rows("MixUp", y, self.num_classes, x.dtype)
        lam = rng.beta(self.alpha, self.alpha)
        return _mixed(x, lam), _mixed(rows, lam)


@dataclass
class CutMix(Transform):
    """Paste a rectangle of its neighbour into each sample, and mix their labels by area.

    alpha, num_classes  as in `MixUp`

    lam ~ Beta(alpha, alpha); the rectangle has the size sqrt(1-lam) * (h, w), and its centre is
    uniform in the image, which cuts it off. One rectangle per batch; x[i] gets that of x[i-1]. The
    label is lam*y[i] + (1-lam)*y[i-1], with 1-lam the share of pixels that were pasted.

    S. Yun et al., CutMix: Regularization strategy to train strong classifiers with localizable
    features, ICCV 2019, arXiv:1905.04899.

    Example: ``CutMix(num_classes=10)(x, y, rng)``
    """

    alpha: float = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check(self)

    def apply(self, x: np.ndarray, y: ArrayLike | None, rng: np.random.Generator) -> Pair:
        rows = _rows("CutMix", y, self.num_classes, x.dtype)
        h, w = x.shape[2:]
        half = 0.5 * math.sqrt(1 - rng.beta(self.alpha, self.alpha))
        row, column = (int(rng.integers(max(size, 1))) for size in (h, w))
        top, bottom = max(row - int(half * h), 0), min(row + int(half * h), h)
        left, right = max(column - int(half * w), 0), min(column + int(half * w), w)
        pasted = x.copy()
        pasted[:, :, top:bottom, left:right] = np.roll(x, 1, axis=0)[:, :, top:bottom, left:right]
        lam = 1 - (bottom - top) * (right - left) / max(h * w, 1)
        return pasted, _mixed(rows, lam)


def _check(transform: MixUp | CutMix) -> None:
    op = type(transform).__name__
    transform.alpha = checks.real(op, "alpha", transform.alpha)
    if transform.alpha <= 0:
        raise ValueError(f"{op}: alpha is {transform.alpha}, expected a number above 0")
    if transform.num_classes is not None:
        transform.num_classes = checks.integer(op, "num_classes", transform.num_classes, 1)


def _mixed(values: np.ndarray, lam: float) -> np.ndarray:
    """lam*values[i] + (1-lam)*values[i-1]."""
    lam = values.dtype.type(lam)
    return lam * values + (1 - lam) * np.roll(values, 1, axis=0)


def _rows(op: str, y: Any, classes: int | None, dtype: np.dtype[Any]) -> np.ndarray:
    """Targets that can be mixed: one-hot rows of integer labels, other numbers as floats."""
    if y is None:
        raise ValueError(f"{op}: needs the labels too: transform(x, y, rng)")
    labels = np.asarray(y)
    if labels.dtype.kind not in "iub" or (labels.ndim > 1 and labels.shape[1:] != (1,)):
        return labels.astype(labels.dtype if labels.dtype.kind == "f" else dtype, copy=False)
    labels = labels.reshape(-1)
    if classes is None:
        raise ValueError(f"{op}: num_classes is needed for integer labels, {op}(num_classes=10)")
    checks.labels(op, labels, classes)
    rows = np.zeros((len(labels), classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows
