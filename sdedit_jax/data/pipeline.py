"""From records on disk to batches of [-1, 1] images, the same ones however a run is cut.

The order of the records is a pure function of (seed, position): every epoch is shuffled globally, the epochs follow
each other without an end, images are flipped, and only then does each process take its share. So batch k holds the
same images for any number of processes, and a run that starts at batch k sees what an uninterrupted run would see.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import grain
import numpy as np

from sdedit_jax.data.sources.errors import DataError
from sdedit_jax.data.sources.fitting import Fit, FitMethod
from sdedit_jax.data.sources.opening import check_image, open_records
from sdedit_jax.pixels import from_uint8

RandomAccessSource: TypeAlias = grain.sources.RandomAccessDataSource[dict[str, Any]]

# Batches, not records, are read by one thread each. 64 pictures of 256 x 256 are 50 MB, so eight such wait for the
# accelerator, but only five of 8 pictures of 1024 x 1024.
_MOST_AHEAD, _MOST_BYTES_AHEAD = 8, 2**29
READ_OPTIONS = grain.ReadOptions(num_threads=_MOST_AHEAD, prefetch_buffer_size=_MOST_AHEAD)


def open_source(
    path: str | os.PathLike[str],
    split: str,
    image_size: int | None = None,
    fit: FitMethod = "crop",
) -> RandomAccessSource:
    """The records of `split` in the data set at `path`, each a dict whose ``image`` is uint8 (H, W, 3).

    `path`: a prepared TFDS folder, one with an LMDB of LSUN, one with TFRecord files of StyleGAN or one such file, or a
    folder of pictures; its content tells which. Needs no TensorFlow.
    `split`: ``train`` or ``validation``; of a TFDS folder whatever TFDS understands (``train[:50%]``). Where there are
    no splits, a part is held out (`sources.splits`).
    `image_size`: to which the pictures are scaled, None = left as they are, as those of TFDS always are; `fit`: whether
    they are cropped to their centre square before, or squeezed into one.
    Raises DataError for a data set that is missing, incomplete, damaged, empty or of another format.
    """
    source = open_records(Path(path), split, Fit(image_size, fit))
    check_image(path, source[0])
    return source


def train_batches(
    source: RandomAccessSource,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    flip: bool = True,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[np.ndarray]:
    """Endless batches (batch_size / process_count, H, W, 3), float32 in [-1, 1], from batch number `start_step` on.

    `batch_size` counts the images of all processes together; process p receives the p-th block of them.
    `seed`, in [0, 2^32), decides order and flips; `flip` mirrors half of the images left to right, anew every epoch.
    Batch k depends on `seed`, `batch_size` and k alone. Read in threads, ahead of the caller.
    """
    if batch_size % process_count:
        raise DataError(f"batch_size must be a multiple of the {process_count} processes, got {batch_size}.")
    images = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    if flip:
        images = images.random_map(_random_flip)
    # Sharding comes last: the flip is drawn from a record's position among those of all processes. And it is by blocks:
    # training draws noise by row, so the rows of all processes have to be in the order that one process has them in.
    block_size = batch_size // process_count
    blocks = _batches(images, block_size).slice(slice(process_index, None, process_count))
    batches = iter(blocks.to_iter_dataset(_read_options(source, block_size)))
    batches.set_state({"next_index": start_step})
    return batches


def eval_batches(source: RandomAccessSource, batch_size: int) -> Iterator[np.ndarray]:
    """Every image once, in order: batches (B, H, W, 3), float32 in [-1, 1]; the last one may be shorter."""
    batches = _batches(grain.MapDataset.source(source), batch_size)
    return iter(batches.to_iter_dataset(_read_options(source, batch_size)))


def _read_options(source: RandomAccessSource, batch_size: int) -> grain.ReadOptions:
    """`READ_OPTIONS`, with fewer batches ahead where so many would take too much memory."""
    num_bytes = batch_size * source[0]["image"].size * np.dtype(np.float32).itemsize
    num_ahead = min(_MOST_AHEAD, max(1, _MOST_BYTES_AHEAD // num_bytes))
    return grain.ReadOptions(num_threads=num_ahead, prefetch_buffer_size=num_ahead)


def _batches(records: grain.MapDataset, batch_size: int) -> grain.MapDataset:
    images = records.map(lambda record: record["image"])
    return images.batch(batch_size).map(from_uint8)


def _random_flip(record: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return record | {"image": record["image"][:, ::-1]} if rng.random() < 0.5 else record
