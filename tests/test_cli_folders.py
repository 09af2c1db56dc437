"""`cnnx train`, `evaluate` and `predict` on a folder of images that may be larger than memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, failure, settings_of
from data_helpers import decoded_files

import cnnx
from cnnx.cli import main
from cnnx.data import load_folder, load_folders

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.usefixtures("own_directory", "no_pictures")

TRAIN = ("--threads", "1", "--model", "mnist_cnn", "--epochs", "2", "--batch-size", "8")
EXTRAS = ("--val-split", "0.25", "--class-weights", "--augment", "standard", "--ema", "0.9")


def write(root, count, size=(12, 10), seed=0, channels=3, kind="png"):
    """`count` images in each of two class folders; red means "red"."""
    rng = np.random.default_rng(seed)
    for place, name in enumerate(("red", "blue")):
        Path(root, name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 200, (*size, channels), np.uint8)
            pixels[..., 2 * place] += 55
            Image.fromarray(pixels).save(Path(root, name, f"{number}.{kind}"))


def weights(run):
    state = cnnx.load(Path(run, "model.npz")).state_dict()
    return {name: value.tobytes() for name, value in state.items()}


def record(run):
    return json.loads(Path(run, "split.json").read_text())


@pytest.mark.parametrize(
    ("channels", "how", "options"),
    [
        (3, {}, ()),
        (3, {"size": (9, 8)}, EXTRAS),
        (4, {"background": "black"}, ("--invert",)),  # transparent: pixels are no bytes
    ],
)
def test_a_folder_trains_to_the_bits_of_its_arrays(channels, how, options):
    """The arrays of load_folder in an .npz file take the way of all arrays, in memory."""
    write("photos", 20, channels=channels)
    whole = load_folder("photos", **how)
    np.savez("arrays.npz", x=whole.x, y=whole.y)
    assert main(["train", "--data", "arrays.npz", *TRAIN, *options, "--out", "arrays"]) == 0
    if "size" in how:
        options = (*options, "--resize", "9x8")
    if "background" in how:
        options = (*options, "--background", how["background"])
    cached, streamed = (), ("--cache-mb", "0", "--workers", "2")
    for run, reading in (("cached", cached), ("streamed", streamed)):
        words = ("--data", "photos", *TRAIN, *options, *reading)
        assert main(["train", *words, "--out", run]) == 0
        assert weights(run) == weights("arrays")
        assert record(run)["trained"] == record("arrays")["trained"]
        for (name, content), (row, expected) in zip(
            record(run)["held_out"], record("arrays")["held_out"], strict=True
        ):
            assert (name, content) == (whole.names[int(row)], expected)
        one, other = (cnnx.History.from_csv(Path(d, "history.csv")) for d in (run, "arrays"))
        for name in ("loss", "accuracy"):
            assert one[name] == other[name]
            np.testing.assert_allclose(one[f"val_{name}"], other[f"val_{name}"], rtol=1e-6)
        found, expected = (cnnx.load(Path(d, "model.npz")).preprocessing for d in (run, "arrays"))
        assert found.input_shape == expected.input_shape and found.invert == expected.invert
        assert found.classes == ("blue", "red")
        np.testing.assert_allclose(found.brightness, expected.brightness, rtol=1e-12)


def test_folders_for_train_and_test_are_used_as_they_are(capsys):
    write("photos/train", 10), write("photos/test", 3, seed=1)
    assert main(["train", "--data", "photos", *TRAIN, "--out", "run"]) == 0
    train, _ = load_folders("photos")
    expected = {blake2b(x.tobytes(), digest_size=8).hexdigest() for x in train.x}
    assert record("run") == {"held_out": [], "trained": sorted(expected)}
    result = settings_of("run")["result"]
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 0
    assert capsys.readouterr().out.endswith(
        f"loss {result['test_loss']:.4f}, accuracy {100 * result['test_accuracy']:.2f} %\n"
    )
    assert main(["predict", "run", "--data", "photos"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[0] == "photos/test/blue/0.png" and len(names) == 6


def test_each_image_is_decoded_once_if_the_cache_has_room(monkeypatch):
    write("photos", 10)
    files = decoded_files(monkeypatch)
    assert main(["train", "--data", "photos", *TRAIN, "--out", "run"]) == 0
    assert len(files) == len(set(files)) == 20
    files.clear()
    assert main(["train", "--data", "photos", *TRAIN, "--cache-mb", "0", "--out", "other"]) == 0
    assert len(files) == 3 * 20  # for the record, and in each of two epochs


def test_a_damaged_image_is_an_error_before_training(capsys):
    write("photos/train", 5), write("photos/test", 2)
    Path("photos/test/red/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "red/1.png: not an image" in failure(capsys, "train", "--data", "photos", *TRAIN)
    path = Path("photos/test/red/1.png")
    path.write_bytes(Path("photos/test/red/0.png").read_bytes()[:-40])
    assert "red/1.png: damaged" in failure(capsys, "train", "--data", "photos", *TRAIN)
    assert not os.path.exists("runs")


def test_images_of_one_colour_are_named_in_training_and_in_scoring(capsys):
    write("photos", 10)
    Image.new("RGB", (10, 12), "red").save("photos/red/3.png")
    assert main(["train", "--data", "photos", *TRAIN, "--out", "run"]) == 0
    assert "all pixels have the same value in red/3.png" in capsys.readouterr().err
    write("new", 2, seed=1)
    Image.new("RGB", (10, 12), "blue").save("new/blue/1.png")
    assert main(["evaluate", "run", "--data", "new"]) == 0
    assert "all pixels have the same value in blue/1.png" in capsys.readouterr().err


def test_the_limit_of_the_cache_is_for_folders_and_may_change_when_a_run_is_resumed(npz, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--data", npz, "--cache-mb", "1"])
    assert "--cache-mb is for a folder of images" in capsys.readouterr().err
    write("photos", 10)
    words = ("--data", "photos", *TRAIN, "--schedule", "constant")
    assert main(["train", *words, "--cache-mb", "0", "--out", "run"]) == 0
    assert settings_of("run")["options"]["cache-mb"] == 0
    assert main(["train", "--resume", "run", "--epochs", "3", "--cache-mb", "1"]) == 0
    assert main(["train", *words, "--epochs", "3", "--out", "whole"]) == 0
    assert weights("run") == weights("whole")


# Memory

PROGRAM = """
import sys
import cnnx.models
from cnnx.cli import main

