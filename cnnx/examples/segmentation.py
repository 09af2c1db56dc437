"""Segmentation: a small U-Net predicts which pixels are circles, rectangles and triangles.

The images come from `cnnx.data.make_shapes`: colours and positions are random, so the class of a
pixel depends on the outline around it. Adam with lr 1e-2, batches of 16; a tenth of the learning
rate in the last fifth of the epochs. Mean IoU 0.907 on test images after ten epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import cnnx
from cnnx import Adam
from cnnx.cli.recipes import SCHEDULES
from cnnx.data import make_shapes, train_test_split
from cnnx.examples import arguments
from cnnx.metrics import iou


def main(words: Sequence[str] | None = None) -> float:
    """Train, print results, return the mean IoU of the test images. words: the command line."""
    parser = arguments.masks(
        "segmentation", __doc__, epochs=10, default="make_shapes(4500, seed=0)"
    )
    parser.add_argument(
        "--picture", metavar="FILE", help="draw images, true and predicted masks (.png .svg .pdf)"
    )
    args = parser.parse_args(words)
    data = make_shapes(4500, seed=0) if args.data is None else args.data
    train, test = train_test_split(data, test_size=1 / 9, stratify=False, seed=0)
    classes = int(data.y.max()) + 1
    _, channels, height, width = data.x.shape
    print(f"{len(train):,} images of {height}x{width} to train on, {len(test):,} to test")

    cnnx.manual_seed(0)  # weights are initialised when layers are created
    model = cnnx.models.unet(classes, channels, (height, width), width=12)
    print(f"{sum(p.size for p in model.parameters()):,} parameters")
    optimizer = Adam(model.parameters(), lr=1e-2)
    cnnx.fit(
        model,
        train,
        validation=test,
        epochs=args.epochs,
        batch_size=16,
        optimizer=optimizer,
        seed=0,
        metrics=["mean_iou"],
        schedule=SCHEDULES["tenth"].make(optimizer, args.epochs, 0),
    )

    masks = cnnx.predict_labels(model, test)  # (n, height, width)
    scores = cnnx.evaluate(model, test, metrics=["accuracy", "mean_iou"])
    for label, value in enumerate(iou(masks, test.y, classes)):
        name = data.classes[label] if data.classes else str(label)
        print(f"{name:<12} IoU {value:.3f}")
    print(f"test accuracy {100 * scores.accuracy:.2f} %, mean IoU {scores.mean_iou:.3f}")
    if args.picture is not None:
        cnnx.viz.plot_masks(test, predicted=masks, path=args.picture)
        print(f"the masks of the first test images are in {args.picture}")
    return scores.mean_iou


if __name__ == "__main__":
    main()
