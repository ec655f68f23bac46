"""A download from a real server, which cuts, changes, redirects and lies: the file is whole and right, or not there."""

import hashlib
import socket
import threading

import numpy as np
import pytest

from sdedit_jax.weights import WeightsError
from sdedit_jax.weights.hub import download
from tests.weights.hub.server import Reply, serving

BODY = np.random.default_rng(0).bytes(3_000_000)
V1 = {"ETag": '"v1"'}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/model.ckpt": Reply(BODY, headers=V1)}) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "model.ckpt"


def fetch(server, path, where="/model.ckpt", checksum=""):
    download.download(server.url + where, path, checksum)


def files(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_arrives_whole(server, path, capfd):
    fetch(server, path)
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]
    assert server.requests == [("GET", "/model.ckpt", "")]
    assert "model.ckpt: 100%" in capfd.readouterr().err


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


def test_a_cut_download_goes_on_where_it_stopped(server, path):
    reply = server.replies["/model.ckpt"]
    for reply.sent in (1_234_567, 1_000_000):  # of what is left, the second time
        with pytest.raises(WeightsError, match=r"ended after \d+ of 3000000 bytes; run this again to go on"):
            fetch(server, path)
        assert not path.exists()
    reply.sent = None
    fetch(server, path)
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]
    assert [request[2] for request in server.requests if request[2]] == ["bytes=1234567-", "bytes=2234567-"]


@pytest.mark.parametrize("change", ["other version", "no ranges", "no version", "weak version"])
def test_halves_of_two_files_are_never_joined(server, path, change):
    """Another file is served after the cut; only where the server vouches for the bytes does the download go on."""
    reply = server.replies["/model.ckpt"]
    if change in ("no version", "weak version"):
        reply.headers = {"ETag": 'W/"v1"'} if change == "weak version" else {}
    reply.sent = 1_000_000
    with pytest.raises(WeightsError, match="ended after 1000000 of 3000000 bytes"):
        fetch(server, path)
    reply.sent, reply.body = None, BODY[::-1]
    if change == "other version":
        reply.headers = {"ETag": '"v2"'}
    elif change == "no ranges":
        reply.ranges = False
    fetch(server, path)
    assert path.read_bytes() == BODY[::-1] and files(path) == ["model.ckpt"]


def test_a_download_that_lacked_only_its_name_gets_it(server, path):
    reply = server.replies["/model.ckpt"]
    reply.sent = 10
    with pytest.raises(WeightsError):
        fetch(server, path)
    [partial] = path.parent.iterdir()
    partial.write_bytes(BODY)
    fetch(server, path)
    assert path.read_bytes() == BODY and files(path) == ["model.ckpt"]


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
        (Reply(b"no", 404), "the server answers 404 Not Found"),
        (Reply(b"no", 403), "the server answers 403 Forbidden"),
        (Reply(b"no", 401), "the server answers 401 Unauthorized"),
        (Reply(b"no", 503), "the server answers 503 Service Unavailable"),
        (Reply(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "is a page to be opened in a browser"),
        (Reply(b"some", headers={"Content-Length": ""}), "the server does not say how large the file is"),
        (Reply(b"some", headers={"Content-Length": str(10**18)}), r"needs 1000000000000 MB .*, but has \d+ MB free"),
        (Reply(b"", 302, {"Location": "file:///etc/passwd"}), "the server answers 302 .*file:///etc/passwd"),
        (Reply(b"", 302, {"Location": "ftp://example.com/x"}), "redirects to ftp://example.com/x, which is not https"),
        (Reply(b"", 302, {"Location": "http://example.com/x"}), "redirects to http://example.com/x, which is not http"),
        (Reply(b"", 302, {"Location": "/bad"}), "the server answers 302 .*infinite loop"),
    ],
    ids=str,
)
def test_what_is_no_file_is_refused(server, path, reply, message):
    server.replies["/bad"] = reply
    with pytest.raises(WeightsError, match=message):
        fetch(server, path, "/bad")
    assert not path.parent.exists() or files(path) == []


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
    redirects, request = download._SafeRedirects(), download.urllib.request.Request("https://example.com/x")
    for target in ("http://example.com/x", "http://127.0.0.1/x", "ftp://example.com/x"):
        with pytest.raises(WeightsError, match="which is not https"):
            redirects.redirect_request(request, None, 302, "Found", {}, target)
    assert redirects.redirect_request(request, None, 302, "Found", {}, "https://example.org/y") is not None


def test_a_server_that_is_not_there(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        monkeypatch.setattr(download, "TIMEOUT", 0.1)
        with pytest.raises(WeightsError, match="timed out"):
            download.download(url, path)
    with pytest.raises(WeightsError, match="Connection refused"):
        download.download(url, path)


def test_a_place_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be fetched: .*(exists|Not a directory)"):
        fetch(server, tmp_path / "file" / "model.ckpt")
