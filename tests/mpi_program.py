"""The program of test_distributed.py: a rank, which saves what the tests look at.

    mpirun -n 2 python mpi_program.py DIRECTORY SCENARIO...

Each scenario returns a state tree, saved as DIRECTORY/<scenario>-<ranks>-<rank>.npz.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np

import cnnx
from cnnx.distributed.scores import shared_evaluate

SHARDS = 4


def images(n=66, seed=0):
    """Small images of three classes. The last batch of 24 has 18: the fourth shard is empty."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return (rng.normal(size=(n, 1, 5, 5)) + y[:, None, None, None]).astype(np.float32), y


def network(norm=False, dropout=0.0):
    cnnx.manual_seed(3)
    return cnnx.Sequential(
        cnnx.Conv2D(1, 4, 3, bias=not norm), cnnx.BatchNorm2D(4) if norm else cnnx.Identity(),
        cnnx.ReLU(), cnnx.Flatten(), cnnx.Dropout(dropout), cnnx.Linear(36, 3),
    )  # fmt: skip


def settings(**more):
    validation = images(300, 1)
    return {
        "batch_size": 24,
        "epochs": 2,
        "seed": 5,
        "verbose": False,
        "validation": validation,
    } | more


def state(model, history):
    columns = {name: column for name, column in dict(history).items() if name != "seconds"}
    return {"model": model.state_dict(), "history": columns}


def fit(comm, model, train=None, **more):
    train = images() if train is None else train
    return state(model, cnnx.distributed.fit(model, train, comm=comm, **settings(**more)))


class At(cnnx.Callback):
    """Calls a function in a batch, counted over all epochs, on one rank."""

    def __init__(self, comm, rank, number, function):
        self.wanted = comm.rank == min(rank, comm.size - 1)
        self.left, self.function = number, function

    def on_batch_end(self, batch, logs):
        self.left -= 1
        if self.wanted and self.left == 0:
            self.function(self)


def error_of(function):
    """The type and text of the error on this rank; the run goes on, so all ranks had one."""
    try:
        function()
    except (Exception, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


# -- scenarios ---------------------------------------------------------------------------------


def ordered(comm):
    """What plain `fit` with accumulate does, with everything that has a state."""
    model = network()
    optimizer = cnnx.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return fit(comm, model, **extras(model, optimizer), reduction="ordered", shards=SHARDS)


def extras(model, optimizer):
    return {
        "optimizer": optimizer,
        "loss": cnnx.CrossEntropyLoss(weight=[1.0, 2.0, 0.5]),
        "metrics": ["accuracy", "f1"],
        "schedule": cnnx.StepLR(optimizer, 1, gamma=0.5),
        "ema": cnnx.EMA(model, 0.9),
        "clip_grad_norm": 0.5,
        "augment": cnnx.data.transforms.Compose([cnnx.data.transforms.RandomHorizontalFlip()]),
    }


def noisy(comm):
    """Batch norm and dropout: each shard has statistics and random numbers of its own."""
    return fit(comm, network(norm=True, dropout=0.5), reduction="ordered", shards=SHARDS)


def mnist(comm):
    """The model for MNIST, on images of its size."""
    cnnx.manual_seed(4)
    model, train = cnnx.models.mnist_cnn(), large_digits()
    return fit(comm, model, train, reduction="ordered", shards=SHARDS, validation=None)


def large_digits(n=90):
    """Bundled digits as images of 28x28, as of MNIST."""
    digits = cnnx.data.load_digits()[0]
    x = np.kron(digits.x[:n], np.ones((1, 1, 3, 3), np.float32))
    return np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))), digits.y[:n]


def plain_mnist(comm):
    """Without dropout, whose random numbers are each shard's own."""
    model = mnist_without_dropout()
    train = large_digits()
    return fit(comm, model, train, reduction="ordered", shards=SHARDS, validation=None)


def mnist_without_dropout():
    cnnx.manual_seed(4)
    model = cnnx.models.mnist_cnn()
    for layer in model.modules():
        if isinstance(layer, cnnx.Dropout):
            layer.p = 0.0
    return model


def summed(comm):
    """MPI's own sum, sent while backward runs."""
    return fit(comm, network(), optimizer=None)


