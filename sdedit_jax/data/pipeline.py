"""From records on disk to batches of [-1, 1] images, the same ones however a run is cut.

The order of the records is a pure function of (seed, position): every epoch is shuffled globally, the epochs follow
each other without an end, images are flipped, and only then does each process take its share. So batch k holds the
same images for any number of processes, and a run that starts at batch k sees what an uninterrupted run would see.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import grain
import numpy as np
import tensorflow_datasets as tfds

from sdedit_jax.pixels import from_uint8

RandomAccessSource: TypeAlias = grain.sources.RandomAccessDataSource[dict[str, Any]]

# Batches, not records: a 256x256 batch of 32 is 25 MB, so what waits for the accelerator stays below 200 MB.
READ_OPTIONS = grain.ReadOptions(num_threads=8, prefetch_buffer_size=8)


class DataError(ValueError):
    """A data set that cannot be used, with what to do about it."""


def open_source(data_dir: str | os.PathLike[str], split: str) -> RandomAccessSource:
    """The records of a prepared TFDS folder, each a dict whose ``image`` is uint8 (H, W, 3). Needs no TensorFlow.

    `data_dir`: the folder that holds ``dataset_info.json`` (``.../landscapes/1.0.0``), in ArrayRecord format.
    `split`: in the language of TFDS: ``train``, ``test``, ``train[:50%]``.
    Raises DataError for a folder that is missing, incomplete, damaged, empty or of another format.
    """
    try:
        builder = tfds.builder_from_directory(data_dir)
        source = builder.as_data_source(split=split)  # pyright: ignore[reportCallIssue] (a decorator hides it)
        # A shard that is missing or was cut short shows only when it is read, so one record is read from each.
        shard_ends = itertools.accumulate(shard.take for shard in builder.info.splits[split].file_instructions)
        records = [source[end - 1] for end in shard_ends]
    except Exception as error:  # TFDS, protobuf and array_record each raise kinds of their own
        raise DataError(_advice(data_dir, f"split {split!r} cannot be read: {error}")) from error
    if not records:
        raise DataError(_advice(data_dir, f"split {split!r} is empty"))
    _check_image(data_dir, records[0])
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

    `batch_size` counts the images of all processes together; process p receives every process_count-th of them.
    `seed`, in [0, 2^32), decides order and flips; `flip` mirrors half of the images left to right, anew every epoch.
    Batch k depends on `seed`, `batch_size` and k alone. Read in threads, ahead of the caller.
    """
    if batch_size % process_count:
        raise DataError(f"batch_size must be a multiple of the {process_count} processes, got {batch_size}.")
    images = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
    if flip:
        images = images.random_map(_random_flip)
    # Sharding comes last: the flip is drawn from a record's position among those of all processes.
    images = images.slice(slice(process_index, None, process_count))
    batches = iter(_batches(images, batch_size // process_count))
    batches.set_state({"next_index": start_step})
    return batches


def eval_batches(source: RandomAccessSource, batch_size: int) -> Iterator[np.ndarray]:
    """Every image once, in order: batches (B, H, W, 3), float32 in [-1, 1]; the last one may be shorter."""
    return iter(_batches(grain.MapDataset.source(source), batch_size))


def _batches(records: grain.MapDataset, batch_size: int) -> grain.IterDataset:
    images = records.map(lambda record: record["image"])
    return images.batch(batch_size).map(from_uint8).to_iter_dataset(READ_OPTIONS)


def _random_flip(record: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return record | {"image": record["image"][:, ::-1]} if rng.random() < 0.5 else record


def _check_image(data_dir: str | os.PathLike[str], record: dict[str, Any]) -> None:
    image = np.asarray(record.get("image"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise DataError(
            f"Records of {data_dir} need an 'image' of shape (H, W, 3) and dtype uint8, "
            f"got {image.shape} {image.dtype} among the features {sorted(record)}."
        )


def _advice(data_dir: str | os.PathLike[str], problem: str) -> str:
    return (
        f"No usable data set in {os.fspath(data_dir)!r}: {problem.rstrip('.')}. "
        "To make one, run: python main.py --config configs/landscapes.py --mode prepare"
    )
