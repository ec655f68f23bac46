"""TFRecord files without TensorFlow: those of StyleGAN, and any other as bytes at random access.

A record is framed by its length (uint64), a checksum of that, and a checksum of the content after it (uint32 each, all
little-endian): https://www.tensorflow.org/tutorials/load_data/tfrecord. The frames are walked once, which shows a file
that was cut short or never filled; the checksums are not computed, for Python has no fast CRC-32C of its own.

StyleGAN and Progressive GAN store a picture as the features `shape` (3 int64) and `data` (raw bytes, channels first),
one file for each resolution.
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_pb2

from sdedit_jax.data.sources.errors import CorruptPicture, DataError, gone, no_data
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.splits import split_indices
from sdedit_jax.pixels import from_uint8, to_uint8

_HEADER_BYTES = 12
_FOOTER_BYTES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class TFRecords:
    """The contents of some records, as bytes: `spans` (N, 3) int64 are number of the file, first byte and length."""

    paths: tuple[Path, ...]
    spans: np.ndarray

    def __len__(self) -> int:
        return len(self.spans)

    def name(self, index: int) -> str:
        """Where the record lies, for people."""
        number, start, _ = self.spans[index].tolist()
        return f"The record at byte {start} of {self.paths[number]}"

    def __getitem__(self, index: int) -> bytes:
        number, start, length = self.spans[index].tolist()
        try:
            with open(self.paths[number], "rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise gone(self.paths[number], error) from error


@dataclasses.dataclass(frozen=True)
class StyleGANPictures:
    """Records {"image": uint8 (H, W, 3)}, fitted."""

    records: TFRecords
    fit: Fit

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        image = _decode(self.records.name(index), self.records[index])
        if image.shape[:2] != (self.fit.image_size,) * 2:  # which spares the way through floats
            image = to_uint8(self.fit(from_uint8(image)))
        return {"image": image}


def open_tfrecords(path: Path, split: str, fit: Fit) -> StyleGANPictures:
    """The pictures of a file, or of a folder of files, in StyleGAN's format that belong to `split`.

    Of several resolutions that next above the size of `fit` is read, or the largest there is. DataError for files that
    are cut short or hold something else.
    """
    paths = tfrecord_paths(path)
    sizes = [_picture_size(path) for path in paths]
    wanted = min((size for size in sizes if size >= (fit.image_size or max(sizes))), default=max(sizes))
    records = index_records([(path, slice(None)) for path, size in zip(paths, sizes, strict=True) if size == wanted])
    indices = split_indices(path, len(records), split)
    return StyleGANPictures(TFRecords(records.paths, records.spans[indices]), fit)


def tfrecord_paths(path: Path) -> list[Path]:
    """The TFRecord files in the folder `path`, or `path` itself, sorted; known by their names."""
    candidates = path.iterdir() if path.is_dir() else [path]
    return sorted(candidate for candidate in candidates if ".tfrecord" in candidate.name and candidate.is_file())


def index_records(parts: list[tuple[Path, slice]]) -> TFRecords:
    """The records of some files one after the other, of each only those in its slice; DataError if one is damaged."""
    spans = [np.zeros((0, 3), np.int64)]
    for number, (path, part) in enumerate(parts):
        spans.append(np.array([(number, *span) for span in _spans(path)], np.int64).reshape(-1, 3)[part])
    return TFRecords(tuple(path for path, _ in parts), np.concatenate(spans))


def _spans(path: Path) -> Iterator[tuple[int, int]]:
    """First byte and length of the content of every record."""
    with open(path, "rb", buffering=0) as file:
        end, size = 0, os.fstat(file.fileno()).st_size
        while end < size:
            file.seek(end)
            start = end + _HEADER_BYTES
            header = file.read(_HEADER_BYTES)
            length = int.from_bytes(header[:8], "little")
            end = start + length + _FOOTER_BYTES
            # No header is all zeros, for the checksum of the length 0 is not 0: that is room kept for a download.
            if end > size or not any(header):
                raise DataError(f"{path} is cut short or no TFRecord file: fetch it again.")
            yield start, length


def _picture_size(path: Path) -> int:
    """The shorter side of the first picture, in pixels."""
    span = next(_spans(path), None)
    if span is None:
        raise no_data(path, "the file holds no records")
    records = TFRecords((path,), np.array([(0, *span)]))
    return min(_decode(records.name(0), records[0]).shape[:2])


def _decode(name: str, record: bytes) -> np.ndarray:
    """(H, W, 3) uint8; CorruptPicture, with the record's name, if it is none."""
    try:
        example = tf_example_pb2.Example()  # pyright: ignore[reportAttributeAccessIssue] (made while importing)
        example.ParseFromString(record)
    except DecodeError as error:
        raise CorruptPicture(f"{name} is damaged, or no TensorFlow example: fetch the file again.") from error
    features = example.features.feature
    shape = tuple(features["shape"].int64_list.value) if "shape" in features else ()
    data = b"".join(features["data"].bytes_list.value) if "data" in features else b""
    if len(shape) != 3 or shape[0] != 3 or min(shape) < 1 or len(data) != math.prod(shape):
        raise CorruptPicture(
            f"{name} needs the features shape = (3, H, W) and data = its bytes, got shape = {shape} and "
            f"{len(data)} bytes among the features {sorted(features)}."
        )
    return np.frombuffer(data, np.uint8).reshape(shape).transpose(1, 2, 0)
