"""The files of a prepared data set: shards of PNG pictures in ArrayRecord, and the metadata that TFDS reads.

A shard is finished once the note beside it is there, and the note is written last; so whatever stops the work, what has
a note is whole.
"""

import dataclasses
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.core.dataset_info import DatasetIdentity
from tensorflow_datasets.core.splits import SplitDict

from sdedit_jax import disk
from sdedit_jax.data.sources.errors import CorruptPicture, DataError

NAME = "pictures"
# Small shards lose little when the work is interrupted, but a reader keeps each of them open.
_PICTURES_A_SHARD = 500
_MOST_SHARDS = 512


@dataclasses.dataclass(frozen=True)
class Shard:
    """The records `start` to `stop` of a split, in one file."""

    split: str
    number: int
    num_shards: int
    start: int
    stop: int

    @property
    def file_name(self) -> str:
        """As TFDS names it."""
        return f"{NAME}-{self.split}.array_record-{self.number:05}-of-{self.num_shards:05}"


@dataclasses.dataclass(frozen=True)
class Note:
    """What a finished shard holds: number of pictures, their bytes, and a sentence for each that was left out."""

    num_pictures: int
    num_bytes: int
    skipped: list[str]


def plan_shards(split: str, num_records: int) -> list[Shard]:
    """The shards of a split, of nearly equal lengths that depend on the number of its records alone."""
    num_shards = min(_MOST_SHARDS, -(-num_records // _PICTURES_A_SHARD))
    ends = [num_records * number // num_shards for number in range(num_shards + 1)]
    return [Shard(split, number, num_shards, *ends[number : number + 2]) for number in range(num_shards)]


def write_shard(
    folder: Path, notes: Path, shard: Shard, image_size: int, pictures: Iterable[np.ndarray | CorruptPicture]
) -> Note:
    """Writes `pictures`, (image_size, image_size, 3) uint8 or why there is none, into `folder`; then the note.

    The file depends on the pictures and on nothing else. Raises DataError where it cannot be written.
    """
    path, features = folder / shard.file_name, _features(image_size)
    num_pictures, num_bytes, skipped = 0, 0, []
    try:
        with disk.replacing(path) as temporary:
            writer = ArrayRecordWriter(str(temporary), "group_size:1,uncompressed")  # PNG is compressed already
            for picture in pictures:
                if isinstance(picture, CorruptPicture):
                    skipped.append(str(picture))
                    continue
                record = features.serialize_example({"image": _encode_png(picture)})
                writer.write(record)
                num_pictures, num_bytes = num_pictures + 1, num_bytes + len(record)
            writer.close()
            _flush(temporary)
        note = Note(num_pictures, num_bytes, skipped)
        with disk.replacing(_note_path(notes, shard)) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(note)), encoding="utf-8")
    except (OSError, RuntimeError) as error:  # the latter is array_record's
        raise DataError(
            f"{path} cannot be written ({error}). Make room and give the same command again: it goes on with the "
            "shards that are finished."
        ) from error
    return note


def read_note(folder: Path, notes: Path, shard: Shard) -> Note | None:
    """The note of `shard` if it is finished."""
    try:
        note = Note(**json.loads(_note_path(notes, shard).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return note if (folder / shard.file_name).is_file() else None


def write_metadata(folder: Path, image_size: int, description: str, notes: dict[str, list[Note]]) -> None:
    """Writes ``dataset_info.json`` and ``features.json``, with which TFDS reads the shards of each split."""
    identity = DatasetIdentity(
        name=NAME, version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=__name__
    )
    info = tfds.core.DatasetInfo(builder=identity, description=description, features=_features(image_size))
    info.set_file_format(tfds.core.FileFormat.ARRAY_RECORD)
    info.set_splits(SplitDict([_split_info(folder, split, notes[split]) for split in notes]))
    info.write_to_directory(folder)


def _split_info(folder: Path, split: str, notes: list[Note]) -> Any:
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[note.num_pictures for note in notes],
        num_bytes=sum(note.num_bytes for note in notes),
        filename_template=tfds.core.ShardedFileTemplate(
            data_dir=tfds.core.Path(folder), dataset_name=NAME, split=split, filetype_suffix="array_record"
        ),
    )


def _features(image_size: int) -> tfds.features.FeaturesDict:
    return tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(image_size, image_size, 3), encoding_format="png")}
    )


def _encode_png(image: np.ndarray) -> io.BytesIO:
    # Encoded here because the encoder of TensorFlow Datasets needs TensorFlow.
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    file.seek(0)
    return file


def _flush(path: Path) -> None:
    """Has the disk hold what was written, before the note says so."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _note_path(notes: Path, shard: Shard) -> Path:
    return notes / f"{shard.file_name}.json"
