"""Data sets that TFDS knows by name, made by its own builders: https://www.tensorflow.org/datasets/catalog."""

import contextlib
import importlib.util
import io
import os
from pathlib import Path

import tensorflow_datasets as tfds

from sdedit_jax.data.sources.errors import DataError


def is_registered(name: str) -> bool:
    """Whether TFDS has a builder for `name`: ``cifar10``, ``lsun/bedroom``, ``cifar10:3.0.2``."""
    return name.split("/")[0].split(":")[0] in tfds.list_builders(with_community_datasets=False)


def fetch(name: str, data_dir: str | os.PathLike[str]) -> Path:
    """The folder below `data_dir` of the data set `name`, as TFDS makes it; downloaded and made unless it is there.

    Raises DataError with TFDS's own reason if that fails, and names the extra if TensorFlow is needed and not there.
    """
    data_dir = Path(data_dir).expanduser()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS says much; its bars go to stderr
            builder = tfds.builder(name, data_dir=data_dir)
            if not builder.is_prepared():
                builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
                builder.download_and_prepare()
    except Exception as error:  # builders raise whatever they like
        if importlib.util.find_spec("tensorflow") is None and _misses_tensorflow(error):
            raise DataError(
                f'To make {name!r}, TFDS needs TensorFlow: pip install -e ".[prepare]". What it has downloaded '
                f"stays in {data_dir}; to train on the result needs no TensorFlow."
            ) from error
        raise DataError(f"TFDS cannot make {name!r} in {data_dir}: {error}") from error
    return Path(builder.data_dir)


def _misses_tensorflow(error: BaseException | None) -> bool:
    """Whether `error`, or what it comes from, is that TensorFlow cannot be imported."""
    while error is not None:
        if isinstance(error, ImportError) and "tensorflow" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
