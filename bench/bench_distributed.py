"""Data-parallel training: measured on the ranks of this machine, and on paper for many machines.

    mpirun -n 2 --bind-to none python bench/bench_distributed.py measure
    python bench/bench_distributed.py model

`measure` trains ResNet-20 in four ways in turn: by one process with a thread for each rank, which
gets the samples of all; and by the ranks of one thread, without communication, with sums after
backward, and with sums during backward. It prints medians over the rounds. Efficiency is that of
the last way against the first. CPU time is that of each thread; where other programs run, it shows
what the ranks spend on communication. The communication is what the optimiser's `step` takes longer
than without, on the rank that comes to it last, for which the others wait; the hidden share of it
is what sending during backward saves.

`model` measures the CPU time of a training step of one thread, and prints the table of
docs/distributed.md: the efficiency of p nodes that each have a batch of that size,

    compute / (compute + unhidden),  unhidden = max(last, communication - backward)
    communication = sum over the buckets of 2 (p-1)/p * bytes / bandwidth + 2 log2(p) * latency

where `last` is the time of the last bucket, which becomes final when backward ends.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx.distributed.buckets import groups

# Gbit/s -> seconds of a small message: Ethernet by TCP, faster Ethernet, InfiniBand.
LINKS = {1: 50e-6, 10: 20e-6, 100: 2e-6}
NODES = (2, 8, 64, 1000)
NETWORKS = {"resnet20": ((3, 32, 32), 128), "resnet18": ((3, 32, 32), 32)}  # shape, batch


def problem(name: str, batch: int) -> tuple[cnnx.Layer, np.ndarray, np.ndarray]:
    shape, _ = NETWORKS[name]
    cnnx.manual_seed(0)
    rng = np.random.default_rng(0)
    model = cnnx.models.build(name, shape, 10)
    return model, rng.random((batch, *shape), np.float32), rng.integers(0, 10, batch)


class Way(NamedTuple):
    """A way to train: what it is called, its optimiser, the samples of a rank, its threads."""

    name: str
    optimizer: Any
    x: np.ndarray
    y: np.ndarray
    threads: int = 1
    alone: bool = False  # only rank 0 computes


def timed(way: Way, model: cnnx.Layer, loss: cnnx.Loss) -> tuple[float, float, float]:
    """Seconds of a training step, of the optimiser's part of it, and CPU time by thread."""
    cnnx.set_num_threads(way.threads)
    start, cpu = time.perf_counter(), time.process_time()
    way.optimizer.zero_grad()
    loss(model(way.x), way.y)
    model.backward(loss.backward(), need_dx=False)
    middle = time.perf_counter()
    way.optimizer.step()
    end = time.perf_counter()
    return end - start, end - middle, (time.process_time() - cpu) / way.threads


def together(comm: cnnx.distributed.Comm, way: Way, model: cnnx.Layer, loss: cnnx.Loss) -> Any:
    """`timed` on all ranks at once: of the slowest, but the optimiser of the last to come."""
    comm.gather(None)
    if not way.alone:
        steps, parts, cpus = zip(*comm.gather(timed(way, model, loss)))
        return max(steps), min(parts), max(cpus)
    if comm.rank == 0:
        took = timed(way, model, loss)
    request = comm._world.Ibarrier()
    while not request.Test():  # without taking a core from rank 0
        time.sleep(0.002)
    return took if comm.rank == 0 else None


def measure(batch: int, rounds: int) -> None:
    """Step times of this program's ranks, beside those of one process."""
    comm = cnnx.distributed.init()
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < comm.size:
        raise SystemExit("a rank may use fewer cores than there are ranks: mpirun --bind-to none")
    model, x, y = problem("resnet20", batch * comm.size)
    mine = comm.rows(len(x))
    plain = cnnx.SGD(model.parameters(), lr=0.0)
    after = comm.wrap(cnnx.SGD(model.parameters(), lr=0.0), overlap=False)
    during = comm.wrap(cnnx.SGD(model.parameters(), lr=0.0))
    ways = [
        Way(f"one process, {comm.size} threads", plain, x, y, comm.size, alone=True),
        Way("ranks, no communication", plain, x[mine], y[mine]),
        Way("ranks, sums after backward", after, x[mine], y[mine]),
        Way("ranks, sums during backward", during, x[mine], y[mine]),
    ]
    loss = cnnx.CrossEntropyLoss()
    times = [[together(comm, way, model, loss) for way in ways] for _ in range(rounds + 2)]
    if comm.rank > 0:
        return
    steps, parts, cpus = np.moveaxis(np.array(times[2:]), 2, 0)  # the first two warm up
    print(f"ResNet-20, {comm.size} ranks of one thread, {batch} samples each, {rounds} rounds")
    for way, step, cpu in zip(ways, np.median(steps, axis=0), np.median(cpus, axis=0)):
        print(f"  {way.name:28} {step * 1e3:8.1f} ms a step, {cpu * 1e3:8.1f} ms of CPU time")
    spent = 1 - np.median(cpus[:, 1] / cpus[:, 3])
    print(f"  efficiency {np.median(steps[:, 0] / steps[:, 3]):.3f}, ", end="")
    print(f"CPU time of the communication {spent:.3f}")
    _, without, whole, left = np.median(parts, axis=0)
    print(f"  communication {(whole - without) * 1e3:.2f} ms after backward, of which ", end="")
    print(f"{(left - without) * 1e3:.2f} ms are left if sent during it: ", end="")
    print(f"hidden share {(whole - left) / (whole - without):.2f}")


def cpu_times(name: str) -> tuple[float, float, list[int]]:
    """(seconds of a step, of its backward, bytes of each bucket of gradients), of one thread."""
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
    buckets = [sum(p.data.nbytes for p in group) for group in groups(model.parameters())]
    return median(steps[1:]), median(backwards[1:]), buckets


def efficiency(p: int, link: int, step: float, backward: float, buckets: list[int]) -> float:
    """The formula at the top of this file."""
    latency = 2 * math.log2(p) * LINKS[link]

    def seconds(count: float) -> float:
        return 2 * (p - 1) / p * count * 8 / (link * 1e9) + latency

    communication, last = sum(map(seconds, buckets)), seconds(buckets[-1])
    return step / (step + max(last, communication - backward))


def model() -> None:
    for name in NETWORKS:
        step, backward, buckets = cpu_times(name)
        batch = NETWORKS[name][1]
        print(f"{name}, {batch} samples a node: a step takes {step * 1e3:.0f} ms, of which")
        print(
            f"backward {backward * 1e3:.0f} ms; gradients of {sum(buckets) / 1e6:.1f} MB, in ",
            end="",
        )
        print(f"{len(buckets)} buckets, of which the last has {buckets[-1] / 1e3:.0f} KB\n")
        print("| nodes | " + " | ".join(f"{link} Gbit/s" for link in LINKS) + " |")
        print("|---|" + "---|" * len(LINKS))
        for p in NODES:
            cells = [f"{efficiency(p, link, step, backward, buckets):.3f}" for link in LINKS]
            print(f"| {p:,} | " + " | ".join(cells) + " |")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "model"))
    parser.add_argument("--batch", type=int, default=64, help="samples of each rank, to measure")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()

    if asked.what == "measure":
        measure(asked.batch, asked.rounds)
    else:
        model()


if __name__ == "__main__":
    main()
