"""Downloads, tested against a server on loopback: every mirror here is 127.0.0.1."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import cnnx.data
from cnnx.data import datasets, download
from cnnx.data.download import DownloadError, RemoteFile

CONTENT = np.random.default_rng(1).bytes(700_001)


class Server(ThreadingHTTPServer):
    """Serves `files` (path -> bytes); `manner` (path -> word) selects how it misbehaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.manner: dict[str, str] = {}
        self.seen: list[str] = []

    def handle_error(self, request, client_address):
        pass  # the client closes the connection when it has what it needs

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def serve(self, path, content, manner="well"):
        self.files[path], self.manner[path] = content, manner
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path not in self.server.files:
            self.send_error(404)
            return
        content, manner = self.server.files[self.path], self.server.manner[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:300_000] if manner == "breaks off" else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # bound, but not listening: connections are refused


def remote(*mirrors, content=CONTENT, name="data.bin"):
    return RemoteFile(name, len(content), hashlib.md5(content).hexdigest(), mirrors)


def test_a_file_arrives_whole_and_leaves_no_part(server, tmp_path):
    path = download.fetch(remote(server.serve("/a", CONTENT)), str(tmp_path / "new" / "folder"))
    assert Path(path) == tmp_path / "new" / "folder" / "data.bin"
    assert Path(path).read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new" / "folder") == ["data.bin"]
    assert server.seen == ["/a"]


def test_an_existing_file_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    download.fetch(remote(server.serve("/a", CONTENT)), str(tmp_path))
    assert server.seen == []


