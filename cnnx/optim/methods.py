"""The optimisers: each defines its settings, its state and one call of an in-place op."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cnnx import checks, ops
from cnnx.optim.base import Bounds, Optimizer, Params
from cnnx.optim.state import Arrays, Grads, Group, State

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "NAdam", "RMSProp"]

_LOG_OF_NOTHING = -38.0  # exp of it is below the rounding error of 1
_LATER: dict[str, Any] = {"maximize": False}  # what states written before do not have


def _not_negative(*names: str) -> Bounds:
    return {name: (0.0, math.inf) for name in names}


class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

    g = grad + weight_decay * w;   v = momentum * v + (1 - dampening) * g;   w -= lr * v
    (nesterov: w -= lr * (g + momentum * v);   in the first step v = g)

    params        parameters or groups             lr        step size, required
    momentum      0 = none                         nesterov  needs momentum above 0
    weight_decay  L2 penalty                       maximize  the loss, in place of minimising it
    dampening     from 0 to 1, without nesterov

    I. Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013.

    Example: ``SGD(model.parameters(), lr=0.1, momentum=0.9)``
    """

    _bounds: ClassVar[Bounds] = _not_negative("lr", "momentum", "weight_decay") | {
        "dampening": (0.0, 1.0)
    }
    _flags = ("nesterov", "maximize")
    _later: ClassVar[dict[str, Any]] = {**_LATER, "dampening": 0.0}

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        dampening: float = 0.0,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        settings |= {"weight_decay": weight_decay, "maximize": maximize, "dampening": dampening}
        super().__init__(params, settings)

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        checked = super()._checked(settings)
        momentum, dampening = checked["momentum"], checked["dampening"]
        if checked["nesterov"] and not (momentum and dampening == 0):
            given = f"momentum={momentum} and dampening={dampening}"
            raise ValueError(f"SGD: nesterov with {given}, expected momentum > 0 and dampening=0")
        return checked

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"velocity": 0.0} if group["momentum"] else {}

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        ops.sgd_step(
            params,
            grads,
            state.get("velocity"),
            group["lr"],
            group["momentum"],
            group["weight_decay"],
            group["nesterov"],
            maximize=group["maximize"],
            dampening=group["dampening"] if step > 1 else 0.0,
        )


