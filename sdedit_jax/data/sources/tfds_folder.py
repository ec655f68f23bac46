"""A prepared folder of TensorFlow Datasets, in the format ArrayRecord or TFRecord, read without TensorFlow."""

import dataclasses
import errno
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from sdedit_jax.data.sources.errors import CorruptPicture, DataError, gone, no_data
from sdedit_jax.data.sources.splits import num_held_out
from sdedit_jax.data.sources.tfrecords import TFRecords, index_records

_CLASS_FIELDS = ("pythonClassName", "python_class_name", "type")  # as JSON has it, as protobuf does, and in old folders


@dataclasses.dataclass(frozen=True)
class TFRecordExamples:
    """Records with the features of the data set, from files in the format TFRecord."""

    records: TFRecords
    features: Any

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.features.deserialize_example_np(self.records[index])


@dataclasses.dataclass(frozen=True)
class TFDSRecords:
    """The records of a folder, each a dict of its features."""

    folder: Path
    records: Any = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        try:
            return self.records[index]
        except (DataError, MemoryError):
            raise
        except Exception as error:  # TFDS, protobuf, array_record and Pillow each raise kinds of their own
            if not self.folder.exists():
                raise gone(self.folder, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))) from error
            if isinstance(error, OSError) and error.errno is not None:  # the system's; Pillow's have no number
                raise gone(self.folder, error) from error
            raise CorruptPicture(f"Record {index} of {self.folder} cannot be read: {error}") from error


def open_tfds(folder: Path, split: str) -> TFDSRecords:
    """The records of `split` as they are stored.

    `folder` holds ``dataset_info.json``. `split` is in the language of TFDS: ``train``, ``test``, ``train[:50%]``.
    Where there is no ``validation``, that is ``test``, or the end of ``train`` if there is no ``test`` either.
    Raises DataError for a folder that is incomplete, damaged, empty or of another format, or that names features of
    other modules than those of TFDS: it would import them.
    """
    try:
        _check_features(folder)
        builder = tfds.builder_from_directory(folder)
        split = _stored_split(builder.info.splits, split)
        instructions = builder.info.splits[split].file_instructions
        source = _records(builder, split, instructions)
        # A shard that is missing or was cut short shows only when it is read, so one record is read from each.
        for end in itertools.accumulate(shard.take for shard in instructions):
            source[end - 1]
    except Exception as error:  # of as many kinds
        raise no_data(folder, f"split {split!r} cannot be read: {error}") from error
    if not len(source):
        raise no_data(folder, f"split {split!r} is empty")
    return TFDSRecords(folder, source)


def _records(builder: tfds.core.DatasetBuilder, split: str, instructions: list[Any]) -> Any:
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        return builder.as_data_source(split=split)  # pyright: ignore[reportCallIssue] (a decorator hides it)
    parts = [(Path(shard.filename), slice(shard.skip, shard.skip + shard.take)) for shard in instructions]
    return TFRecordExamples(index_records(parts), builder.info.features)


def _check_features(folder: Path) -> None:
    foreign = sorted(
        name
        for name in _feature_classes(json.loads((folder / "features.json").read_text(encoding="utf-8")))
        if not name.startswith("tensorflow_datasets.")
    )
    if foreign:
        raise DataError(f"features.json names {', '.join(foreign)}, and only features of TFDS itself are read")


def _feature_classes(description: Any) -> Iterator[str]:
    """The Python classes, with their modules, that a description of features names at any depth."""
    if isinstance(description, list):
        for item in description:
            yield from _feature_classes(item)
    elif isinstance(description, dict):
        for field, value in description.items():
            if isinstance(value, str) and field in _CLASS_FIELDS:
                yield value
            yield from _feature_classes(value)


def _stored_split(splits: Any, split: str) -> str:
    """What is read for `split`: itself, unless it is the validation that the folder lacks, or what that is cut from."""
    if "validation" in splits or split not in ("train", "validation"):
        return split
    if "test" in splits:
        return "test" if split == "validation" else split
    held_out = num_held_out(splits["train"].num_examples)
    return f"train[-{held_out}:]" if split == "validation" else f"train[:-{held_out}]"
