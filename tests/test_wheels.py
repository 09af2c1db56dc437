"""A wheel with a library in it has that library's licence (.ci/repair.py)."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import json
import zipfile
from pathlib import Path

import pytest

REPAIR = Path(__file__).parents[1] / ".ci" / "repair.py"
METADATA = "Name: cnnx\nLicense-Expression: MIT\nLicense-File: LICENSE\n\ntext\n"


@pytest.fixture(scope="module")
def repair():
    spec = importlib.util.spec_from_file_location("repair", REPAIR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _wheel(path, library):
    """As auditwheel leaves it: with entries of folders."""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("cnnx/__init__.py", "x = 1\n")
        wheel.writestr("cnnx.libs/", "")
        wheel.writestr(f"cnnx.libs/{library}", b"\x7fELF")
        wheel.writestr("cnnx-0.dist-info/METADATA", METADATA)
        wheel.writestr("cnnx-0.dist-info/sboms/cnnx.cdx.json", '{"components": []}')
        wheel.writestr("cnnx-0.dist-info/RECORD", "cnnx/__init__.py,sha256=old,1\n")
    return path


@pytest.mark.parametrize(
    ("library", "name", "expression", "phrase"),
    [
        ("libgomp-f9a9ad78.so.1.0.0", "libgomp", "GPL-3.0-or-later WITH GCC-exception-3.1", "GNU"),
        ("libomp.so.5", "libomp", "Apache-2.0 WITH LLVM-exception", "Apache License"),
    ],
)
def test_the_licence_of_a_library_is_in_the_wheel(
    repair, tmp_path, library, name, expression, phrase
):
    made = tmp_path / "made.whl"
    repair.add_licenses(_wheel(tmp_path / "old.whl", library), made)
    with zipfile.ZipFile(made) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    assert files["cnnx/__init__.py"] == b"x = 1\n"
    head, _, body = files["cnnx-0.dist-info/METADATA"].decode().partition("\n\n")
    assert f"License-Expression: MIT AND {expression}" in head.split("\n")
    assert {"License-File: LICENSE", f"License-File: {name}.txt"} <= set(head.split("\n"))
    assert body == "text\n"
    text = files[f"cnnx-0.dist-info/licenses/{name}.txt"].decode()
    assert expression in text and phrase in text and "xception" in text
    [part] = json.loads(files["cnnx-0.dist-info/sboms/cnnx.cdx.json"])["components"]
    assert part["name"] == name and part["licenses"] == [{"expression": expression}]
    record = files["cnnx-0.dist-info/RECORD"].decode().split()
    rows = {row[0]: row[1:] for row in csv.reader(record)}
    assert rows.pop("cnnx-0.dist-info/RECORD") == ["", ""]
    assert rows == {
        name: [
            "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()[:43],
            str(len(data)),
        ]
        for name, data in files.items()
        if not name.endswith("RECORD")
    }


def test_a_library_whose_licence_is_not_known_is_refused(repair, tmp_path):
    with pytest.raises(SystemExit, match="libmystery"):
        repair.add_licenses(_wheel(tmp_path / "old.whl", "libmystery-1.so"), tmp_path / "made.whl")
