"""Adds to a wheel for Linux the libraries that it needs, with their licences.

    python .ci/repair.py WHEEL FOLDER [options of auditwheel repair]

`auditwheel repair` copies the OpenMP runtime into the wheel. Its licence, from .ci/licenses, is
added to the licence files, to the licence expression and to the bill of materials; a library whose
licence is not there is an error.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

EXPRESSIONS = {
    "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libomp": "Apache-2.0 WITH LLVM-exception",
}
TEXTS = Path(__file__).with_name("licenses")
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")  # as in setup.py


def repair(wheel: Path, folder: Path, options: list[str]) -> Path:
    """The repaired wheel, in that folder."""
    with tempfile.TemporaryDirectory() as fixed:
        subprocess.run(["auditwheel", "repair", "-w", fixed, *options, str(wheel)], check=True)
        [path] = Path(fixed).iterdir()
        made = path.with_suffix(".made")
        add_licenses(path, made)
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(made, folder / path.name))


def add_licenses(source: Path, target: Path) -> None:
    """Copy a wheel, with the licences of the libraries in it."""
    with zipfile.ZipFile(source) as old:
        files = {info.filename: old.read(info) for info in old.infolist() if not info.is_dir()}
        like = old.getinfo(next(name for name in files if name.endswith(".dist-info/METADATA")))
    root = like.filename.removesuffix("METADATA")
    libraries = [name.rpartition("/")[2] for name in files if ".libs/" in name]
    bundled = sorted({re.split(r"[-.]", name)[0] for name in libraries})
    unknown = [name for name in bundled if name not in EXPRESSIONS]
    if unknown:
        raise SystemExit(f"{source.name}: the licence of {', '.join(unknown)} is not in {TEXTS}")
    files[f"{root}METADATA"] = with_licenses(files[f"{root}METADATA"], bundled)
    bill = f"{root}sboms/cnnx.cdx.json"
    files[bill] = with_components(files[bill], bundled)
    for name in bundled:
        files[f"{root}licenses/{name}.txt"] = (TEXTS / f"{name}.txt").read_bytes()
    del files[f"{root}RECORD"]
    rows = [recorded(name, content) for name, content in files.items()]
    files[f"{root}RECORD"] = "\n".join([*rows, f"{root}RECORD,,", ""]).encode()
    with zipfile.ZipFile(target, "w") as new:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, like.date_time)
            info.external_attr = (0o100755 if ".so" in name else 0o100644) << 16
            new.writestr(info, content, zipfile.ZIP_DEFLATED)


def with_licenses(metadata: bytes, bundled: list[str]) -> bytes:
    """The metadata, with the licences of these libraries."""
    lines = metadata.decode().split("\n")
    [at] = [i for i, line in enumerate(lines) if line.startswith("License-Expression: ")]
    lines[at] += "".join(f" AND {EXPRESSIONS[name]}" for name in bundled)
    files = [f"License-File: {name}.txt" for name in bundled]
    return "\n".join([*lines[: at + 1], *files, *lines[at + 1 :]]).encode()


def with_components(bill: bytes, bundled: list[str]) -> bytes:
    """The bill of materials of setup.py, with these libraries."""
    known = json.loads(bill)
    known["components"] += [
        {"type": "library", "name": name, "licenses": [{"expression": EXPRESSIONS[name]}]}
        for name in bundled
    ]
    return f"{json.dumps(known, indent=1)}\n".encode()


def recorded(name: str, content: bytes) -> str:
    """A file's row in RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(content)}"


if __name__ == "__main__":
    print(repair(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
