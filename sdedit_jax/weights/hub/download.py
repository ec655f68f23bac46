"""Fetching one file over https: it appears whole and verified, or not at all."""

import contextlib
import os
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdedit_jax.weights.stored import WeightsError

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes at a time


def download(url: str, path: Path, checksum: str = "") -> None:
    """Fetches `url` to `path`, with a progress bar.

    `url` and all that it redirects to must be https; http is for a mirror on this very machine (localhost, 127.0.0.1).
    `checksum`: ``sha256:`` or ``md5:`` and digits, or "". Before the file is complete and has it, it lies in a folder
    of its own beside that of `path`, which is left only if the process is killed.
    Raises WeightsError with the reason.
    """
    if not (_is_https(url) or _is_local(url)):
        raise WeightsError(f"{url} cannot be fetched: only https is, and http from this machine itself.")
    import pooch  # it and requests are needed only here

    pooch.get_logger().setLevel("ERROR")  # it reports all that it does
    get: Any = pooch.HTTPDownloader(True, CHUNK, timeout=TIMEOUT, hooks={"response": _check_response})
    try:
        with _unfinished(path.parent.parent) as folder:
            pooch.retrieve(url, checksum or None, path.name, folder, downloader=get)
            path.parent.mkdir(exist_ok=True)
            os.replace(folder / path.name, path)
    except WeightsError:
        raise
    except OSError as error:  # of the disk, or of requests, all of whose errors are OSErrors
        raise WeightsError(f"{url} cannot be fetched: {_reason(error)}.") from error
    except ValueError as error:  # of the checksum
        raise WeightsError(f"{url} sent a file that is damaged or not the published one ({checksum}).") from error


@contextlib.contextmanager
def _unfinished(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent`, on the same disk; afterwards it is gone, and so is what was made for it alone."""
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    finally:
        with contextlib.suppress(OSError):  # the first that holds anything ends it
            for folder in made:
                folder.rmdir()


def _reason(error: OSError) -> str:
    """A short reason; what requests says holds objects of the libraries below it, with their addresses in memory."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}".rstrip()
    # While a file arrives, requests calls it no Timeout that nothing comes any more.
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error):
        return "the server does not answer"
    reasons = (
        (exceptions.SSLError, "the server's certificate is not accepted"),
        (exceptions.ConnectionError, "the server cannot be reached"),
        (exceptions.ChunkedEncodingError, "the connection broke off before the end"),
        (exceptions.TooManyRedirects, "the server redirects without end"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    return error.strerror or str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _check_response(response: Any, **_: Any) -> None:
    """WeightsError for a redirect to where a first request may not go, or from https to http, and for a web page."""
    if response.is_redirect:
        target = urllib.parse.urljoin(response.url, response.headers["Location"])
        if not (_is_https(target) or (_is_local(response.url) and _is_local(target))):
            raise WeightsError(f"{response.url} cannot be fetched: it redirects to {target}, which is not https.")
    elif response.ok and response.headers.get("Content-Type", "").startswith("text/html"):
        raise WeightsError(f"{response.url} is a page to be opened in a browser, not a file.")


def _is_https(url: str) -> bool:
    return urllib.parse.urlsplit(url).scheme == "https"


def _is_local(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
