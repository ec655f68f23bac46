"""Where results go, and the settings that they carry."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import sdedit_jax


def require_positive(section: ConfigDict, names: Iterable[str]) -> None:
    """ValueError naming the first of the fields that is below 1."""
    for name in names:
        if getattr(section, name) < 1:
            raise ValueError(f"{name} must be 1 or more, got {getattr(section, name)}.")


def check_apart(folder: Path, pictures: Iterable[Path]) -> None:
    """ValueError if any of the pictures lies in `folder`: the next run would take the results for guides as well."""
    if folder.resolve() in {picture.parent.resolve() for picture in pictures}:
        raise ValueError(
            f"--out {folder} is the folder of the guides, which results would join. Choose another folder."
        )


def check_writable(folder: Path) -> None:
    """Proves that `folder` can be made and written, before anything long is started, and leaves nothing behind."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write into {folder}: {existing}: {error.strerror}. Choose another folder.") from error


def settings_of(config: ConfigDict, names: Iterable[str]) -> dict[str, Any]:
    """What has to be known to make the same pictures again: these parts of the config, as plain data."""
    plain = config.to_dict()
    return {"sdedit_jax": sdedit_jax.__version__} | {name: plain[name] for name in names}


def require_shared(folder: Path, name: str, flag: str) -> None:
    """ValueError, which names `flag`, in a process that does not see the file `name` that the first wrote."""
    # A listing, as files that are new may be unseen.
    if not (folder.is_dir() and name in {path.name for path in folder.iterdir()}):
        raise ValueError(f"The processes do not share {folder}: {flag} must be one folder that all hosts see.")
