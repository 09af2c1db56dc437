"""docs/own_photos.md: its programs, commands and server run on a folder of generated photos."""

from __future__ import annotations

import json
import re
import shlex
import threading
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "own_photos.md"
FRUIT = {"apple": (190, 30, 40), "banana": (240, 210, 50), "lime": (110, 190, 40)}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of fruit: 40 apples, 40 bananas and 20 limes, of different sizes, in ten scenes."""
    image = pytest.importorskip("PIL.Image")
    draw = pytest.importorskip("PIL.ImageDraw")
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)

    def photo(kind):
        width, height = (int(n) for n in rng.integers(40, 80, 2))
        background = tuple(int(n) for n in rng.integers(60, 200, 3))
        picture = image.new("RGB", (width, height), background)
        long = 30 if kind == "banana" else 16
        left, top = (int(n) for n in rng.integers(0, 10, 2))
        draw.Draw(picture).ellipse((left, top, left + long, top + 16), fill=FRUIT[kind])
        noise = rng.integers(-15, 15, (height, width, 3))
        return image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))

    monkeypatch.chdir(tmp_path)
    for kind, count in (("apple", 40), ("banana", 40), ("lime", 20)):
        Path("photos", kind).mkdir(parents=True)
        for k in range(count):
            photo(kind).save(f"photos/{kind}/{k % 10:02}_{'abcd'[k // 10]}.jpg")
    copied = Path("photos/lime/00_copy.jpg")
    copied.write_bytes(Path("photos/lime/00_a.jpg").read_bytes())

    photo("banana").save("new.jpg")
    upright = image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
    upright.save("upright.png")
    exif = image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    upright.transpose(image.Transpose.ROTATE_90).save("rotated.png", exif=exif)
    upright.convert("L").save("grey.png")
    clear = image.new("RGBA", (32, 32), (200, 0, 0, 0))
    clear.save("clear.png")


def test_the_programs_and_commands_of_the_page_run(photos, capsys):
    cnnx.set_num_threads(1)
    text = PAGE.read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names = {"__name__": "page"}
    for number, program in enumerate(programs, 1):
        with warnings.catch_warnings():
            # The page reads a photo that is transparent everywhere, of which cnnx warns.
            warnings.filterwarnings("ignore", "clear.png: every pixel is")
            exec(compile(program, f"own_photos.md: program {number}", "exec"), names)
    out = capsys.readouterr().out
    assert "{'apple': 40, 'banana': 40, 'lime': 21}" in out
    assert "photos/lime/00_a.jpg is also photos/lime/00_copy.jpg" in out
    assert "\n32 41 million" in out and "\n128 65" in out
    assert cnnx.evaluate(names["model"], names["test"]).accuracy > 0.6  # always apple: 0.4
    for picture in ("photos", "augmented", "rates", "curves", "confusion", "worst"):
        assert Path(f"{picture}.png").read_bytes().startswith(b"\x89PNG")

    answers_of_the_server(names["server"], names["photos"].classes)

    commands = re.search(r"^```\n(cnnx train .*?)^```", text, re.M | re.S)[1]
    for command in commands.replace("\\\n", "").splitlines():
        words = shlex.split(command.replace("--epochs 10", "--epochs 1"))
        assert words[0] == "cnnx" and main(words[1:]) == 0
    assert "new.jpg" in capsys.readouterr().out


def answers_of_the_server(server, classes):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://localhost:{server.server_address[1]}"
        with urllib.request.urlopen(url, Path("new.jpg").read_bytes(), timeout=60) as answer:
            shares = json.loads(answer.read())
        assert tuple(shares) == classes and sum(shares.values()) == pytest.approx(1)
        with pytest.raises(urllib.error.HTTPError, match="400: not an image") as refused:
            urllib.request.urlopen(url, b"text", timeout=60)
        refused.value.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
