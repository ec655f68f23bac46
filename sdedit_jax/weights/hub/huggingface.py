"""Files of Hugging Face repositories, in Hugging Face's own cache. Needs `huggingface_hub`, the extra [hub]."""

import contextlib
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sdedit_jax.weights.diffusers import WEIGHTS
from sdedit_jax.weights.stored import WeightsError

ADDRESS = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[^@]+))?")
TIMEOUT = 5.0  # seconds for the first answer
# What requests, httpx and Python call it, by name: which of the libraries there is depends on the hub's version.
UNREACHABLE = ("ConnectionError", "Timeout", "TimeoutError", "TransportError")

Find = Callable[[str], Path | None]


def fetch(address: str) -> Path:
    """The file, or the folder of a diffusers model, at `address`; what is in the cache needs no network.

    `address`: ``hf://owner/name/file`` or ``hf://owner/name``, of which only the configs and one file of weights are
    fetched, no code; ``@revision`` behind either is a branch, a tag or a commit, else it is main.
    Raises WeightsError with the reason.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise WeightsError(f"{address} is no address: it must be hf://owner/name or hf://owner/name/file.")
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise WeightsError(f'{address} needs huggingface_hub: pip install -e ".[hub]".') from error
    hub: Any = huggingface_hub
    repository, file, revision = match["repository"], match["file"], match["revision"] or "main"

    def cached(name: str) -> Path | None:
        path = hub.try_to_load_from_cache(repository, name, revision=revision)
        return Path(path) if isinstance(path, str) else None

    def fetched(name: str) -> Path | None:
        try:
            return Path(hub.hf_hub_download(repository, name, revision=revision))
        except hub.errors.LocalEntryNotFoundError:
            raise
        except hub.errors.EntryNotFoundError:
            return None

    look_up = _diffusers_folder if file is None else lambda find: find(file)
    try:
        path = look_up(cached)
        if path is None:
            with _quiet(hub):
                _reach(hub)
                path = look_up(fetched)
    except Exception as error:  # of the hub, of its HTTP library and of the disk, and they change with its versions
        raise WeightsError(f"{address} cannot be fetched: {_reason(hub, error)}.") from error
    if path is None:
        missing = file or f"a diffusers model, config.json with {' or '.join(WEIGHTS)}"
        raise WeightsError(f"{address} cannot be fetched: the repository does not hold {missing}.")
    return path


def is_offline() -> bool:
    """Whether the variable HF_HUB_OFFLINE asks for what is on this machine alone, in the words that the hub takes."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _diffusers_folder(find: Find) -> Path | None:
    """The folder of a whole model, whose network lies in it or in its folder unet; None if there is none."""
    for prefix in ("", "unet/"):
        config = find(f"{prefix}config.json")
        if config is None:
            continue
        for name in ("model_index.json", f"{'scheduler/' if prefix else ''}scheduler_config.json"):
            find(name)
        # The weights come last, so that a cache that holds them holds everything.
        if any(find(prefix + name) for name in WEIGHTS):
            return config.parents[prefix.count("/")]
    return None


def _reach(hub: Any) -> None:
    """An error at once if there is no network: the hub itself tries six times, half a minute, to tell."""
    if not is_offline():
        hub.utils.get_session().head(hub.constants.ENDPOINT, timeout=TIMEOUT)


@contextlib.contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Without the hub's reports of what it tries again; its progress bars stay."""
    before = hub.utils.logging.get_verbosity()
    hub.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        hub.utils.logging.set_verbosity(before)


def _reason(hub: Any, error: Exception) -> str:
    unreachable = f"{urllib.parse.urlsplit(hub.constants.ENDPOINT).hostname} cannot be reached"
    errors = hub.errors
    reasons = (
        (errors.GatedRepoError, "its owner wants the terms on its page accepted, and then `hf auth login`"),
        (errors.RepositoryNotFoundError, "there is no such repository, or it is private and wants `hf auth login`"),
        (errors.RevisionNotFoundError, "the repository has no such revision"),
        (errors.LocalEntryNotFoundError, "HF_HUB_OFFLINE is set" if is_offline() else unreachable),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    if any(kind.__name__ in UNREACHABLE for kind in type(error).__mro__):
        return unreachable
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
