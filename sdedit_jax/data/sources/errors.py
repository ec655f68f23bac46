"""What is said of a data set that cannot be used: what is wrong, what to fetch and where to put it."""

import os
from pathlib import Path

_LSUN = "fetch and unpack it as https://github.com/fyu/lsun says, and give the folder that holds data.mdb"
_FFHQ = "fetch it with download_ffhq.py of https://github.com/NVlabs/ffhq-dataset, as pictures or tfrecords"
_CELEBAHQ = "make its tfrecords with dataset_tool.py of https://github.com/tkarras/progressive_growing_of_gans"
_CIFAR10 = "make its TFDS folder where TensorFlow is installed, by: tfds build cifar10"
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
    "Give a folder of pictures, one with the data.mdb of LSUN, StyleGAN's tfrecords or a prepared TFDS folder. "
    "To make the landscapes, run: python main.py --config configs/landscapes.py --mode prepare"
)


class DataError(ValueError):
    """A data set that cannot be used, with what to do about it."""


def no_data(path: str | os.PathLike[str], problem: str) -> DataError:
    """The error that there is no usable data set at `path` because of `problem`, with where to get one."""
    origin = _ORIGINS.get(Path(path).name)
    advice = _ANYTHING if origin is None else f"To get it, {origin}; wherever it lies, say --config.data.source=PATH"
    return DataError(f"No usable data set in {os.fspath(path)!r}: {problem.rstrip('.')}. {advice}")
