"""Files: written completely or not at all, and not trusted when read.

This file is longer than others because every way in which writing or reading a file can fail is a
separate test.
"""

from __future__ import annotations

import errno
import io as text_io
import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from cnnx import io

ARRAYS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">f8"),
    "scalar": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
    "flags": np.array([True, False]),
}


META = '{"arrays": ["x"], "meta": null}'


def npy(array, **changes):
    """The bytes of a .npy entry whose header does not match its data."""
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changes}
    stream = text_io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


def archive(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in entries:
            file.writestr(name, content)


def test_arrays_and_meta_come_back(tmp_path):
    path = tmp_path / "a.npz"
    io.save_npz(path, ARRAYS, {"epoch": 3, "names": ["a", None]})
    arrays, meta = io.load_npz(path)
    assert meta == {"epoch": 3, "names": ["a", None]}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].shape == array.shape
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        assert arrays[name].flags.writeable


def test_the_same_content_gives_the_same_bytes_on_another_day(tmp_path, monkeypatch):
    io.save_npz(tmp_path / "a.npz", {"w": np.arange(3)}, {"epoch": 4})
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    io.save_npz(tmp_path / "b.npz", {"w": np.arange(3)}, {"epoch": 4})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_the_file_too(tmp_path):
    io.save_npz(tmp_path / "a.npz", ARRAYS, {})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["0.weight"], ARRAYS["0.weight"])


def test_the_path_is_used_unchanged(tmp_path):
    io.save_npz(tmp_path / "model", {"x": np.ones(2)})
    assert os.listdir(tmp_path) == ["model"]


def test_objects_text_and_meta_that_is_not_json_are_rejected_before_writing(tmp_path):
    for arrays, meta in (
        ({"x": np.array([object()])}, None),
        ({"x": np.array(["text"])}, None),
        ({"x": np.ones(1)}, {"a": {1, 2}}),
    ):
        with pytest.raises(TypeError):
            io.save_npz(tmp_path / "a.npz", arrays, meta)
    with pytest.raises(ValueError, match=r"meta\.json"):
        io.save_npz(tmp_path / "a.npz", {"meta.json": np.ones(1)})
    assert os.listdir(tmp_path) == []


def test_a_new_file_has_normal_permissions_and_an_existing_one_keeps_them(tmp_path):
    path = tmp_path / "a"
    mask = os.umask(0o022)
    try:
        io.write_text_atomic(path, "a")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o600)
        io.write_text_atomic(path, "b")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)
    assert path.read_text() == "b"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    io.write_text_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_leaves_only_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a.npz"
    io.save_npz(path, {"x": np.ones(3)}, "old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        io.save_npz(path, {"x": np.zeros(3)}, "new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.npz"]
    assert io.load_npz(path)[1] == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_the_system_refuses_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    io.save_npz(path, {"x": np.ones(3)}, "old")
    script = (
        "import resource, sys, numpy as np\n"
        "from cnnx import io\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    io.save_npz(sys.argv[1], {'x': np.zeros(10**6)}, 'new')\n"
        "except OSError as error:\n"
        "    print('OSError')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "OSError\n"
    assert run.stderr == ""
    assert os.listdir(tmp_path) == ["a.npz"]
    assert io.load_npz(path)[1] == "old"


def test_an_interrupt_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), io.atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text() == "old"


def test_a_missing_directory_and_a_directory_as_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing/a.npz"):
        io.save_npz(tmp_path / "missing" / "a.npz", {})
    with pytest.raises(IsADirectoryError):
        io.save_npz(tmp_path, {})
    with pytest.raises(FileNotFoundError):
        io.load_npz(tmp_path / "absent.npz")


def refused(path, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        io.load_npz(path)
    assert str(path) in str(caught.value)


def test_every_truncation_is_one_clear_error(tmp_path):
    path = tmp_path / "a.npz"
    io.save_npz(path, ARRAYS, {"a": 1})
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        refused(path, "damaged|empty|not a file of cnnx|cannot be read")


def test_every_flipped_byte_is_an_error_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    io.save_npz(path, {"x": np.arange(5.0)}, {"a": 1})
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            arrays, meta = io.load_npz(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:  # a date or a flag: the content is protected by checksums
            assert meta == {"a": 1}
            assert np.array_equal(arrays["x"], np.arange(5.0))


def test_files_of_other_kinds_are_identified_in_the_error(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"")
    refused(path, "it is empty")
    path.write_bytes(pickle.dumps({"a": 1}))
    refused(path, "pickle")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(path, "not a file of cnnx")
    np.save(tmp_path / "b.npy", np.ones(3))
    refused(tmp_path / "b.npy", "single .npy array")
    np.savez(path, x=np.ones(3))
    refused(path, r"no meta\.json")


def test_a_pickled_array_is_never_opened(tmp_path):
    path = tmp_path / "a.npz"
    stream = text_io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    archive(path, [("meta.json", META), ("x.npy", stream.getvalue())])
    refused(path, "no pickles")


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (10**12,)},
        {"shape": (10**10, 10**10)},
        {"shape": (-1, -4)},
        {"shape": (3,)},
        {"descr": "<f8"},
    ],
)
def test_a_header_with_a_wrong_size_takes_no_memory(tmp_path, changes):
    path = tmp_path / "a.npz"
    archive(path, [("meta.json", META), ("x.npy", npy(np.ones(4, np.float32), **changes))])
    refused(path, "claims shape")


