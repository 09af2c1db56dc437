"""Makes cnnx/data/digits.npz from scikit-learn's copy of the UCI digits: `python make_digits.py`.

Stored: x (1797, 8, 8) uint8 counts 0..16, y (1797,) uint8 labels, test (1797,) uint8, 1 where the
image is held out: a fifth of every class, drawn once, stored so that it never changes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TARGET = Path(__file__).parents[2] / "cnnx" / "data" / "digits.npz"


def main() -> None:
    digits = load_digits()
    everything = np.arange(len(digits.target))
    _, held_out = train_test_split(
        everything, test_size=0.2, stratify=digits.target, random_state=0
    )
    test = np.zeros(len(everything), np.uint8)
    test[held_out] = 1
    np.savez_compressed(
        TARGET, x=digits.images.astype(np.uint8), y=digits.target.astype(np.uint8), test=test
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {test.sum()} of {len(test)} held out")


if __name__ == "__main__":
    main()
