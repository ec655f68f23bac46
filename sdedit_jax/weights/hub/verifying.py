"""Files held to the checksums that are published for them: ``sha256:`` or ``md5:`` and hexadecimal digits."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from sdedit_jax.weights.diffusers import WEIGHTS
from sdedit_jax.weights.stored import WeightsError


def verify(path: Path, checksums: Mapping[str, str]) -> None:
    """Holds the weights at `path`, a file or a diffusers folder, to `checksums`, by file name, "" if none is published.

    They may have any of the checksums, whatever their name; a file that has none of them warns.
    Raises WeightsError if it bears the name of one that is published.
    """
    published = [checksum for checksum in checksums.values() if checksum]
    for file in _weights(path, checksums) if published else ():
        expected = checksums.get(file.name)
        if expected == "" or any(checksum in published for checksum in _found(file, published)):
            continue
        if expected is not None:
            algorithm, _, digits = expected.partition(":")
            raise WeightsError(
                f"{file} is damaged or another file than the published one: its {algorithm} is not {digits}. "
                "Delete it to have it fetched again."
            )
        warnings.warn(f"{file} is used as it is: its checksum is not among the published ones.", stacklevel=2)


def _weights(path: Path, names: Mapping[str, str]) -> list[Path]:
    """The file itself, or the files of weights in the folder: those of `names`, and those that diffusers has."""
    if path.is_file():
        return [path]
    paths = [folder / name for folder in (path, path / "unet") for name in dict.fromkeys((*names, *WEIGHTS))]
    return [file for file in paths if file.is_file()]


def _found(path: Path, checksums: list[str]) -> list[str]:
    """The checksums of the file, by each algorithm of `checksums`."""
    import pooch  # it and requests are needed only for what is fetched

    algorithms = dict.fromkeys(checksum.partition(":")[0] for checksum in checksums)
    return [f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}" for algorithm in algorithms]
