"""Trains a network on Fashion-MNIST in cnnx and in PyTorch: the figures of docs/fashion_mnist.md.

    CNNX_DATA=data python bench/bench_fashion.py plain
    CNNX_DATA=data python bench/bench_fashion.py best --libraries cnnx

`plain` is the network of tutorials: two convolutions, a dense layer with dropout, Adam at a
constant rate. `best` is five convolutions with batch norm, a rate that rises and falls, and images
that are mirrored and shifted. For each seed, both libraries get the same initial weights and
batches; dropout masks are drawn by each library.
"""

# Design:
# PyTorch runs in channels_last, the faster of its memory formats on these networks (`cnnx bench
# models`), with the optimiser's defaults, as users run it. Times include the training steps and the
# preparation of batches, which is the same work for both; evaluation is excluded.

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple, Protocol

import numpy as np

import cnnx
from cnnx import BatchNorm2D, Conv2D, Dropout, Flatten, GlobalAvgPool2D, Linear, MaxPool2D, ReLU
from cnnx.bench import peers
from cnnx.bench.table import environment
from cnnx.bench.twins import module
from cnnx.cli.arguments import integer
from cnnx.data import Dataset

Images = np.ndarray


# --------------------------------------------------------------------------------------- recipes


def best_network() -> cnnx.Sequential:
    """Convolutions of 32 channels at 28 pixels, 48 and 48 at 14, 96 and 96 at 7; global pooling."""
    plan = [(1, 32), None, (32, 48), (48, 48), None, (48, 96), (96, 96)]
    parts: list[cnnx.Layer] = []
    for step in plan:
        if step is None:
            parts.append(MaxPool2D(2))
        else:
            before, after = step
            parts += [Conv2D(before, after, 3, padding=1, bias=False), BatchNorm2D(after), ReLU()]
    return cnnx.Sequential(*parts, GlobalAvgPool2D(), Flatten(), Dropout(0.2), Linear(96, 10))


def as_they_are(x: Images, rng: np.random.Generator) -> Images:
    return x


def moved(x: Images, rng: np.random.Generator) -> Images:
    """Mirror half of the images horizontally, and shift each by up to one pixel in each direction.

    A mirrored shoe or shirt is still a shoe or shirt; this would not work for digits.
    """
    n, _, height, width = x.shape
    chosen = rng.random((n, 1, 1, 1)) < 0.5
    mirrored = np.where(chosen, x[..., ::-1], x)
    edged = np.pad(mirrored, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(edged, (height, width), (2, 3))
    down, right = rng.integers(0, 3, (2, n))
    return windows[np.arange(n), :, down, right]


def constant(share: float) -> float:
    return 1.0


def one_cycle(share: float) -> float:
    """Linear rise over the first fifth of the steps, then half a cosine down to zero."""
    rise = 0.2
    if share < rise:
        return share / rise
    return (1 + math.cos(math.pi * (share - rise) / (1 - rise))) / 2


class Recipe(NamedTuple):
    """A training recipe: the rate is `lr` times `schedule(share)` after that share of the steps."""

    network: Callable[[], cnnx.Sequential]
    epochs: int
    lr: float
    schedule: Callable[[float], float]
    augment: Callable[[Images, np.random.Generator], Images]
    label_smoothing: float


RECIPES = {
    "plain": Recipe(cnnx.models.mnist_cnn, 10, 1e-3, constant, as_they_are, 0.0),
    "best": Recipe(best_network, 20, 3e-3, one_cycle, moved, 0.1),
}


# ------------------------------------------------------------------------------------- libraries


class Learner(Protocol):
    """A model in training: the common interface of both libraries."""

    def step(self, x: Images, y: np.ndarray, lr: float) -> float:
        """Forward, loss, backward, optimiser; returns the loss."""

    def labels(self, x: Images) -> np.ndarray:
        """Predicted labels of the images, in evaluation mode."""


class Ours:
    """Training in cnnx."""

    def __init__(self, model: cnnx.Sequential, recipe: Recipe) -> None:
        self.model = model
        self.optimizer = cnnx.Adam(model.parameters(), lr=recipe.lr)
        self.loss = cnnx.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def step(self, x: Images, y: np.ndarray, lr: float) -> float:
        self.optimizer.lr = lr
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        self.model.backward(self.loss.backward(), need_dx=False)
        self.optimizer.step()
        return loss

    def labels(self, x: Images) -> np.ndarray:
        return cnnx.predict_labels(self.model, x)


class Torch:
    """Training in PyTorch, starting from the weights of cnnx's model."""

    def __init__(self, model: cnnx.Sequential, recipe: Recipe) -> None:
        import torch

        self.torch = torch
        self.net = module(torch, model, channels_last=True)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=recipe.lr)
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def step(self, x: Images, y: np.ndarray, lr: float) -> float:
        self.net.train()
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.zero_grad()
        loss = self.loss(self.net(self._tensor(x)), self.torch.from_numpy(y))
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def labels(self, x: Images) -> np.ndarray:
        self.net.eval()
        with self.torch.inference_mode():
            parts = [self.net(part).argmax(1) for part in self._tensor(x).split(1000)]
        return self.torch.cat(parts).numpy()

    def _tensor(self, x: Images) -> Any:
        images = self.torch.from_numpy(np.ascontiguousarray(x))
        return images.to(memory_format=self.torch.channels_last)


