"""Fine-tuning: a network that knows the digits 0 to 4 learns 5 to 9 from a few images of each.

The bundled digits are painted: a random colour on a random background. A network learns from 3,000
images of 0 to 4 to see a figure in any colours, which a few images cannot teach. Then it learns 5
to 9 in four ways, each with several draws of images and weights:

scratch     a new network
head        a new last layer on the old layers, which are frozen
one rate    a new last layer; all layers are trained with one learning rate
two rates   the same, but the old layers have a tenth of the learning rate of the new one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import cnnx
from cnnx import Adam, CosineAnnealingLR, Linear
from cnnx.cli.arguments import integer
from cnnx.data import Dataset, load_digits, load_mnist, select_classes
from cnnx.examples import arguments

WAYS = ("scratch", "head", "one rate", "two rates")
RATE = 3e-3


def main(words: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print a table, return the mean test accuracy of each way. words: command line."""
    parser = arguments.images("fine_tuning", __doc__, epochs=30, default="the bundled digits")
    for option, default, text in (
        ("--images", 5, "images of each new class"),
        ("--many", 3000, "images of the known classes"),
        ("--draws", 5, "draws of images and weights"),
    ):
        parser.add_argument(
            option, type=integer(1), default=default, metavar="N", help=f"{text} ({default})"
        )
    args = parser.parse_args(words)
    train, test = load_digits() if args.data is None else load_mnist(args.data)
    old, new = select_classes(train, range(5)), select_classes(train, range(5, 10))
    held_out = paint(select_classes(test, range(5, 10)), 1000, seed=1)

    cnnx.manual_seed(0)  # weights are initialised when a layer is created
    size = train.x.shape[-1]  # the images are square
    base = network(size)
    optimizer = Adam(base.parameters(), lr=1e-2)
    schedule = CosineAnnealingLR(optimizer, 5)
    known = paint(old, args.many, seed=0)
    cnnx.fit(base, known, epochs=5, optimizer=optimizer, schedule=schedule, seed=0)

    print(f"5 to 9 from {args.images} images of each, {args.draws} draws")
    print("             test accuracy in %, mean, standard deviation, each draw")
    means = {}
    for way in WAYS:
        scores = []
        for seed in range(args.draws):
            model, optimizer = start(way, base, seed, size)
            few = draw(new, args.images, seed)
            schedule = CosineAnnealingLR(optimizer, args.epochs)
            cnnx.fit(
                model,
                few,
                epochs=args.epochs,
                batch_size=10,
                optimizer=optimizer,
                schedule=schedule,
                seed=seed,
                verbose=False,
            )
            scores.append(100 * cnnx.evaluate(model, held_out).accuracy)
        each = " ".join(f"{score:.1f}" for score in scores)
        spread = np.std(scores, ddof=min(1, len(scores) - 1))
        print(f"{way:<12} {np.mean(scores):5.1f} +- {spread:.1f}   {each}")
        means[way] = float(np.mean(scores)) / 100
    return means


def network(size: int) -> cnnx.Sequential:
    """Three convolutions with batch norm, and a Linear layer, for five classes."""
    return cnnx.models.digits_cnn(num_classes=5, in_channels=3, image_size=size)


def start(way: str, base: cnnx.Sequential, seed: int, size: int) -> tuple[cnnx.Sequential, Adam]:
    """The model as its training begins, and its optimiser."""
    cnnx.manual_seed(seed)
    if way == "scratch":
        model = network(size)
        return model, Adam(model.parameters(), lr=RATE)
    model = base.copy()
    head = model[-1] = Linear(model[-1].in_features, 5)
    body = model[:-1].eval()  # batch norm keeps the statistics of many images; no dropout
    if way == "head":
        body.freeze()
    rate = RATE if way == "one rate" else RATE / 10
    groups: list[dict[str, Any]] = [
        {"params": body.parameters(), "lr": rate},
        {"params": head.parameters()},
    ]
    return model, Adam(groups, lr=RATE)


def draw(digits: Dataset, images: int, seed: int) -> Dataset:
    """So many images of each class, painted."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(digits.y == label))[:images] for label in range(5)]
    few = digits[np.concatenate(chosen)]
    return paint(few, len(few), seed)


def paint(digits: Dataset, count: int, seed: int) -> Dataset:
    """The digits in turn, each in a random colour on a random background. x (count, 3, h, w)"""
    rng = np.random.default_rng(seed)
    which = rng.permutation(count) % len(digits)
    ink, paper = rng.random((2, count, 3, 1, 1), np.float32)
    return Dataset(paper + (ink - paper) * digits.x[which], digits.y[which])


if __name__ == "__main__":
    main()
