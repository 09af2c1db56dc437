"""Training samples are never scored: records of splits, and what `evaluate` does with them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import SHORT, failure, settings_of, sides

import cnnx
from cnnx.cli import main, splits
from cnnx.data import Dataset, Subset, save_csv

pytestmark = pytest.mark.usefixtures("own_directory", "no_pictures")

FAST = (*SHORT, "--model", "mlp")


def noise(n, seed=0):
    """Images and labels that are unrelated."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 8, 8), np.uint8), rng.permutation(np.arange(n) % 2)


def write_folder(root, x, y, start=0):
    image = pytest.importorskip("PIL.Image")
    for number, (pixels, label) in enumerate(zip(x, y), start=start):
        folder = Path(root, "ab"[label])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / f"{number:03}.png")


def write_npz(root, x, y, start=0):
    if start:
        with np.load(f"{root}.npz") as old:
            x, y = np.concatenate([old["x"], x]), np.concatenate([old["y"], y])
    np.savez(f"{root}.npz", x=x, y=y)


def write_csv(root, x, y, start=0):
    x = x.reshape(len(x), -1)[:, :6]
    if start:
        old = cnnx.data.load_csv(f"{root}.csv")
        x, y = np.concatenate([old.x, x]), np.concatenate([old.y, y])
    save_csv(f"{root}.csv", (x.astype(float), y))


WRITERS = {"": write_folder, ".npz": write_npz, ".csv": write_csv}


def evaluated(capsys, *words):
    """(scores of the test set, scores of new samples, stderr)."""
    capsys.readouterr()
    assert main(["evaluate", *words]) == 0
    out, error = capsys.readouterr()
    test, _, new = out.partition("\nnew ")
    return test.rstrip().splitlines(), new.rstrip().splitlines(), error


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_added_samples_do_not_change_the_split(suffix, capsys):
    x, y = noise(60)
    WRITERS[suffix]("mine", x, y)
    assert main(["train", "--data", f"mine{suffix}", *FAST, "--out", "run"]) == 0
    before = settings_of("run")["result"]
    lines, new, error = evaluated(capsys, "run")
    assert (
        not new
        and not error
        and lines[-1].endswith(
            f"loss {before['test_loss']:.4f}, accuracy {100 * before['test_accuracy']:.2f} %"
        )
    )
    WRITERS[suffix]("mine", *noise(4, seed=1), start=60)
    again, new, error = evaluated(capsys, "run")
    assert again[1:] == lines[1:] and not error
    assert new[0].strip().startswith("4 samples that were added since, scored separately: ")
    assert ("b/063.png" if suffix == "" else "63") in new[0] or "60" in new[0] or "a/06" in new[0]
    assert [line.split()[1] for line in new if line.startswith("all")] == ["4"]


def test_random_labels_score_at_chance_level_whatever_is_added(capsys):
    """A network memorises 200 labels of noise: training samples would score 100 %."""
    x, y = noise(200)
    write_npz("mine", x, y)
    words = ("--epochs", "60", "--model", "mlp", "--threads", "1", "--lr", "0.003")
    assert main(["train", "--data", "mine.npz", *words, "--out", "run"]) == 0
    assert cnnx.History.from_csv("run/history.csv")["accuracy"][-1] > 0.95
    write_npz("mine", *noise(2, seed=1), start=200)
    shutil.copy("mine.npz", "other.npz")
    for more in ((), ("--data", "mine.npz"), ("--data", "other.npz"), ("--seed", "5")):
        lines, _, _ = evaluated(capsys, "run", *more)
        accuracy = float(lines[-1].split("accuracy ")[1].split()[0])
        assert 25 < accuracy < 75, more  # 40 samples or so: 3 standard deviations are 24 %