LIBRARIES: dict[str, Callable[[cnnx.Sequential, Recipe], Learner]] = {"cnnx": Ours, "torch": Torch}


# -------------------------------------------------------------------------------------- training


def losses(
    learner: Learner, train: Dataset, recipe: Recipe, epochs: int, batch_size: int, seed: int
) -> Iterator[float]:
    """Train, and yield the loss of each step; all learners get the same batches."""
    loader = cnnx.data.batches(train, batch_size, shuffle=True, seed=seed)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        for number, (x, y) in enumerate(loader.epoch(epoch)):
            share = (epoch + number / len(loader)) / epochs
            lr = recipe.lr * recipe.schedule(share)
            yield learner.step(recipe.augment(x, rng), y, lr)


def run(
    library: str,
    recipe: Recipe,
    sets: tuple[Dataset, Dataset],
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, Any]:
    """One training run: its test accuracy in per cent, and its time in seconds."""
    train, test = sets
    cnnx.manual_seed(seed)
    learner = LIBRARIES[library](recipe.network(), recipe)
    start = time.perf_counter()
    last = [*losses(learner, train, recipe, epochs, batch_size, seed)][-1]
    seconds = time.perf_counter() - start
    if not math.isfinite(last):
        raise SystemExit(f"bench_fashion: {library}'s last loss is {last}")
    right = float(np.mean(learner.labels(test.x) == test.y))
    return {"library": library, "seed": seed, "accuracy": 100 * right, "seconds": seconds}


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
    parser.add_argument("--json", type=Path, help="write the figures here, after each run")
    given = parser.parse_args(arguments)
    if "torch" in given.libraries and not peers.available():
        parser.error("torch is not installed: pip install 'cnnx[peers]', or --libraries cnnx")
    recipe = RECIPES[given.recipe]
    epochs = recipe.epochs if given.epochs is None else given.epochs
    parts = (data[: given.samples] for data in cnnx.data.load_fashion_mnist())
    train, test = cnnx.data.normalize(*parts)
    weights = sum(p.data.size for p in recipe.network().parameters())
    print(f"{given.recipe}: {weights} parameters, {len(train)} images, {epochs} epochs")
    runs: list[dict[str, Any]] = []
    for seed in given.seeds:
        for library in given.libraries:
            found = run(library, recipe, (train, test), epochs, given.batch_size, seed)
            runs.append(found)
            print(
                "seed {seed}  {library:6}{accuracy:6.2f} %{seconds:7.0f} s".format(**found),
                flush=True,
            )
            if given.json:
                figures = {"recipe": given.recipe, "epochs": epochs, "environment": environment()}
                text = json.dumps({**figures, "runs": runs}, indent=1)
                given.json.write_text(text + "\n", encoding="utf-8")
    for library in given.libraries:
        print(summary(runs, library))


if __name__ == "__main__":
    main()
