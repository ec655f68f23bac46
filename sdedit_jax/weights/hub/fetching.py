"""Published weights by name or address: fetched once, looked for on this machine first."""

import hashlib
import urllib.parse
from pathlib import Path

from sdedit_jax import disk
from sdedit_jax.weights.hub import huggingface, known
from sdedit_jax.weights.hub.download import download
from sdedit_jax.weights.hub.verifying import verify
from sdedit_jax.weights.stored import WeightsError

PARTIAL = (".part", ".partial", ".crdownload", ".download")  # what browsers call a file that is not complete


def fetch(source: str) -> Path:
    """The file or the diffusers folder that `source` stands for, fetched with a progress bar if it is not here.

    `source`: a name in `known.MODELS`, looked for in `place(name)` first and held to its published checksum;
    ``hf://owner/name`` or ``hf://owner/name/file``, with ``@revision`` or without; ``https://...``, a file. An address
    of the table, without ``@revision``, is held to its checksum too.
    Raises WeightsError: for a known model with the files to fetch by hand, and where to put them.
    """
    if source in known.MODELS:
        return _fetch_known(source)
    origin = known.origin(source)
    if source.startswith("hf://"):
        path = huggingface.fetch(source)
        verify(path, {origin.files[-1]: origin.checksum} if origin else {})
        return path
    tag = hashlib.sha256(source.encode()).hexdigest()[:12]
    name = urllib.parse.unquote(urllib.parse.urlsplit(source).path).rpartition("/")[2]
    path = _cache() / "urls" / tag / (name.lstrip(".") or "weights")
    return _fetch_url(source, path, origin.checksum if origin else "")


def place(name: str) -> Path:
    """The folder for the files of the known model `name`, the one file or those of a diffusers folder."""
    if name not in known.MODELS:
        raise WeightsError(f"There is no known model {name!r}; there are {', '.join(known.MODELS)}.")
    return _cache() / name.replace(":", "_")  # Windows has no colons in file names


def _cache() -> Path:
    return disk.cache_folder() / "weights"


def _fetch_known(name: str) -> Path:
    checksums = known.MODELS[name].checksums
    placed = _placed(name)
    if placed is not None:
        verify(placed, checksums)
        return placed
    failures = []
    for origin in known.MODELS[name].origins:
        if origin.by_hand:
            continue
        try:
            if origin.address.startswith("hf://"):
                path = huggingface.fetch(origin.address)
                verify(path, checksums)
                return path
            return _fetch_url(origin.address, place(name) / origin.files[-1], origin.checksum)
        except WeightsError as error:
            failures.append(str(error).rstrip("."))
    raise WeightsError(_by_hand(name, failures))


def _placed(name: str) -> Path | None:
    """What a person or an earlier download has put into the place of `name`."""
    folder = place(name)
    if (folder / "config.json").is_file():
        return folder
    files = sorted(path for path in folder.glob("[!.]*") if path.is_file() and path.suffix not in PARTIAL)
    if len(files) > 1:
        found = ", ".join(path.name for path in files)
        raise WeightsError(f"{folder} holds {found}: leave one file there, or a diffusers model with its config.json.")
    return files[0] if files else None


def _fetch_url(url: str, path: Path, checksum: str = "") -> Path:
    if path.is_file():
        verify(path, {path.name: checksum})
        return path
    if huggingface.is_offline():
        raise WeightsError(f"{url} cannot be fetched: HF_HUB_OFFLINE is set.")
    download(url, path, checksum)
    return path


def _by_hand(name: str, failures: list[str]) -> str:
    """The sentence that tells a person what to fetch from where, and where to put it."""
    model = known.MODELS[name]
    ways = []
    for origin in model.origins:
        *others, last = origin.files
        files = f"{', '.join(others)} and {last}" if others else last
        ways.append(f"{files} of {_page(origin.address)}")
    why = f" ({'; '.join(failures)})" if failures else ""
    return (
        f"{name}, {model.title}, {model.megabytes} MB, has to be fetched by hand{why}: "
        f"put {', or '.join(ways)} into {place(name)}."
    )


def _page(address: str) -> str:
    """What a browser opens for `address`."""
    match = huggingface.ADDRESS.fullmatch(address)
    return f"https://huggingface.co/{match['repository']}/tree/main" if match else address
