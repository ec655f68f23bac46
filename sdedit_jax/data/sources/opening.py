"""Any data set as records: its content tells what kind it is."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sdedit_jax.data.sources.errors import DataError, no_data
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.image_folder import open_image_folder
from sdedit_jax.data.sources.lmdb import open_lmdb
from sdedit_jax.data.sources.tfds_folder import open_tfds
from sdedit_jax.data.sources.tfrecords import open_tfrecords, tfrecord_paths

if TYPE_CHECKING:  # processes that prepare pictures have no use for it, and it takes a second
    import grain


def open_records(
    path: Path, split: str, fit: Fit, *, check: bool = True
) -> "grain.sources.RandomAccessDataSource[dict[str, Any]]":
    """The records of `split` in the data set at `path`; DataError for one that cannot be used.

    TFDS stores them in its own sizes and is not fitted. Unless `check`, damaged pictures of a folder show when they are
    read, and not before.
    """
    if not path.exists():
        raise no_data(path, "there is no such file or folder")
    if (path / "dataset_info.json").is_file():
        return open_tfds(path, split)
    if (path / "data.mdb").is_file():
        return open_lmdb(path, split, fit)
    if tfrecord_paths(path):
        return open_tfrecords(path, split, fit)
    return open_image_folder(path, split, fit, check=check)


def check_image(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """DataError unless `record`, of the data set at `path`, has a colour picture."""
    image = np.asarray(record.get("image"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise DataError(
            f"Records of {os.fspath(path)} need an 'image' of shape (H, W, 3) and dtype uint8, "
            f"got {image.shape} {image.dtype} among the features {sorted(record)}."
        )
