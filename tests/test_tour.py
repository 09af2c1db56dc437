"""docs/tour.py runs as a program, and as docs/tour.ipynb, the notebook generated from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURES = 9
# Two float32 trainings agree so closely over their first 20 steps; then rounding drives them apart.
DRIFT = 1e-5


def run(*command, **variables):
    """The output of a Python program, run in a separate process as a reader would start it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The notebook, generated and executed now."""
    folder = tmp_path_factory.mktemp("tour")
    path = folder / "tour.ipynb"
    run(DOCS / "notebook.py", path, IPYTHONDIR=str(folder), JUPYTER_RUNTIME_DIR=str(folder))
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def kept():
    return json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))


def sources(notebook):
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def outputs(notebook):
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


def printed(notebook):
    return "".join("".join(output["text"]) for output in outputs(notebook) if "text" in output)


def differences(text):
    return [float(number) for number in re.findall(r"largest difference: (\S+)", text)]


def test_the_saved_notebook_has_the_cells_of_the_script(fresh, kept):
    assert sources(kept) == sources(fresh), "docs/tour.py was edited: run python docs/notebook.py"


def test_the_notebook_runs_from_top_to_bottom_and_shows_its_pictures(fresh):
    cells = [cell for cell in fresh["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(fresh) if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", ()) for output in outputs(fresh)) == PICTURES


def test_backends_and_pytorch_give_the_same_losses_in_the_notebook(fresh):
    found = differences(printed(fresh))
    assert len(found) == (2 if find_spec("torch") else 1)
    assert max(found) < DRIFT


def test_the_script_runs_and_prints_a_note_without_pytorch():
    program = (
        "import runpy, sys; sys.modules['torch'] = None;"
        f"names = runpy.run_path({str(DOCS / 'tour.py')!r}); print('right:', names['accuracy'])"
    )
    text = run("-W", "error", "-c", program)
    assert "PyTorch is not installed here" in text
    (difference,) = differences(text)
    assert difference < DRIFT
    by_backward, by_nudging = map(float, re.findall(r"(?:backward|nudging): +(\S+)", text))
    assert by_backward == pytest.approx(by_nudging, abs=1e-8) and by_backward
    assert float(re.findall(r"right: (\S+)", text)[0]) > 0.93


def test_the_saved_notebook_is_small_and_names_no_paths_of_a_machine(kept):
    assert (DOCS / "tour.ipynb").stat().st_size < 500_000
    assert sum("image/png" in output.get("data", ()) for output in outputs(kept)) == PICTURES
    assert len(differences(printed(kept))) == 2  # generated with PyTorch installed
    words = printed(kept) + json.dumps(kept["metadata"])
    assert not re.search(r"/(home|root|tmp|usr|work|Users)/|Warning|Traceback", words)
    assert not [output for output in outputs(kept) if output.get("name") == "stderr"]
