"""Trains networks by the recipes of the documentation, in cnnx and in PyTorch: the figures of
docs/fashion_mnist.md and docs/cifar10.md.

    CNNX_DATA=data python bench/bench_recipes.py tutorial
    CNNX_DATA=data python bench/bench_recipes.py fashion --seeds 0
    CNNX_DATA=data python bench/bench_recipes.py cifar --libraries cnnx

For each seed, both libraries get the same initial weights and the same augmented batches; dropout
masks are drawn by each library.
"""

# Design:
# PyTorch runs in channels_last, the faster of its memory formats on these networks (`cnnx bench
# models`), with the optimiser's defaults, as users run it. Times include the training steps and the
# preparation of batches, which is the same work for both; evaluation is excluded. Both loops are
# written out, step by step, so that `losses` can compare them; `fit` gives the same bits, which
# tests/test_recipes.py proves for the programs of the pages.

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple, Protocol

import numpy as np

import cnnx
from cnnx.bench import peers
from cnnx.bench.table import environment
from cnnx.bench.twins import module
from cnnx.cli.arguments import integer
from cnnx.data import Dataset
from cnnx.data.transforms import Compose, RandomCrop, RandomHorizontalFlip
from cnnx.optim.schedules import OneCycleLR

Images = np.ndarray
Sets = tuple[Dataset, Dataset]


# --------------------------------------------------------------------------------------- recipes


def standardised() -> Sets:
    return cnnx.data.normalize(*cnnx.data.load_fashion_mnist())


class Recipe(NamedTuple):
    """How a network is trained; the classes of optimisers have the same names in both libraries."""

    sets: Callable[[], Sets]
    network: Callable[[], cnnx.Sequential]
    epochs: int
    optimizer: str
    settings: dict[str, Any]  # of the optimiser
    one_cycle: bool = False  # OneCycleLR up to the optimiser's rate; otherwise a constant rate
    augment: Compose | None = None
    label_smoothing: float = 0.0
    ema: float | None = None
    mirrored: bool = False  # also report the accuracy of the mean over an image and its mirror


SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}

RECIPES = {
    "tutorial": Recipe(standardised, cnnx.models.mnist_cnn, 10, "Adam", {"lr": 1e-3}),
    "fashion": Recipe(
        cnnx.data.load_fashion_mnist,
        partial(cnnx.models.resnet20, in_channels=1),
        20,
        "SGD",
        SGD,
        one_cycle=True,
        augment=Compose([RandomCrop(28, padding=2), RandomHorizontalFlip()]),
        label_smoothing=0.1,
        ema=0.999,
        mirrored=True,
    ),
    "cifar": Recipe(
        cnnx.data.load_cifar10,
        cnnx.models.resnet20,
        10,
        "SGD",
        SGD,
        one_cycle=True,
        augment=Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()]),
        ema=0.99,
    ),
}


# ------------------------------------------------------------------------------------- libraries


class Learner(Protocol):
    """A model in training: the common interface of both libraries."""

    def step(self, x: Images, y: np.ndarray) -> float:
        """Forward, loss, backward, optimiser, schedule, averages; returns the loss."""

    def probabilities(self, x: Images) -> np.ndarray:
        """Of each class, by the averaged weights if there are any, in evaluation mode."""


class Ours:
    """Training in cnnx."""

    def __init__(self, model: cnnx.Sequential, recipe: Recipe, steps: int) -> None:
        self.model = model
        self.optimizer = getattr(cnnx, recipe.optimizer)(model.parameters(), **recipe.settings)
        self.loss = cnnx.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        lr = recipe.settings["lr"]
        self.schedule = OneCycleLR(self.optimizer, lr, steps) if recipe.one_cycle else None
        self.ema = cnnx.EMA(model, recipe.ema) if recipe.ema else None

    def step(self, x: Images, y: np.ndarray) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        self.model.backward(self.loss.backward(), need_dx=False)
        self.optimizer.step()
        if self.schedule:
            self.schedule.step()
        if self.ema:
            self.ema.update()
        return loss

    def probabilities(self, x: Images) -> np.ndarray:
        with self.ema.averaged() if self.ema else nullcontext():
            return cnnx.predict_proba(self.model, x)


class Torch:
    """Training in PyTorch, starting from the weights of cnnx's model."""

    def __init__(self, model: cnnx.Sequential, recipe: Recipe, steps: int) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self.torch = torch
        self.net = module(torch, model, channels_last=True)
        optimizer = getattr(torch.optim, recipe.optimizer)
        self.optimizer = optimizer(self.net.parameters(), **recipe.settings)
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        one_cycle, lr = torch.optim.lr_scheduler.OneCycleLR, recipe.settings["lr"]
        self.schedule = one_cycle(self.optimizer, lr, steps) if recipe.one_cycle else None
        self.ema = None
        if recipe.ema:
            average = get_ema_multi_avg_fn(recipe.ema)
            self.ema = AveragedModel(self.net, multi_avg_fn=average, use_buffers=True)

    def step(self, x: Images, y: np.ndarray) -> float:
        self.net.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.net(self._tensor(x)), self.torch.from_numpy(y))
        loss.backward()
        self.optimizer.step()
        if self.schedule:
            self.schedule.step()
        if self.ema:
            self.ema.update_parameters(self.net)
        return loss.item()

    def probabilities(self, x: Images) -> np.ndarray:
        net = (self.ema or self.net).eval()
        with self.torch.inference_mode():
            parts = [net(part).softmax(1) for part in self._tensor(x).split(1000)]
        return self.torch.cat(parts).numpy()

    def _tensor(self, x: Images) -> Any:
        images = self.torch.from_numpy(np.ascontiguousarray(x))
        return images.to(memory_format=self.torch.channels_last)


