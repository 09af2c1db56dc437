"""An MLP that separates three spiral arms, in cnnx and in PyTorch.

Both start from the same weights and see the same batches, so their losses agree: names, defaults
and formulas are PyTorch's, and so are the keys of `state_dict`. The two loops below differ in two
points: cnnx uses NumPy arrays directly, and it has no autograd, so the loss returns its gradient
and the program passes it to the model's backward.

Without PyTorch, cnnx trains alone. The points are those of Karpathy's CS231n.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import cnnx
from cnnx import Adam, CrossEntropyLoss, Sequential
from cnnx.data import Dataset, batches, make_spiral, train_test_split
from cnnx.examples import arguments

HIDDEN, BATCH, RATE = (64, 64), 32, 1e-2


def main(words: Sequence[str] | None = None) -> float:
    """Train both, print their losses, return cnnx's accuracy. words: command line."""
    parser = arguments.points("spiral", __doc__, epochs=100, default="make_spiral(seed=0)")
    parser.add_argument(
        "--picture", metavar="FILE", help="draw the decision boundary (.png .svg .pdf)"
    )
    args = parser.parse_args(words)
    points = make_spiral(seed=0) if args.data is None else args.data
    train, test = train_test_split(points, test_size=0.2, seed=0)
    classes = int(points.y.max()) + 1
    print(f"{len(train)} training points of {classes} classes, {len(test)} test points")

    cnnx.manual_seed(0)
    model = cnnx.models.mlp(2, HIDDEN, classes)
    net = torch_twin(model)  # before training, since it copies the weights
    runs = {"cnnx": train_with_cnnx(model, train, args.epochs)}
    if net is None:
        print("PyTorch is not installed: cnnx trains alone")
    else:
        runs["torch"] = train_with_torch(net, train, args.epochs)

    losses, seconds = side_by_side(runs, args.epochs)
    accuracy = float((cnnx.predict_labels(model, test) == test.y).mean())
    print(f"cnnx   test accuracy {100 * accuracy:.1f} %, {seconds['cnnx']:.2f} s")
    if net is not None:
        apart = np.abs(np.subtract(losses["cnnx"], losses["torch"])).max()
        print(f"torch  test accuracy {100 * torch_accuracy(net, test):.1f} %, ", end="")
        print(f"{seconds['torch']:.2f} s; the losses differ by at most {apart:.0e}")
    if args.picture is not None:
        cnnx.viz.plot_decision_boundary(model, points, path=args.picture)
        print(f"the decision boundary is in {args.picture}")
    return accuracy


def train_with_cnnx(model: Sequential, train: Dataset, epochs: int) -> Iterator[float]:
    """Yield the mean loss of each epoch."""
    optimizer, loss_fn = Adam(model.parameters(), lr=RATE), CrossEntropyLoss()
    for epoch in range(epochs):
        total = 0.0
        for x, y in batches(train, BATCH, shuffle=True, seed=epoch):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            model.backward(loss_fn.backward())
            optimizer.step()
            total += loss * len(x)
        yield total / len(train)


def train_with_torch(net: Any, train: Dataset, epochs: int) -> Iterator[float]:
    """The same in PyTorch, on the same batches."""
    import torch

    optimizer, loss_fn = torch.optim.Adam(net.parameters(), lr=RATE), torch.nn.CrossEntropyLoss()
    for epoch in range(epochs):
        total = 0.0
        for x, y in batches(train, BATCH, shuffle=True, seed=epoch):
            optimizer.zero_grad()
            loss = loss_fn(net(torch.from_numpy(x)), torch.from_numpy(y))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        yield total / len(train)


def torch_twin(model: Sequential) -> Any:
    """The same network with the same weights in PyTorch; None if it is not installed."""
    try:
        import torch
        from torch import nn
    except ImportError:
        return None
    layers = []
    for layer in model:
        if isinstance(layer, cnnx.Linear):
            layers.append(nn.Linear(layer.in_features, layer.out_features))
        else:
            layers.append({"Flatten": nn.Flatten, "ReLU": nn.ReLU}[type(layer).__name__]())
    net = nn.Sequential(*layers)
    net.load_state_dict({key: torch.tensor(w) for key, w in model.state_dict().items()})
    return net


def torch_accuracy(net: Any, test: Dataset) -> float:
    """Fraction of the points that PyTorch's network classifies correctly."""
    import torch

    with torch.no_grad():
        return float((net(torch.from_numpy(test.x)).argmax(1).numpy() == test.y).mean())


def side_by_side(
    runs: dict[str, Iterator[float]], epochs: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Advance the runs epoch by epoch, print about ten rows; returns their losses and times."""
    losses: dict[str, list[float]] = {name: [] for name in runs}
    seconds = dict.fromkeys(runs, 0.0)
    print("epoch" + "".join(f"{name + ' loss':>13}" for name in runs))
    for epoch in range(1, epochs + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            losses[name].append(next(run))
            seconds[name] += time.perf_counter() - start
        if epoch % max(epochs // 10, 1) == 0:
            print(f"{epoch:5d}" + "".join(f"{losses[name][-1]:13.6f}" for name in runs))
    return losses, seconds


if __name__ == "__main__":
    main()
