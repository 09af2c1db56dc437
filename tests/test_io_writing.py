"""Writing files: temporary files of killed processes, disk errors, and existing names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from cnnx import io


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def killed_while_writing(directory, name="model.npz"):
    """A process that dies while it writes `name`, as by SIGKILL or a power cut."""
    script = (
        "import os, sys\n"
        "from cnnx import io\n"
        "with io.atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os._exit(9)\n"
    )
    command = [sys.executable, "-c", script, str(directory / name)]
    assert subprocess.run(command, timeout=60).returncode == 9


def test_the_next_write_removes_the_file_of_a_killed_one(tmp_path):
    killed_while_writing(tmp_path)
    killed_while_writing(tmp_path, "other.npz")
    left = sorted(os.listdir(tmp_path))
    assert [name[:10] for name in left] == [".model.npz", ".other.npz"]
    assert io.leftovers(tmp_path, ("model.npz",)) == [str(tmp_path / left[0])]
    io.write_text_atomic(tmp_path / "model.npz", "whole")
    assert sorted(os.listdir(tmp_path)) == [left[1], "model.npz"]


def test_a_write_in_progress_keeps_its_temporary_file(tmp_path):
    path = tmp_path / "a"
    with io.atomic_write(path) as slow:
        slow.write(b"slow")
        io.write_text_atomic(path, "fast")
        assert path.read_text() == "fast"
        assert io.leftovers(tmp_path, ("a",)) == []
    assert path.read_text() == "slow"
    assert os.listdir(tmp_path) == ["a"]


def test_files_that_only_look_like_leftovers_are_kept(tmp_path):
    for name in (
        ".a.tmp",
        ".a.12345678.tmp~",
        "a.12345678.tmp",
        ".a.1234567g.tmp",
        ".b.12345678.tmp",
    ):
        (tmp_path / name).write_text("mine")
    io.write_text_atomic(tmp_path / "a", "")
    assert len(os.listdir(tmp_path)) == 6


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch, call):
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left") as caught:
        io.write_text_atomic(tmp_path / "a.txt", "new")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert caught.value.errno == errno.ENOSPC


def test_an_error_within_the_block_that_names_another_file_is_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, io.atomic_write(tmp_path / "a"):
        (tmp_path / "gone").read_text()
    assert caught.value.filename == str(tmp_path / "gone")


def test_a_new_file_is_written_only_if_none_exists(tmp_path):
    path = tmp_path / "run.json"
    io.write_text_atomic(path, "first", new=True)
    with pytest.raises(FileExistsError) as caught:
        io.write_text_atomic(path, "second", new=True)
    assert caught.value.filename == str(path)
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["run.json"]


def test_concurrent_writers_of_one_name_do_not_disturb_each_other(tmp_path):
    """Each looks for leftovers while the others begin and end."""
    path, errors = tmp_path / "a", []

    def write(content):
        try:
            for _ in range(20):
                io.write_text_atomic(path, content * 1000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(set(path.read_text())) == 1
    assert os.listdir(tmp_path) == ["a"]
