"""Training, splits and plots of the dialect `sequential`."""

from __future__ import annotations

from .utils import (
    batch_generator,
    epoch_loop,
    generate_spiral_data,
    plot_spiral_data_decision_boundary,
    plot_training_metrics,
    test,
    train_val,
    train_val_test_split,
)

__all__ = [
    "batch_generator",
    "epoch_loop",
    "generate_spiral_data",
    "plot_spiral_data_decision_boundary",
    "plot_training_metrics",
    "test",
    "train_val",
    "train_val_test_split",
]