def normed(comm):
    """A single step with batch norm."""
    model = network(norm=True)
    return fit(comm, model, images(24), shards=SHARDS, epochs=1, shuffle=False)


def normalised():
    """Batch norm alone, before an activation and before a sum, which a graph fuses, in float64."""
    cnnx.manual_seed(5)
    body = cnnx.Sequential(cnnx.Conv2D(4, 4, 3, padding=1), cnnx.BatchNorm2D(4))
    return cnnx.Sequential(
        cnnx.Conv2D(1, 4, 3, bias=False), cnnx.BatchNorm2D(4, momentum=None), cnnx.ReLU(),
        cnnx.Residual(body), cnnx.ReLU(), cnnx.Flatten(), cnnx.Linear(36, 8),
        cnnx.BatchNorm1D(8, affine=False), cnnx.Linear(8, 3),
    ).astype(np.float64)  # fmt: skip


def synced(comm):
    """Batch norm over all ranks. Of the last batch of 17, ranks have other numbers of samples."""
    model = cnnx.distributed.sync_batch_norm(normalised(), comm)
    return fit(comm, model, images(65))


def synced_sums(comm):
    """The same in the order of the shards."""
    model = cnnx.distributed.sync_batch_norm(normalised(), comm).copy()
    return fit(comm, model, images(65), reduction="ordered")


def synced_loop(comm):
    """The same in a loop of one's own."""
    model = cnnx.distributed.sync_batch_norm(normalised(), comm)
    return {"model": own_steps(comm, model, ((0, 24), (24, 41), (41, 64))).state_dict()}


def own_steps(comm, model, batches):
    """Some steps of plain SGD; of a rank alone if comm is None."""
    optimizer = cnnx.SGD(model.parameters(), lr=0.1)
    optimizer = optimizer if comm is None else comm.wrap(optimizer)
    loss, (x, y) = cnnx.CrossEntropyLoss(), images()
    for first, stop in batches:
        rows = slice(None) if comm is None else comm.rows(stop - first)
        count = {} if comm is None else {"samples": rows.stop - rows.start}
        optimizer.zero_grad(**count)
        loss(model(x[first:stop][rows]), y[first:stop][rows])
        model.backward(loss.backward())
        optimizer.step()
    return model


class Fails(cnnx.Layer):
    """Fails in forward on one rank."""

    def __init__(self, fails):
        self.fails = fails

    def forward(self, x):
        if self.fails and self.training:
            raise ValueError("no forward here")
        return x

    def backward(self, dy):
        return dy


def iterable(comm):
    """A user's batches, cut by rows."""
    x, y = images()
    return fit(
        comm, network(), [(x[i : i + 24], y[i : i + 24]) for i in (0, 24, 48)], shards=SHARDS
    )


def own_loop(comm):
    """Ranks with other numbers of samples; in the last step, only rank 0 has some."""
    model = network()
    optimizer = comm.wrap(cnnx.SGD(model.parameters(), lr=0.1))
    loss, (x, y) = cnnx.CrossEntropyLoss(), images()
    for first, stop in ((0, 24), (24, 47), (47, 48)):
        rows = comm.rows(stop - first)
        count = rows.stop - rows.start
        optimizer.zero_grad(samples=count)
        if count:
            loss(model(x[first:stop][rows]), y[first:stop][rows])
            model.backward(loss.backward())
        optimizer.step()
    return {"model": model.state_dict(), "lr": optimizer.lr}


def scored(comm):
    """Scores of a model, and how many of the samples this rank has computed."""
    model = cnnx.Sequential(Counts(), *network(norm=True))
    scores = shared_evaluate(comm, model, images(1000, 2), cnnx.CrossEntropyLoss())
    return {"scores": dict(scores), "seen": model[0].seen}


class Counts(cnnx.Layer):
    """Counts the samples of its inputs."""

    seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x


def stopped(comm):
    """One rank stops in batch 2: all end after batch 3, the next one that they know of."""
    stop = At(comm, 1, 2, lambda callback: callback.trainer.stop())
    seen = []
    count = At(comm, comm.rank, 0, None)
    count.on_batch_end = lambda batch, logs: seen.append(batch)
    result = fit(comm, network(), callbacks=[stop, count])
    return {**result, "batches": seen}