def test_a_decompression_bomb_is_rejected(tmp_path):
    path = tmp_path / "a.npz"
    bomb = npy(np.zeros(10**6))
    archive(path, [("meta.json", META), ("x.npy", bomb)], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    refused(path, "it has compressed entries")


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    path, inner = tmp_path / "a.npz", tmp_path / "inner.zip"
    archive(inner, [("b.npy", npy(np.zeros(1000)))])
    # The data of entry a contain the whole entry b, which the directory lists too: 16 kB out of 8.
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("meta.json", META)
        file.writestr("a.npy", inner.read_bytes())
        with zipfile.ZipFile(inner) as other:
            shared = other.getinfo("b.npy")
        shared.header_offset = file.getinfo("a.npy").header_offset + 30 + len("a.npy")
        file.filelist.append(shared)
    with zipfile.ZipFile(path) as file:
        assert file.namelist() == ["meta.json", "a.npy", "b.npy"]
    refused(path, "its entries claim")


def test_meta_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    archive(path, [("meta.json", "{"), ("x.npy", npy(np.ones(4)))])
    refused(path, "cannot be read")
    archive(path, [("meta.json", "[" * 100_000)])
    refused(path, "cannot be read")
    archive(path, [("meta.json", json.dumps(1)), ("x.npy", b"no array")])
    refused(path, "cannot be read")


def test_file_objects_are_read_and_written_at_their_current_position(tmp_path):
    stream = text_io.BytesIO()
    stream.write(b"before")
    io.save_npz(stream, ARRAYS, {"a": 1})
    io.save_npz(tmp_path / "a.npz", ARRAYS, {"a": 1})
    assert stream.getvalue() == b"before" + (tmp_path / "a.npz").read_bytes()
    stream.seek(6)
    arrays, meta = io.load_npz(stream)
    assert meta == {"a": 1} and list(arrays) == list(ARRAYS)
    with open(tmp_path / "b", "wb") as file:
        io.save_npz(file, ARRAYS)
    with open(tmp_path / "b", "rb") as file:
        assert list(io.load_npz(file)[0]) == list(ARRAYS)
    with pytest.raises(ValueError, match=r"BytesIO.*it is empty"):
        io.load_npz(text_io.BytesIO())
    for call in (
        lambda: io.save_npz(text_io.StringIO(), {}),
        lambda: io.load_npz(text_io.StringIO()),
    ):
        with pytest.raises(TypeError, match=r"text.*binary"):
            call()


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,",
        b"{'descr': '''<f4",
        b"(((((((((",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n  }\n }",
        b"{" * 5000,
        b"{'descr': 5, 'fortran_order': False, 'shape': (4,)}",
        b"{'descr': '<f4', 'fortran_order': 7, 'shape': (4,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4.5,)}",
        b"\0" * 60,
        b"\xff" * 60,
    ],
    ids=range(10),
)
def test_a_damaged_array_header_is_a_value_error(tmp_path, header):
    for version, size in ((b"\x01\x00", "<H"), (b"\x02\x00", "<I")):
        path = tmp_path / "a.npz"
        entry = b"\x93NUMPY" + version + struct.pack(size, len(header)) + header + bytes(16)
        archive(path, [("meta.json", META), ("x.npy", entry)])
        refused(path, "cannot be read: damaged: .*'x.npy'")


def test_any_bytes_as_an_array_header_are_a_value_error(tmp_path):
    """Headers that differ from a valid one in a few places, as from a faulty disk."""
    whole = bytearray(npy(np.ones(4, np.float32)))
    rng = np.random.default_rng(0)
    path = tmp_path / "a.npz"
    for _ in range(1500):
        entry = bytearray(whole)
        for place in rng.integers(6, len(whole) - 16, rng.integers(1, 4)):
            entry[place] = rng.integers(256)
        archive(path, [("meta.json", META), ("x.npy", bytes(entry))])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                arrays, _ = io.load_npz(path)
            except ValueError as error:
                assert str(path) in str(error)
            else:
                assert arrays["x"].nbytes == 16