def peak():
    with open("/proc/self/status") as status:  # VmHWM, in kB: ru_maxrss counts the parent's, too
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

peaks = [peak()]
for line in sys.stdin:
    assert main(line.split()) == 0, line
    peaks.append(peak())
print(*peaks)
"""

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")


def peaks(*commands, pictures=False):
    """The most memory, in bytes, that a process took before, and after each of some commands."""
    unwanted = "" if pictures else "import sys; sys.modules['matplotlib'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", unwanted + PROGRAM],
        input="\n".join(commands),
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return list(map(int, done.stdout.splitlines()[-1].split()))


@needs_proc
def test_training_and_scoring_take_the_memory_of_the_cache_and_not_of_the_images():
    """3000 images of 32 x 32 x 3 are 9 MB as bytes, and 37 MB as floats."""
    write("photos", 1500, (32, 32), kind="bmp")
    options = "--model mlp --epochs 1 --batch-size 256 --cache-mb 1"
    before, train, both = peaks(f"train --data photos {options} --out run", "evaluate run")
    print(f"{before / 1e6:.0f} MB, {train / 1e6:.0f} MB, {both / 1e6:.0f} MB")
    assert train - before < 50e6  # about 30 without the images: the model, batches, late imports
    assert both - train < 9.2e6 + 10e6  # its cache has room for all images, as bytes


@needs_proc
@pytest.mark.nightly
def test_a_folder_of_more_than_a_gigabyte_trains_in_less_than_300_megabytes():
    """24,000 images of 64 x 64 x 3 are 295 MB as bytes, and 1.2 GB as floats."""
    write("photos", 12_000, (64, 64), kind="bmp")
    options = "--model mlp --epochs 1 --workers 2 --cache-mb 64"
    commands = f"train --data photos {options} --out run", "evaluate run"
    _, train, evaluate = peaks(*commands, pictures=True)
    print(f"24,000 images: {train / 1e6:.0f} MB in training, {evaluate / 1e6:.0f} MB in evaluate")
    assert train < 300e6
    assert evaluate - train < 256 * 2**20 + 40e6  # another cache, of 256 MiB
