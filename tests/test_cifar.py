"""Models for CIFAR-10 learn on the published files: short runs. Skipped without CNNX_DATA."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cnnx
from cnnx.data import load_cifar10, normalize

REAL = os.environ.get("CNNX_DATA", "")


@pytest.fixture(scope="module")
def images():
    """Images of ten classes, in an order that does not depend on that of the file."""
    if not os.path.isdir(os.path.join(REAL, "cifar10")):
        pytest.skip("needs the real cifar10 files in CNNX_DATA")
    train, _ = load_cifar10(REAL)
    order = np.random.default_rng(0).permutation(len(train))
    return normalize(train[order[:512]])


@pytest.fixture
def one_thread():
    """Two would wait for one another on a machine that does other work; the bits are the same."""
    before = cnnx.get_num_threads()
    cnnx.set_num_threads(1)
    yield
    cnnx.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "name", ["se_resnet20", pytest.param("densenet", marks=pytest.mark.nightly)]
)
def test_a_short_run_on_cifar_lowers_the_loss_and_is_better_than_chance(name, images):
    cnnx.manual_seed(0)
    model = cnnx.models.build(name, (3, 32, 32), 10)
    optimizer = cnnx.Adam(model.parameters(), lr=3e-3)
    history = cnnx.fit(
        *(model, images),
        epochs=2,
        batch_size=32,
        optimizer=optimizer,
        seed=0,
        verbose=False,
    )
    losses, accuracies = history["loss"], history["accuracy"]
    assert losses[1] < 0.95 * losses[0]
    assert accuracies[1] > 0.2  # chance is 0.1
