"""Fetching one file over https: it appears whole and verified, or not at all."""

import contextlib
import glob
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sdedit_jax.weights.stored import WeightsError

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes at a time


def download(url: str, path: Path, checksum: str = "") -> None:
    """Fetches `url` to `path`, with a progress bar; a download that was cut off goes on where it stopped.

    `url` and all that it redirects to must be https; http is for a mirror on this very machine (localhost, 127.0.0.1).
    `checksum`: as for `verify`; nothing appears at `path` before the file is complete and has it.
    Raises WeightsError with the reason.
    """
    if not (_is_https(url) or _is_local(url)):
        raise WeightsError(f"{url} cannot be fetched: only https is, and http from this machine itself.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _stream(url, path)
        # Another process may fetch the same; its bytes are the same too, and the first to finish takes the file away.
        with contextlib.suppress(FileNotFoundError):
            _verify_download(url, partial, checksum)
            partial.replace(path)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            stale.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"{url} cannot be fetched: {_reason(error)}.") from error


def verify(path: Path, checksum: str) -> None:
    """WeightsError unless the file has the `checksum`: ``sha256:`` or ``md5:`` and digits; every file has ""."""
    if not checksum:
        return
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path} is damaged or another file than the published one: its {algorithm} is {found}, not {expected}. "
            "Delete it to have it fetched again."
        )


def _verify_download(url: str, partial: Path, checksum: str) -> None:
    try:
        verify(partial, checksum)
    except WeightsError as error:
        partial.unlink()
        raise WeightsError(f"{url} sent a file that is damaged or not the published one ({checksum}).") from error


def _stream(url: str, path: Path) -> Path:
    """The complete file, beside `path` under a name that tells the server's versions of it apart."""
    with _open(url) as response:
        length, version = _length(url, response), _version(response)
        tag = hashlib.sha256(f"{url} {version} {length}".encode()).hexdigest()[:12] if version else str(os.getpid())
        partial = path.with_name(f".{path.name}.{tag}.part")
        start = partial.stat().st_size if version and partial.exists() else 0
        if not 0 < start <= length:
            return _write(response, partial, 0, length)
    if start == length:
        return partial
    with _open(url, {"Range": f"bytes={start}-", "If-Range": version}) as response:
        return _write(response, partial, start if response.status == HTTPStatus.PARTIAL_CONTENT else 0, length)


def _write(response: Any, partial: Path, start: int, length: int) -> Path:
    """`partial`, after writing what `response` sends from byte `start` on; WeightsError if that is not all."""
    free = shutil.disk_usage(partial.parent).free
    if free < length - start:
        raise WeightsError(
            f"{partial.parent} needs {(length - start) / 1e6:.0f} MB for a download, but has {free / 1e6:.0f} MB free."
        )
    # Not truncated: what is there already is the beginning of this very file.
    with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), "r+b") as file:
        file.seek(start)
        name = partial.name[1:].rsplit(".", 2)[0]
        with tqdm(total=length, initial=start, unit="B", unit_scale=True, desc=name) as bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        end = file.tell()
        os.fsync(file.fileno())
    if end != length:
        raise WeightsError(f"{response.url} ended after {end} of {length} bytes; run this again to go on from there.")
    return partial


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    """The response, of which nothing but the head has been read."""
    headers = {"User-Agent": "sdedit_jax", "Accept-Encoding": "identity"} | (headers or {})
    return urllib.request.build_opener(_SafeRedirects).open(urllib.request.Request(url, headers=headers), None, TIMEOUT)


def _length(url: str, response: Any) -> int:
    """The size of the file in bytes; WeightsError for what is not a file."""
    if response.headers.get_content_type() == "text/html":
        raise WeightsError(f"{url} is a page to be opened in a browser, not a file.")
    length = response.headers.get("Content-Length", "")
    if not length.isdigit():
        raise WeightsError(f"{url} cannot be fetched: the server does not say how large the file is.")
    return int(length)


def _version(response: Any) -> str:
    """The server's name for these very bytes; "" if it has none, or a weak one, which promises only similar bytes."""
    tag = response.headers.get("ETag", "")
    return "" if tag.startswith("W/") else tag


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", "")) or str(error) or type(error).__name__


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to where a first request may go as well, and never from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """The request to go on with."""
        if not (_is_https(newurl) or (_is_local(req.full_url) and _is_local(newurl))):
            raise WeightsError(f"{req.full_url} cannot be fetched: it redirects to {newurl}, which is not https.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_https(url: str) -> bool:
    return urllib.parse.urlsplit(url).scheme == "https"


def _is_local(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