def test_other_data_are_scored_except_training_samples(capsys):
    x, y = noise(60)
    write_folder("mine", x, y)
    assert main(["train", "--data", "mine", *FAST, "--out", "run"]) == 0
    more, labels = noise(10, seed=1)
    write_npz("other", np.concatenate([x, more]), np.concatenate([y, labels]))
    lines, new, error = evaluated(capsys, "run", "--data", "other.npz")
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["22"] and not new
    assert "left out: 48 samples of other.npz that the model was trained on" in error
    assert main(["predict", "run", "--data", "other.npz"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 22
    record = json.loads(Path("run/split.json").read_text())
    held_out = {name for name, _ in record["held_out"]}
    for name in held_out:
        os.remove(f"mine/{name}")
    shutil.move("mine", "moved")
    error = failure(capsys, "evaluate", "run", "--data", "moved")
    assert "nothing to score: the model was trained on all of it" in error


def test_renamed_samples_are_recognised_and_missing_ones_are_reported(capsys):
    x, y = noise(60)
    write_folder("mine", x, y)
    assert main(["train", "--data", "mine", *FAST, "--out", "run"]) == 0
    lines, _, _ = evaluated(capsys, "run")
    held_out = [n for n, _ in json.loads(Path("run/split.json").read_text())["held_out"]]
    for path in sorted(Path("mine").rglob("*.png")):
        path.rename(path.with_name(f"new_{path.name}"))
    again, new, _ = evaluated(capsys, "run")
    assert again == lines and not new
    folder, name = held_out[0].split("/")
    os.remove(f"mine/{folder}/new_{name}")
    lines, new, error = evaluated(capsys, "run")
    assert "1 of 12 held-out samples are gone" in error and not new
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["11"]


def test_equal_samples_in_both_parts_are_reported(capsys):
    x, y = noise(30)
    write_npz("mine", np.concatenate([x, x]), np.concatenate([y, y]))
    assert main(["train", "--data", "mine.npz", *FAST, "--out", "run"]) == 0
    assert "test score is too optimistic" in capsys.readouterr().err
    before = settings_of("run")["result"]
    lines, new, _ = evaluated(capsys, "run")
    assert not new and f"accuracy {100 * before['test_accuracy']:.2f} %" in lines[-1]


def test_synthetic_points_keep_their_split_and_other_seeds_draw_other_points(capsys):
    assert main(["train", "--data", "spiral", *FAST, "--seed", "2", "--out", "run"]) == 0
    lines, new, error = evaluated(capsys, "run")
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["60"]
    assert not new and not error
    lines, new, error = evaluated(capsys, "run", "--seed", "3")
    # The first points of the three arms are the origin for every seed: these are training samples.
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["297"] and not new


def test_data_with_a_test_set_are_scored_on_it(capsys):
    x, y = sides(40)
    np.savez("mine.npz", x=x[:30], y=y[:30], x_test=x[30:], y_test=y[30:])
    assert main(["train", "--data", "mine.npz", *FAST, "--out", "run"]) == 0
    assert json.loads(Path("run/split.json").read_text())["held_out"] == []
    lines, _, _ = evaluated(capsys, "run")
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["10"]
    np.savez("other.npz", x=x, y=y)
    lines, _, error = evaluated(capsys, "run", "--data", "other.npz")
    assert [line.split()[1] for line in lines if line.startswith("all")] == ["10"]
    assert "left out: 30 samples" in error


def test_runs_without_a_record_and_models_without_a_run_are_reported(capsys):
    x, y = noise(60)
    write_npz("mine", x, y)
    assert main(["train", "--data", "mine.npz", *FAST, "--out", "run"]) == 0
    before = settings_of("run")["result"]
    os.remove("run/split.json")
    for words in (("run",), ("run/model.npz", "--data", "mine.npz")):
        lines, _, error = evaluated(capsys, *words)
        assert "there is no record of what the model was trained on" in error
        assert f"accuracy {100 * before['test_accuracy']:.2f} %" in lines[-1]
    Path("run/split.json").write_text("{")
    assert "split.json is damaged" in failure(capsys, "evaluate", "run")
    for lie in ("[]", '{"held_out": 5, "trained": []}', '{"held_out": [["a"]], "trained": []}'):
        Path("run/split.json").write_text(lie)
        assert "split.json is not what" in failure(capsys, "evaluate", "run")


def test_a_hash_depends_only_on_the_content():
    def digests(x):
        return splits.digests(Dataset(x, np.zeros(len(x))))

    x = np.random.default_rng(0).random((3, 2, 4))
    first = digests(x)
    assert len(set(first)) == 3
    assert digests(x.astype(np.float32)) == first
    assert digests(np.asfortranarray(x)) == first
    assert digests(np.zeros((1, 2))) == digests(-np.zeros((1, 2)))
    assert splits.digests(Subset(Subset((x, x), [2, 0]), [1, 1, 0])) == [*first[:1] * 2, first[2]]
    one = Dataset(x, np.arange(3))
    assert splits.named(one).names == ("0", "1", "2")
