"""Fetching one file over https: it appears whole and verified, or not at all."""

import urllib.parse
from pathlib import Path
from typing import Any

from sdedit_jax.weights.stored import WeightsError

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes at a time


def download(url: str, path: Path, checksum: str = "") -> None:
    """Fetches `url` to `path`, with a progress bar.

    `url` and all that it redirects to must be https; http is for a mirror on this very machine (localhost, 127.0.0.1).
    `checksum`: as for `verify`; nothing appears at `path` before the file is complete and has it.
    Raises WeightsError with the reason.
    """
    if not (_is_https(url) or _is_local(url)):
        raise WeightsError(f"{url} cannot be fetched: only https is, and http from this machine itself.")
    import pooch  # it and requests are needed only here

    pooch.get_logger().setLevel("ERROR")  # it reports all that it does
    get = pooch.HTTPDownloader(True, CHUNK, timeout=TIMEOUT, hooks={"response": _check_response})
    try:
        pooch.retrieve(url, checksum or None, path.name, path.parent, downloader=get)
    except WeightsError:
        raise
    except ValueError as error:  # of the checksum
        raise WeightsError(f"{url} sent a file that is damaged or not the published one ({checksum}).") from error
    except OSError as error:  # of the disk, or of requests, all of whose errors are OSErrors
        raise WeightsError(f"{url} cannot be fetched: {str(error) or type(error).__name__}.") from error


def verify(path: Path, checksum: str) -> None:
    """WeightsError unless the file has the `checksum`: ``sha256:`` or ``md5:`` and digits; every file has ""."""
    if not checksum:
        return
    import pooch

    algorithm, _, expected = checksum.partition(":")
    found = pooch.file_hash(str(path), alg=algorithm)
    if found != expected:
        raise WeightsError(
            f"{path} is damaged or another file than the published one: its {algorithm} is {found}, not {expected}. "
            "Delete it to have it fetched again."
        )


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