LIBRARIES: dict[str, Callable[[cnnx.Sequential, Recipe, int], Learner]] = {
    "cnnx": Ours,
    "torch": Torch,
}


# -------------------------------------------------------------------------------------- training


def losses(
    library: str, recipe: Recipe, train: Dataset, epochs: int, batch_size: int, seed: int
) -> Iterator[tuple[Learner, float]]:
    """Train, and yield the learner and the loss after each step; all libraries get the same
    batches."""
    cnnx.manual_seed(seed)
    model = recipe.network()
    loader = cnnx.data.batches(train, batch_size, shuffle=True, seed=seed, transform=recipe.augment)
    learner = LIBRARIES[library](model, recipe, epochs * len(loader))
    for epoch in range(epochs):
        for x, y in loader.epoch(epoch):
            yield learner, learner.step(x, y)


def run(
    library: str, recipe: Recipe, sets: Sets, epochs: int, batch_size: int, seed: int
) -> dict[str, Any]:
    """One training run: its test accuracy in per cent, and its time in seconds."""
    train, test = sets
    start = time.perf_counter()
    steps = losses(library, recipe, train, epochs, batch_size, seed)
    ((learner, loss),) = deque(steps, maxlen=1)
    seconds = time.perf_counter() - start
    if not math.isfinite(loss):
        raise SystemExit(f"bench_recipes: {library}'s last loss is {loss}")
    found = {"library": library, "seed": seed, "seconds": seconds}
    seen = learner.probabilities(test.x)
    found["accuracy"] = _accuracy(seen, test.y)
    if recipe.mirrored:
        seen = seen + learner.probabilities(test.x[..., ::-1])
        found["mirrored"] = _accuracy(seen, test.y)
    return found


def _accuracy(probabilities: np.ndarray, y: np.ndarray) -> float:
    return 100 * float(np.mean(probabilities.argmax(1) == y))


def _line(found: dict[str, Any]) -> str:
    mirrored = f"  with its mirror {found['mirrored']:.2f} %" if "mirrored" in found else ""
    return "seed {seed}  {library:6}{accuracy:6.2f} %{seconds:7.0f} s".format(**found) + mirrored


def summary(runs: list[dict[str, Any]], library: str) -> str:
    own = [run for run in runs if run["library"] == library]
    found = [run["accuracy"] for run in own]
    spread = f" (sd {stdev(found):.2f})" if len(found) > 1 else ""
    seconds = mean(run["seconds"] for run in own)
    return f"{library}: mean {mean(found):.2f} %{spread}, {seconds:.0f} s per run"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--libraries", choices=LIBRARIES, nargs="+", default=[*LIBRARIES])
    parser.add_argument("--epochs", type=integer(1), help="default: the recipe's")
    parser.add_argument("--seeds", type=integer(0), nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=integer(1), default=64)
    parser.add_argument("--samples", type=integer(1), help="of train and of test; default: all")
    parser.add_argument("--threads", type=integer(1), help="of both libraries; default: theirs")
    parser.add_argument("--json", type=Path, help="write the figures here, after each run")
    given = parser.parse_args(arguments)
    if "torch" in given.libraries and not peers.available():
        parser.error("torch is not installed: pip install 'cnnx[peers]', or --libraries cnnx")
    if given.threads:
        _use_threads(given.threads, given.libraries)
    recipe = RECIPES[given.recipe]
    epochs = recipe.epochs if given.epochs is None else given.epochs
    train, test = (data[: given.samples] for data in recipe.sets())
    weights = sum(p.data.size for p in recipe.network().parameters())
    print(f"{given.recipe}: {weights} parameters, {len(train)} images, {epochs} epochs")
    runs: list[dict[str, Any]] = []
    for seed in given.seeds:
        for library in given.libraries:
            found = run(library, recipe, (train, test), epochs, given.batch_size, seed)
            runs.append(found)
            print(_line(found), flush=True)
            if given.json:
                figures = {"recipe": given.recipe, "epochs": epochs, "environment": environment()}
                text = json.dumps({**figures, "runs": runs}, indent=1)
                given.json.write_text(text + "\n", encoding="utf-8")
    for library in given.libraries:
        print(summary(runs, library))


def _use_threads(threads: int, libraries: list[str]) -> None:
    cnnx.set_num_threads(threads)
    if "torch" in libraries:
        import torch

        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