def errors(comm):
    """Every error here is raised on all ranks, which go on."""
    last = comm.rank == comm.size - 1
    x, y = images()
    other, wrong = x.copy(), y.copy()
    other[7, 0, 2, 2] += last
    unlike = network()
    unlike.parameters()[0].data[0] += last
    nan = x.copy()
    nan[-1] = np.nan
    wrong[23] = 9 if last else wrong[23]  # in the last shard
    iterables = [(x[:24], y[:24]), (x[24:48], wrong[:24] if last else y[24:48])]
    fails = cnnx.Sequential(Fails(last), *network(norm=True))
    cnnx.distributed.sync_batch_norm(fails, comm)
    synced = cnnx.distributed.sync_batch_norm(network(norm=True), comm)
    twin = network()
    optimizer = cnnx.SGD(twin.parameters(), lr=0.2 if last else 0.1)
    interrupt = At(comm, 1, 2, lambda callback: callback.trainer.interrupt(KeyboardInterrupt()))
    return {
        "data": error_of(lambda: fit(comm, network(), (other, y))),
        "weights": error_of(lambda: fit(comm, unlike)),
        "wrapped": error_of(lambda: comm.wrap(cnnx.Adam(unlike.parameters()))),
        "arguments": error_of(lambda: fit(comm, network(), epochs=3 if last else 2)),
        "rates": error_of(lambda: fit(comm, twin, optimizer=optimizer)),
        "bad argument": error_of(lambda: fit(comm, network(), epochs=-1 if last else 2)),
        "target": error_of(lambda: fit(comm, network(), iterables)),
        "not finite": error_of(lambda: fit(comm, network(), (nan, y))),
        "shards": error_of(lambda: fit(comm, network(), shards=comm.size - 1)),
        "batch size": error_of(lambda: fit(comm, network(), shards=7)),
        "reduction": error_of(lambda: fit(comm, network(), reduction="tree")),
        "one forward": error_of(lambda: fit(comm, fails)),
        "synced shards": error_of(lambda: fit(comm, synced, shards=8)),
        "synced batch": error_of(lambda: fit(comm, synced, images(49))),
        "synced iterable": error_of(lambda: fit(comm, synced, [(x[:24], y[:24]), (x[:1], y[:1])])),
        "interrupt": error_of(lambda: fit(comm, network(), callbacks=[interrupt])),
    }


def saved(comm, directory, *callbacks, **more):
    """A run with checkpoints, which is resumed if there are some."""
    place = os.path.join(directory, "checkpoints")
    callbacks = [*callbacks, cnnx.Checkpoint(place, batches=1, keep=None)]
    model = network(norm=True, dropout=0.5)
    resume = place if os.path.isdir(place) else None
    how = {"reduction": "ordered", "shards": SHARDS, "epochs": 3}
    return fit(comm, model, callbacks=callbacks, resume=resume, **how, **more)


def killed(comm, directory):
    die = At(comm, 1, 4, lambda _: os.kill(os.getpid(), signal.SIGKILL))
    return saved(comm, directory, die)


def raises(comm, directory):
    return saved(comm, directory, At(comm, 1, 4, lambda _: 1 // 0))


def hangs(comm, directory):
    return saved(comm, directory, At(comm, 1, 4, lambda _: time.sleep(1000)))


def watched(comm, directory):
    """30 batches, of which each prints a line, so that a rank can be killed by progress."""
    for rank, pid in enumerate(comm.gather(os.getpid())):
        if comm.rank == 0:
            print(f"rank {rank} {pid}", flush=True)
    return saved(comm, directory, Lines(), train=images(240))


class Lines(cnnx.Callback):
    """A line for each batch."""

    first_rank_only = True

    def on_batch_begin(self, batch):
        print("batch", flush=True)


if __name__ == "__main__":
    directory, names = sys.argv[1], sys.argv[2:]
    comm = cnnx.distributed.init(timeout=5 if names == ["hangs"] else 120)
    for name in names:
        with_files = name in ("saved", "watched", "killed", "raises", "hangs")
        tree = globals()[name](comm, *([directory] if with_files else []))
        cnnx.save_checkpoint(f"{directory}/{name}-{comm.size}-{comm.rank}.npz", tree)
