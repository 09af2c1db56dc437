"""docs/data.md: its programs run on files as it describes them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "data.md"


def test_the_programs_of_the_page_run(tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)

    def save(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)

    for flower in ("daisy", "rose"):
        for k in range(1, 6):
            save(f"flowers/{flower}/{k}.jpg")
            save(f"parted/train/{flower}/{k}.png")
        save(f"parted/test/{flower}/9.png")
    save("seven.png")
    images, labels = rng.integers(0, 256, (4, 32, 32, 3), np.uint8), np.arange(4) % 2
    np.savez(tmp_path / "keras.npz", x_train=images, y_train=labels)
    (tmp_path / "iris.csv").write_text("a,b,c,d,species\n5.1,3.5,1.4,0.2,setosa\n")
    (tmp_path / "houses.csv").write_text("rooms,price\n3,1.5\n4,2\n")
    (tmp_path / "iris.data").write_text("5.1,3.5,1.4,0.2,setosa\n")
    monkeypatch.chdir(tmp_path)
    names = {"images": images.transpose(0, 3, 1, 2), "labels": labels}
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for program in programs:
        exec(compile(program, str(PAGE), "exec"), names)
    assert len(programs) == 7
    assert re.match(r"\('daisy', 'rose'\) (daisy|rose)/\d.jpg", capsys.readouterr().out)
    assert names["outputs"].shape == (3, 2) and names["picture"].shape == (3, 32, 32)
    assert [len(part) for part in names["parts"]] == [8, 2] and len(names["folds"]) == 5
    assert next(iter(names["mixed"]))[1].shape == (4, 2)
    assert names["train"].x.shape == (4, 3, 32, 32)
    assert names["data"].classes == ("setosa",)
    for line in re.findall(
        r"^(cnnx\.accuracy.*)  # (0\.667|1\.0)", "\n".join(programs), re.MULTILINE
    ):
        assert eval(line[0], names) == pytest.approx(float(line[1]), abs=5e-4)
    assert names["model"].preprocessing.input_shape == (3, 32, 32)
    assert names["pixels"].shape == (3, 32, 32)