class RMSProp(Optimizer):
    """Steps divided by a running root mean square of the gradient.

    g = grad + weight_decay * w;   s = alpha * s + (1 - alpha) * g^2
    w -= lr * g / (sqrt(s) + eps)
    centered: subtract the squared running mean of g from s, with a minimum of 0, since rounding
    makes the difference negative for equal gradients (NaN in PyTorch);   momentum: steps accumulate
    in a velocity

    params  parameters or groups
    lr, alpha, eps, weight_decay, momentum, centered, maximize  as in PyTorch

    T. Tieleman, G. Hinton, Coursera Lecture 6.5, 2012.

    Example: ``RMSProp(model.parameters(), lr=1e-3)``
    """

    _bounds: ClassVar[Bounds] = _not_negative("lr", "eps", "weight_decay", "momentum") | {
        "alpha": (0.0, 1.0)
    }
    _flags = ("centered", "maximize")
    _later = _LATER

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        names = ["square_avg"]
        names += ["grad_avg"] if group["centered"] else []
        names += ["velocity"] if group["momentum"] else []
        return dict.fromkeys(names, 0.0)

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        ops.rmsprop_step(
            params,
            grads,
            state["square_avg"],
            state["grad_avg"] if group["centered"] else None,
            state["velocity"] if group["momentum"] else None,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            maximize=group["maximize"],
        )


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    g = grad + weight_decay * w;   s += g^2;
    w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps)

    params  parameters or groups
    lr, lr_decay, weight_decay, initial_accumulator_value (of s), eps, maximize  as in PyTorch

    J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods", JMLR 2011.

    Example: ``Adagrad(model.parameters(), lr=0.05)``
    """

    _bounds = _not_negative("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
    _flags = ("maximize",)
    _later = _LATER

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"sum_sq": group["initial_accumulator_value"]}

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        lr = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        ops.adagrad_step(
            params,
            grads,
            state["sum_sq"],
            lr,
            group["eps"],
            group["weight_decay"],
            maximize=group["maximize"],
        )


class _Moments(Optimizer):
    """Methods with the running mean of the gradient and of its square."""

    _bounds = _not_negative("lr", "eps", "weight_decay")
    _later = _LATER

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        betas = settings["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{self._name}: betas is {betas!r}, expected (beta1, beta2)")
        for index, beta in enumerate(betas):
            checks.real(self._name, f"betas[{index}]", beta, 0.0, below=1.0)
        return super()._checked(settings)

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}


class Adam(_Moments):
    """Running mean of the gradient over the root of its running square, both bias-corrected.

    g = grad + weight_decay * w
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g^2
    w -= lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)
    amsgrad: the largest v so far takes its place in the last line

    params  parameters or groups
    lr, betas = (beta1, beta2), eps, weight_decay, amsgrad, maximize  as in PyTorch

    D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015; amsgrad: S. Reddi,
    S. Kale, S. Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.

    Example: ``Adam(model.parameters(), lr=1e-3)``
    """

    _decoupled: ClassVar[bool] = False
    _flags = ("amsgrad", "maximize")
    _later: ClassVar[dict[str, Any]] = {**_LATER, "amsgrad": False}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def _state_arrays(self, group: dict[str, Any]) -> dict[str, float]:
        names = super()._state_arrays(group)
        return {**names, "max_exp_avg_sq": 0.0} if group["amsgrad"] else names

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        beta1, beta2 = group["betas"]
        ops.adam_step(
            params,
            grads,
            state["exp_avg"],
            state["exp_avg_sq"],
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            step,
            state["max_exp_avg_sq"] if group["amsgrad"] else None,
            self._decoupled,
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """`Adam` with decoupled weight decay: w *= 1 - lr * weight_decay before each step, whose g is
    the gradient of the loss alone.

    params  parameters or groups
    lr, betas, eps, weight_decay (0.01), amsgrad, maximize  as in PyTorch

    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Example: ``AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)``
    """

    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


class NAdam(_Moments):
    """Adam with Nesterov's momentum.

    g, m, v as in `Adam`;   mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2) in step t
    w -= lr * ((1 - mu_t) / (1 - mu_1...mu_t) * g + mu_(t+1) / (1 - mu_1...mu_(t+1)) * m)
            / (sqrt(v / (1 - beta2^t)) + eps)

    params  parameters or groups
    lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay (as in `AdamW`), maximize
            as in PyTorch

    The product mu_1...mu_t is that of the present settings: PyTorch's differs if beta1 changes
    during training, as with `OneCycleLR`.

    T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR Workshop 2016.

    Example: ``NAdam(model.parameters(), lr=2e-3)``
    """

    _bounds: ClassVar[Bounds] = {**_Moments._bounds, **_not_negative("momentum_decay")}
    _flags = ("decoupled_weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def _update(self, params: Arrays, grads: Grads, state: State, group: Group, step: int) -> None:
        beta1, beta2 = group["betas"]
        mu, mu_next, mu_product = _nesterov(step, beta1, group["momentum_decay"])
        ops.nadam_step(
            params,
            grads,
            state["exp_avg"],
            state["exp_avg_sq"],
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            mu,
            mu_next,
            mu_product,
            step,
            group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


def _nesterov(step: int, beta1: float, decay: float) -> tuple[float, float, float]:
    """NAdam's momentum in this step and in the next, and its product over the steps up to this."""

    def mu(step: Any) -> Any:
        return beta1 * (1 - 0.5 * 0.96 ** (step * decay))

    # Every factor is at most beta1: further ones change nothing, for 1 less the product is 1.
    enough = 1 if not beta1 else math.ceil(_LOG_OF_NOTHING / math.log(beta1))
    product = np.prod(mu(np.arange(1, min(step, enough) + 1)))
    return mu(step), mu(step + 1), float(product)