def test_a_wrong_file_of_that_name_is_replaced(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    path = download.fetch(remote(server.serve("/a", CONTENT)), str(tmp_path))
    assert Path(path).read_bytes() == CONTENT


def test_an_interrupted_transfer_leads_to_the_next_mirror(server, tmp_path):
    urls = server.serve("/a", CONTENT, "breaks off"), server.serve("/b", CONTENT)
    path = download.fetch(remote(*urls), str(tmp_path))
    assert Path(path).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["data.bin"]


def test_a_wrong_checksum_leads_to_the_next_mirror(server, tmp_path):
    wrong = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    urls = server.serve("/wrong", wrong), server.serve("/right", CONTENT)
    path = download.fetch(remote(*urls), str(tmp_path))
    assert Path(path).read_bytes() == CONTENT
    assert server.seen == ["/wrong", "/right"]


def test_downloads_and_mirrors_that_failed_are_logged(server, tmp_path, caplog):
    caplog.set_level("INFO", logger="cnnx")
    wrong, right = server.serve("/a", CONTENT[::-1]), server.serve("/b", CONTENT)
    path = download.fetch(remote(wrong, right), str(tmp_path))
    found = [record for record in caplog.records if record.name == "cnnx.data"]
    assert [record.levelname for record in found] == ["INFO", "WARNING", "INFO", "INFO"]
    messages = [record.getMessage() for record in found]
    assert messages[::2] == [f"downloading {wrong}", f"downloading {right}"]
    assert messages[1].startswith(f"download failed: {wrong}: wrong checksum")
    assert messages[3] == f"downloaded {path}"


def test_a_wrong_checksum_everywhere_leaves_nothing_behind(server, tmp_path):
    wrong = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with pytest.raises(DownloadError, match=r"wrong checksum, expected MD5 [0-9a-f]{32}"):
        download.fetch(remote(server.serve("/a", wrong)), str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_missing_file_is_one_error_with_every_mirror_and_its_reason(server, tmp_path):
    urls = server.url("/one"), server.url("/two")
    with pytest.raises(DownloadError) as caught:
        download.fetch(remote(*urls), str(tmp_path))
    message = str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    assert all(f"{url}: HTTP 404" in message for url in urls)
    assert f"put data.bin (MD5 {hashlib.md5(CONTENT).hexdigest()}) into {tmp_path}" in message
    assert os.listdir(tmp_path) == []


def test_without_a_network_the_error_says_what_to_do(closed_port, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{closed_port}/a"
    with pytest.raises(DownloadError, match=r"(?s)could not download data.bin.*refused.*CNNX_DATA"):
        download.fetch(remote(url), str(tmp_path))


def test_a_mirror_that_hangs_is_abandoned(server, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        urls = f"http://127.0.0.1:{silent.getsockname()[1]}/a", server.serve("/b", CONTENT)
        start = time.monotonic()
        path = download.fetch(remote(*urls), str(tmp_path), timeout=0.2)
    assert time.monotonic() - start < 5
    assert Path(path).read_bytes() == CONTENT


def test_an_error_of_the_disk_is_raised_and_no_mirror_is_tried(server, tmp_path):
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(OSError) as caught:
        download.fetch(remote(server.serve("/a", CONTENT)), str(tmp_path / "folder"))
    assert not isinstance(caught.value, DownloadError) and server.seen == []


def test_without_pooch_the_error_names_the_extra_and_the_way_by_hand(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[data\]'.* CNNX_DATA"):
        download.fetch(remote("http://127.0.0.1/a"), str(tmp_path))


def test_progress_is_shown_with_and_without_tqdm(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    download.fetch(remote(server.serve("/a", CONTENT)), str(tmp_path))
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["downloading data.bin (0.7 MB)"] and shown.out == ""
    monkeypatch.undo()
    pytest.importorskip("tqdm")
    download.fetch(remote(server.serve("/b", CONTENT), name="other.bin"), str(tmp_path))
    assert "other.bin: 100%" in capsys.readouterr().err


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path))
    assert cnnx.data.cache_directory() == str(tmp_path)
    monkeypatch.delenv("CNNX_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cnnx.data.cache_directory() == str(tmp_path / "xdg" / "cnnx")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cnnx.data.cache_directory() == str(tmp_path / ".cache" / "cnnx")


# Whole data sets


def idx(array):
    header = bytes((0, 0, 8, array.ndim))
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def mnist_files(seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (5, 3)]
    labels = [rng.integers(0, 10, n, np.uint8) for n in (5, 3)]
    parts = [arrays[0], labels[0], arrays[1], labels[1]]
    return parts, [gzip.compress(idx(part)) for part in parts]


@pytest.fixture
def mnist_server(server, tmp_path, monkeypatch):
    """load_mnist's table pointing to loopback, with an empty cache; returns the arrays served."""
    parts, packed = mnist_files()
    files = tuple(
        remote(server.serve(f"/{name}", content), content=content, name=name)
        for name, content in zip(datasets.MNIST.patterns, packed, strict=True)
    )
    monkeypatch.setattr(datasets, "MNIST", datasets.MNIST._replace(remote=files))
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CNNX_DATA", raising=False)
    return parts


def test_load_mnist_downloads_into_the_cache_once(server, mnist_server, tmp_path):
    for _ in range(2):
        train, test = cnnx.data.load_mnist()
        np.testing.assert_array_equal(train.y, mnist_server[1])
        np.testing.assert_array_equal(np.rint(test.x[:, 0] * 255), mnist_server[2])
    assert len(server.seen) == 4
    assert set(datasets.MNIST.patterns) <= set(os.listdir(tmp_path / "cache" / "mnist"))


def test_load_mnist_fetches_only_what_the_cache_lacks(server, mnist_server, tmp_path):
    cnnx.data.load_mnist()
    (tmp_path / "cache" / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    server.seen.clear()
    cnnx.data.load_mnist()
    assert server.seen == ["/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks")
def test_two_processes_at_the_same_time_download_once(server, mnist_server):
    loaded = []
    threads = [
        threading.Thread(target=lambda: loaded.append(cnnx.data.load_mnist())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 3 and len(server.seen) == 4


def test_a_data_set_that_cnnx_data_lacks_comes_from_the_cache(
    server, mnist_server, tmp_path, monkeypatch
):
    (tmp_path / "others").mkdir()
    monkeypatch.setenv("CNNX_DATA", str(tmp_path / "others"))
    train, _ = cnnx.data.load_mnist()
    np.testing.assert_array_equal(train.y, mnist_server[1])


def test_an_explicit_directory_is_never_downloaded_for(server, mnist_server, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no MNIST in .*train-images-idx3-ubyte.gz"):
        cnnx.data.load_mnist(tmp_path)
    assert server.seen == []


MEMBERS = {f"cifar-10-batches-bin/{name}.bin": 2 * 3073 for name in ("data_batch_1", "test_batch")}


def tar_gz(entries):
    """entries: (name, bytes), or (name, type, link target)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, *rest in entries:
            info = tarfile.TarInfo(name)
            if len(rest) == 2:
                info.type, info.linkname = rest
                tar.addfile(info)
            else:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
    return packed.getvalue()


def records(label):
    return b"".join(bytes([label + i]) + bytes([10 * label + i]) * 3072 for i in range(2))


def good_entries():
    return list(zip(MEMBERS, (records(3), records(7)), strict=True))


def test_load_cifar10_downloads_unpacks_and_keeps_no_archive(server, tmp_path, monkeypatch):
    content = tar_gz([("cifar-10-batches-bin/readme.html", b"hello"), *good_entries()])
    url = server.serve("/cifar", content)
    file = remote(url, content=content, name="cifar-10-binary.tar.gz")
    monkeypatch.setattr(datasets, "CIFAR10", datasets.CIFAR10._replace(remote=(file,)))
    monkeypatch.setattr(datasets, "CIFAR10_MEMBERS", MEMBERS)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path))
    monkeypatch.delenv("CNNX_DATA", raising=False)
    for _ in range(2):
        train, test = cnnx.data.load_cifar10()
        assert train.y.tolist() == [3, 4] and test.y.tolist() == [7, 8]
    assert len(server.seen) == 1
    here = {name for name in os.listdir(tmp_path / "cifar10") if name != ".lock"}
    assert here == {"data_batch_1.bin", "test_batch.bin"}


def test_unpack_writes_the_expected_members_and_nothing_else(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    hostile = [
        ("../outside", b"stolen"),
        ("cifar-10-batches-bin/../../outside", b"stolen"),
        (str(outside), b"stolen"),
        ("cifar-10-batches-bin/data_batch_1.bin", tarfile.SYMTYPE, str(outside)),
        ("cifar-10-batches-bin", tarfile.SYMTYPE, str(tmp_path)),
        ("cifar-10-batches-bin/data_batch_9.bin", records(1)),
    ]
    (tmp_path / "a.tar.gz").write_bytes(tar_gz(hostile + good_entries()))
    download.unpack(str(tmp_path / "a.tar.gz"), MEMBERS, str(tmp_path / "to"))
    assert sorted(os.listdir(tmp_path / "to")) == ["data_batch_1.bin", "test_batch.bin"]
    assert not (tmp_path / "to" / "data_batch_1.bin").is_symlink()
    assert (tmp_path / "to" / "data_batch_1.bin").read_bytes() == records(3)
    assert outside.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "outside", "to"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_gz(good_entries()[:1]), "lacks cifar-10-batches-bin/test_batch.bin"),
        (tar_gz([(name, data + b"!") for name, data in good_entries()]), "6,147 bytes, expected"),
        (
            tar_gz([(name, tarfile.SYMTYPE, "/etc/hosts") for name in MEMBERS]),
            "lacks cifar-10-batches-bin/data_batch_1.bin, ",
        ),
        (tar_gz(good_entries())[:-60], "damaged or truncated"),
        (tar_gz(good_entries())[:40], "damaged or truncated"),
        (b"no archive at all", "damaged or truncated"),
        (b"", "damaged or truncated"),
    ],
    ids=["member missing", "other size", "links", "cut", "cut early", "foreign", "empty"],
)
def test_a_wrong_archive_is_one_error_and_leaves_no_files(tmp_path, content, message):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        download.unpack(str(tmp_path / "a.tar.gz"), MEMBERS, str(tmp_path / "to"))
    assert str(caught.value).startswith(str(tmp_path / "a.tar.gz"))
    assert os.listdir(tmp_path / "to") == []


def real_folder(name):
    place = os.path.join(os.environ.get("CNNX_DATA", ""), name)
    if not os.path.isdir(place):
        pytest.skip(f"needs the published {name} files in CNNX_DATA")
    return place


@pytest.mark.parametrize("source", [datasets.MNIST, datasets.FASHION_MNIST], ids=["mnist", "fash"])
def test_lengths_and_checksums_of_the_table_are_those_of_the_published_files(source):
    place = real_folder(source.folders[0])
    for file in source.remote:
        content = (Path(place) / file.name).read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (file.size, file.md5)


def test_importing_the_data_package_loads_no_network_archive_or_image_module():
    code = (
        "import numpy, numpy.random, sys; before = set(sys.modules); import cnnx.data; "
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    heavy = {"urllib", "http", "ssl", "socket", "tarfile", "gzip", "zipfile", "tqdm", "PIL"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in shown.stdout.split())
