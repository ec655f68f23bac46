"""A download from a real server, which cuts, changes, redirects and lies: the file is whole and right, or not there."""

import hashlib
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import requests

from sdedit_jax.weights import WeightsError
from sdedit_jax.weights.hub import download
from tests.weights.hub.server import Reply, serving

BODY = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/model.ckpt": Reply(BODY)}) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "model.ckpt"


def fetch(server, path, where="/model.ckpt", checksum=""):
    download.download(server.url + where, path, checksum)


def files(path):
    """The files in the folder of `path`, which is not there without one, as is nothing else."""
    assert not path.parents[1].exists() or [file.name for file in path.parents[1].iterdir()] == [path.parent.name]
    return sorted(file.name for file in path.parent.iterdir()) if path.parents[1].exists() else []


def test_a_file_arrives_whole(server, path, capfd):
    fetch(server, path)
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]
    assert server.requests == [("GET", "/model.ckpt", "")]
    assert "100%" in capfd.readouterr().err


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_checksum_decides(server, path, algorithm):
    digest = hashlib.new(algorithm, BODY).hexdigest()
    with pytest.raises(
        WeightsError, match=rf"/model.ckpt sent a file that is damaged or not the .*{algorithm}:0{{32}}"
    ):
        fetch(server, path, checksum=f"{algorithm}:{'0' * len(digest)}")
    assert files(path) == []
    fetch(server, path, checksum=f"{algorithm}:{digest}")
    assert files(path) == ["model.ckpt"]


def test_a_cut_download_leaves_nothing_and_can_be_repeated(server, path):
    reply = server.replies["/model.ckpt"]
    for reply.sent in (0, 1_234_567):
        with pytest.raises(WeightsError, match=r"cannot be fetched: the connection broke off before the end\.$"):
            fetch(server, path)
        assert files(path) == []
    reply.sent = None
    fetch(server, path)
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]


def test_a_server_that_falls_silent(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection = listening.accept()[0]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            silence.wait(10)
            connection.close()

        silence = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(WeightsError, match=r"/x cannot be fetched: the server does not answer\.$"):
            download.download(f"http://127.0.0.1:{listening.getsockname()[1]}/x", path)
        silence.set()
        thread.join()
    assert files(path) == []


def test_a_killed_download_leaves_nothing_in_the_folder(server, path):
    server.replies["/model.ckpt"].sent, server.replies["/model.ckpt"].pause = 1_234_567, 10.0
    script = "import sys; from sdedit_jax.weights.hub.download import download; from pathlib import Path; "
    script += "download(sys.argv[1], Path(sys.argv[2]))"
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"{server.url}/model.ckpt", str(path)], stderr=subprocess.DEVNULL
    )
    while not any(file.is_file() and file.stat().st_size for file in path.parents[1].rglob("*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.stop.set()
    assert not path.parent.exists()
    assert [file.name[:10] for file in path.parents[1].iterdir()] == [".download-"]


def test_two_may_fetch_the_same_file_at_once(server, path):
    threads = [threading.Thread(target=fetch, args=(server, path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(b"no", 404), r"/bad cannot be fetched: the server answers 404 Not Found\.$"),
        (Reply(b"no", 403), r"/bad cannot be fetched: the server answers 403 Forbidden\.$"),
        (Reply(b"no", 401), r"/bad cannot be fetched: the server answers 401 Unauthorized\.$"),
        (Reply(b"no", 503), r"/bad cannot be fetched: the server answers 503 Service Unavailable\.$"),
        (Reply(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "is a page to be opened in a browser"),
        (Reply(b"", 302, {"Location": "file:///etc/passwd"}), "redirects to file:///etc/passwd, which is not https"),
        (Reply(b"", 302, {"Location": "ftp://example.com/x"}), "redirects to ftp://example.com/x, which is not https"),
        (Reply(b"", 302, {"Location": "http://example.com/x"}), "redirects to http://example.com/x, which is not http"),
        (Reply(b"", 302, {"Location": "/bad"}), r"/bad cannot be fetched: the server redirects without end\.$"),
    ],
    ids=str,
)
def test_what_is_no_file_is_refused(server, path, reply, message):
    server.replies["/bad"] = reply
    with pytest.raises(WeightsError, match=message):
        fetch(server, path, "/bad")
    assert not path.parents[1].exists()


def test_a_redirect_on_this_machine_is_followed(server, path):
    server.replies["/moved"] = Reply(b"", 302, {"Location": "/model.ckpt"})
    fetch(server, path, "/moved")
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "file:///etc/passwd", "ftp://example.com/x", "http://127.0.0.1.example.com/x", "x"]
)
def test_only_https_is_fetched(path, url):
    with pytest.raises(WeightsError, match="only https is, and http from this machine itself"):
        download.download(url, path)
    assert not path.parent.exists()


def test_https_never_becomes_http():
    for target in ("http://example.com/x", "http://127.0.0.1/x", "ftp://example.com/x", "https://example.org/y"):
        response = requests.Response()
        response.status_code, response.url = 302, "https://example.com/x"
        response.headers["Location"] = target
        if target == "https://example.org/y":
            download._check_response(response)
        else:
            with pytest.raises(WeightsError, match="which is not https"):
                download._check_response(response)


def test_a_server_that_is_not_there(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        monkeypatch.setattr(download, "TIMEOUT", 0.1)
        with pytest.raises(WeightsError, match=r"/x cannot be fetched: the server does not answer\.$"):
            download.download(url, path)
    with pytest.raises(WeightsError, match=r"/x cannot be fetched: the server cannot be reached\.$"):
        download.download(url, path)


def test_a_place_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be fetched: .*(exists|Not a directory)"):
        fetch(server, tmp_path / "file" / "model.ckpt")
