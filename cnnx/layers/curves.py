"""Smooth activations: elementwise functions without a bend (ELU with alpha=1)."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops
from cnnx.layers.activation import Elementwise, PermitsInplace
from cnnx.layers.base import builtin

__all__ = ["ELU", "GELU", "Mish", "SiLU", "Softplus"]


@builtin
class ELU(PermitsInplace):
    """y = x where x > 0, else alpha * (exp(x) - 1), for x of any shape.

    alpha    -alpha is the limit far below 0
    inplace  has no effect, see `ReLU`

    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and Accurate Deep Network Learning by
    Exponential Linear Units (ELUs)", ICLR 2016.

    Example: ``ELU()(np.array([-np.inf, 2.0]))`` is ``[-1., 2.]``.
    """

    _function = staticmethod(ops.elu)
    _gradient = staticmethod(ops.elu_backward)
    saves = "input"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = checks.real("ELU", "alpha", alpha)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (self.alpha,)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


@builtin
class GELU(Elementwise):
    """y = x * P(X < x) with a normal X, for x of any shape.

    approximate  "tanh": y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2, the formula
                 of BERT and GPT-2; "none": the exact one

    -inf gives 0, as in the limit, and not NaN.

    D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.

    Example: ``GELU()(np.array([-1.0, 1.0]))`` is ``[-0.1587, 0.8413]``, rounded.
    """

    _function = staticmethod(ops.gelu)
    _gradient = staticmethod(ops.gelu_backward)
    saves = "input"

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = checks.choice("GELU", "approximate", approximate, ("none", "tanh"))

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (self.approximate,)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


@builtin
class SiLU(PermitsInplace):
    """y = x / (1 + exp(-x)), for x of any shape; also called swish, as in EfficientNet.

    inplace  has no effect, see `ReLU`

    -inf gives 0, as in the limit, and not NaN.

    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function
    Approximation in Reinforcement Learning", Neural Networks 2018.

    Example: ``SiLU()(np.array([0.0, 1.0]))`` is ``[0., 0.7311]``, rounded.
    """

    _function = staticmethod(ops.silu)
    _gradient = staticmethod(ops.silu_backward)
    saves = "input"


@builtin
class Softplus(Elementwise):
    """y = log(1 + exp(beta * x)) / beta, or x where beta * x > threshold, for x of any shape.

    beta       how sharply it bends; ValueError for 0
    threshold  above it the result is x itself

    C. Dugas et al., "Incorporating Second-Order Functional Knowledge for Better Option Pricing",
    NIPS 2000.

    Example: ``Softplus()(np.array([0.0, 30.0]))`` is ``[0.6931, 30.]``, rounded.
    """

    _function = staticmethod(ops.softplus)
    _gradient = staticmethod(ops.softplus_backward)
    saves = "input"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = checks.real("Softplus", "beta", beta)
        if self.beta == 0:
            raise ValueError("Softplus: beta=0, but another number is expected: y is divided by it")
        self.threshold = checks.real("Softplus", "threshold", threshold)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


@builtin
class Mish(PermitsInplace):
    """y = x * tanh(log(1 + exp(x))), for x of any shape: the activation of YOLOv4.

    inplace  has no effect, see `ReLU`

    -inf gives 0, as in the limit, and not NaN.

    D. Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", BMVC 2020.

    Example: ``Mish()(np.array([0.0, 1.0]))`` is ``[0., 0.8651]``, rounded.
    """

    _function = staticmethod(ops.mish)
    _gradient = staticmethod(ops.mish_backward)
    saves = "input"
