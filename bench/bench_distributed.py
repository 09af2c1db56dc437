"""Data-parallel training: measured on the ranks of this machine, and on paper for many machines.

    mpirun -n 2 python bench/bench_distributed.py measure --rounds 20
    python bench/bench_distributed.py model

`measure` trains ResNet-20 in three ways in turn: without communication, with sums after backward,
and with sums during backward. It prints medians, and which share of the communication is hidden.
`model` measures the CPU time of a training step of one thread, and prints the table of
docs/distributed.md: the efficiency of p nodes that each have a batch of that size,

    compute / (compute + unhidden),  unhidden = max(last, communication - backward)
    communication = sum over the buckets of 2 (p-1)/p * bytes / bandwidth + 2 log2(p) * latency

where `last` is the time of the last bucket, which becomes final when backward ends.
"""

from __future__ import annotations

import argparse
import math
import time
from statistics import median

import numpy as np

import cnnx

# Gbit/s -> seconds of a small message: Ethernet by TCP, faster Ethernet, InfiniBand.
LINKS = {1: 50e-6, 10: 20e-6, 100: 2e-6}
NODES = (2, 8, 64, 1000)
BUCKET = 1 << 20  # bytes, as in cnnx.distributed.buckets
NETWORKS = {"resnet20": ((3, 32, 32), 128), "resnet18": ((3, 32, 32), 32)}  # shape, batch


def problem(name: str, batch: int) -> tuple[cnnx.Layer, np.ndarray, np.ndarray]:
    shape, _ = NETWORKS[name]
    cnnx.manual_seed(0)
    rng = np.random.default_rng(0)
    model = cnnx.models.build(name, shape, 10)
    return model, rng.random((batch, *shape), np.float32), rng.integers(0, 10, batch)


def measure(batch: int, rounds: int) -> None:
    """Step times of this program's ranks; the slowest rank counts."""
    comm = cnnx.distributed.init()
    cnnx.set_num_threads(1)
    model, x, y = problem("resnet20", batch)
    loss = cnnx.CrossEntropyLoss()
    alone = cnnx.SGD(model.parameters(), lr=0.0)
    ways = {
        "no communication": alone,
        "sums after backward": comm.wrap(cnnx.SGD(model.parameters(), lr=0.0), overlap=False),
        "sums during backward": comm.wrap(cnnx.SGD(model.parameters(), lr=0.0)),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 2):  # the first two warm up
        for name, optimizer in ways.items():
            comm.gather(None)  # all begin at once
            start = time.perf_counter()
            optimizer.zero_grad()
            loss(model(x), y)
            model.backward(loss.backward(), need_dx=False)
            optimizer.step()
            times[name].append(max(comm.gather(time.perf_counter() - start)))
    if comm.rank > 0:
        return
    medians = {name: median(values[2:]) for name, values in times.items()}
    none, after, during = medians.values()
    print(f"{comm.size} ranks, ResNet-20, {batch} samples each, {rounds} rounds, median:")
    for name, value in medians.items():
        print(f"  {name:21} {value * 1e3:8.1f} ms a step, efficiency {none / value:.3f}")
    if after > none:
        print(f"  hidden share of the communication {(after - during) / (after - none):.2f}")


def cpu_times(name: str) -> tuple[float, float, int]:
    """(seconds of a step, of its backward, bytes of the gradients), of one thread."""
    cnnx.set_num_threads(1)
    model, x, y = problem(name, NETWORKS[name][1])
    optimizer, loss = cnnx.SGD(model.parameters(), lr=0.0), cnnx.CrossEntropyLoss()
    steps, backwards = [], []
    for _ in range(3):
        optimizer.zero_grad()
        start = time.thread_time()
        loss(model(x), y)
        middle = time.thread_time()
        model.backward(loss.backward(), need_dx=False)
        after = time.thread_time()
        optimizer.step()
        steps.append(time.thread_time() - start)
        backwards.append(after - middle)
    return median(steps[1:]), median(backwards[1:]), sum(p.data.nbytes for p in model.parameters())


def efficiency(p: int, link: int, step: float, backward: float, size: int) -> float:
    """The formula at the top of this file."""
    latency = 2 * math.log2(p) * LINKS[link]

    def seconds(count: float) -> float:
        return 2 * (p - 1) / p * count * 8 / (link * 1e9) + latency

    whole, rest = divmod(size, BUCKET)
    communication = whole * seconds(BUCKET) + (seconds(rest) if rest else 0.0)
    last = seconds(rest or BUCKET)
    return step / (step + max(last, communication - backward))


def model() -> None:
    for name in NETWORKS:
        step, backward, size = cpu_times(name)
        batch = NETWORKS[name][1]
        print(f"{name}, {batch} samples a node: a step takes {step * 1e3:.0f} ms, of which")
        print(f"backward {backward * 1e3:.0f} ms; gradients of {size / 1e6:.1f} MB\n")
        print("| nodes | " + " | ".join(f"{link} Gbit/s" for link in LINKS) + " |")
        print("|---|" + "---|" * len(LINKS))
        for p in NODES:
            cells = [f"{efficiency(p, link, step, backward, size):.3f}" for link in LINKS]
            print(f"| {p:,} | " + " | ".join(cells) + " |")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "model"))
    parser.add_argument("--batch", type=int, default=64, help="samples of each rank, to measure")
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()

    if asked.what == "measure":
        measure(asked.batch, asked.rounds)
    else:
        model()


if __name__ == "__main__":
    main()
