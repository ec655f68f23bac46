"""What is said of a data set that cannot be used: what is wrong, what to fetch and where to put it."""

import os
from pathlib import Path

_LSUN = "fetch and unpack it as https://github.com/fyu/lsun says, and give the folder that holds data.mdb"
_FFHQ = "fetch it with download_ffhq.py of https://github.com/NVlabs/ffhq-dataset, as pictures or tfrecords"
_CELEBAHQ = "make its tfrecords with dataset_tool.py of https://github.com/tkarras/progressive_growing_of_gans"
_CIFAR10 = 'run: pip install -e ".[prepare]" and main.py --config cifar10 --mode prepare --out FOLDER'
# By the names that the configs give them.
_ORIGINS = {
    "lsun_bedroom": _LSUN,
    "lsun_church": _LSUN,
    "lsun_cat": _LSUN,
    "ffhq_256": _FFHQ,
    "ffhq_1024": _FFHQ,
    "celebahq_256": _CELEBAHQ,
    "cifar10": _CIFAR10,
}
_ANYTHING = (
    "Give a folder of pictures, one with the data.mdb of LSUN, StyleGAN's tfrecords or a prepared TFDS folder; --mode "
    "prepare takes names of the TFDS catalogue too. To make the landscapes, run: python main.py --config "
    "configs/landscapes.py --mode prepare"
)


class DataError(ValueError):
    """A data set that cannot be used, with what to do about it."""


class CorruptPicture(DataError):
    """One picture that cannot be used, named, in a data set whose others may well be whole."""


def no_data(path: str | os.PathLike[str], problem: str) -> DataError:
    """The error that there is no usable data set at `path` because of `problem`, with where to get one."""
    origin = _ORIGINS.get(Path(path).name)
    advice = _ANYTHING if origin is None else f"To get it, {origin}; wherever it lies, say --config.data.source=PATH"
    return DataError(f"No usable data set in {os.fspath(path)!r}: {problem.rstrip('.')}. {advice}")


def gone(path: str | os.PathLike[str], error: OSError) -> DataError:
    """The error that `path`, which was there when the data set was opened, cannot be read any more."""
    return DataError(
        f"{os.fspath(path)} cannot be read any more ({error.strerror}). Bring it back and give the same command again: "
        "it goes on with what it has saved."
    )
