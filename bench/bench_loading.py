"""Speed of training from a folder and with augmentation, relative to training from memory.

    python bench/bench_loading.py --images 2000 --rounds 9 --threads 2

Trains a ResNet-20 for an epoch in each way, in turn, so that other load affects all alike; prints
the median over rounds of the samples per second of each way, and the median and quartiles of its
share of the speed from memory in the same round.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import cnnx
from cnnx.bench.table import environment
from cnnx.bench.timing import spread
from cnnx.data import ImageFolder, batches
from cnnx.data.transforms import Compose, RandomCrop, RandomHorizontalFlip


def write_images(root: Path, count: int) -> None:
    """PNGs of 32x32 in ten class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(count):
        folder = root / str(k % 10)
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{k}.png")


def seconds(model: cnnx.Layer, loader: Any, epoch: int) -> float:
    """The time of one epoch."""
    optimizer, loss = cnnx.SGD(model.parameters(), lr=0.01), cnnx.CrossEntropyLoss()
    start = time.perf_counter()
    for x, y in loader.epoch(epoch):
        loss(model(x), y)
        optimizer.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="threads that prepare batches")
    parser.add_argument("--threads", type=int, help="threads of cnnx; default: one for each core")
    asked = parser.parse_args()
    if asked.threads is not None:
        cnnx.set_num_threads(asked.threads)
    augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])
    with tempfile.TemporaryDirectory() as root:
        write_images(Path(root), asked.images)
        warm = ImageFolder(root)
        memory = warm.take(np.arange(len(warm)))
        ways = {
            "memory": batches(memory, 128, True, 0),
            "memory, augmented": batches(memory, 128, True, 0, transform=augment, workers=1),
            "folder, cached": batches(warm, 128, True, 0, workers=asked.workers),
            "folder, decoded": batches(
                ImageFolder(root, cache_bytes=0), 128, True, 0, workers=asked.workers
            ),
        }
        model = cnnx.models.resnet20(classes=10)
        seconds(model, ways["memory"], 0)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(asked.rounds):
            for name, loader in ways.items():
                times[name].append(seconds(model, loader, round_))
    found = environment()
    shown = ("processor", "cores", "threads", "kernel set (ISA)", "cnnx", "numpy")
    print(", ".join(f"{name} {found[name]}" for name in shown), end="\n\n")
    print("| data | images/s | share of the speed from memory, % |\n| --- | --- | --- |")
    for name, values in times.items():
        share = spread([100 * a / b for a, b in zip(times["memory"], values, strict=True)])
        print(
            f"| {name} | {asked.images / median(values):.0f} "
            f"| {share.median:.1f} ({share.low:.1f}-{share.high:.1f}) |"
        )


if __name__ == "__main__":
    main()
