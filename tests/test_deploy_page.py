"""docs/deploy.md: its commands, its program, and its service under load."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.cli import main

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
(_, COMMANDS), (_, CLASSIFY), (_, SERVE) = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The network, and the folder `app` that the commands of the page make of it."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("app")
    cnnx.manual_seed(0)
    model = cnnx.models.lenet5().eval()
    cnnx.onnx.save(model, "net.onnx", input_shape=(1, 28, 28))
    Path("names.txt").write_text("\n".join(NAMES) + "\n")
    install, convert = map(shlex.split, COMMANDS.splitlines())
    # To install would compile for minutes: the packages of this environment are used instead.
    assert install == ["pip", "install", "--target", "app", "cnnx[images]"]
    assert convert[0] == "cnnx" and main(convert[1:]) == 0
    Path("app", "classify.py").write_text(CLASSIFY)
    Path("app", "serve.py").write_text(SERVE)
    return model


def python(*words, **options):
    """A process in the folder `app`."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, *words], cwd="app", env=environment, encoding="utf-8", **options
    )


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), np.uint8)


def test_the_program_names_images(model):
    image = pytest.importorskip("PIL.Image")
    pixels = images(3)
    for k, each in enumerate(pixels):
        image.fromarray(each[0]).save(f"app/{k}.png")
    with python("classify.py", "0.png", "1.png", "2.png", stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=300)
    labels = cnnx.predict_labels(model, pixels.astype(np.float32) / 255)
    assert out.splitlines() == [f"{k}.png {NAMES[label]}" for k, label in enumerate(labels)]


@pytest.fixture
def service(model):
    """The address of the service, which runs in another process."""
    pytest.importorskip("fastapi", reason="pip install fastapi uvicorn")
    pytest.importorskip("uvicorn", reason="pip install fastapi uvicorn")
    process = python("-m", "uvicorn", "serve:app", "--port", "0", stderr=subprocess.PIPE)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"running on (http://[\d.:]+)", line)
            if found:
                break
        else:
            pytest.fail("".join(lines))
        yield found[1]
    finally:
        process.kill()
        process.communicate()


def asked(address, body):
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{address}/classify", body, kind)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def test_the_service_answers_many_threads_at_once_and_all_correctly(model, service):
    pixels = images(160)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: asked(service, each.tobytes()), pixels))
    expected = cnnx.predict_proba(model, pixels.astype(np.float32) / 255)
    assert all(tuple(answer) == NAMES for answer in answers)
    found = np.array([list(answer.values()) for answer in answers])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.ptp(found, axis=0).max() > 1e-3  # the images differ, and so do the answers
    with pytest.raises(urllib.error.HTTPError, match="422") as refused:
        asked(service, b"too short")
    assert "9 bytes, expected pixels of shape (1, 1, 28, 28)" in refused.value.read().decode()
    refused.value.close()
