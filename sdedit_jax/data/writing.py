"""The shards of a prepared data set written by several processes, from where the last attempt ended."""

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from sdedit_jax.data.processes import CONTEXT, start_processes
from sdedit_jax.data.shards import Note, Shard, plan_shards, read_note, write_shard
from sdedit_jax.data.sources.errors import CorruptPicture, DataError
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.opening import check_image
from sdedit_jax.pixels import from_uint8, to_uint8

_MOST_NAMES = 10


class _Stopped(Exception):
    """Nobody waits for this shard any more."""


@dataclasses.dataclass(frozen=True)
class ShardWriter:
    """Shard -> its note, after writing both into their folders; sent to every process once."""

    folder: Path
    notes: Path
    fit: Fit
    records: Mapping[str, Any]
    done: Any = dataclasses.field(default_factory=lambda: CONTEXT.Value("q", 0))  # records, of all processes
    stop: Any = dataclasses.field(default_factory=CONTEXT.Event)

    def __call__(self, shard: Shard) -> Note:
        """Writes `shard`, all its pictures at the size of `fit`."""
        assert self.fit.image_size is not None
        return write_shard(self.folder, self.notes, shard, self.fit.image_size, self._pictures(shard))

    def _pictures(self, shard: Shard) -> Iterator[np.ndarray | CorruptPicture]:
        for index in range(shard.start, shard.stop):
            if self.stop.is_set():
                raise _Stopped
            try:
                yield self._picture(self.records[shard.split][index])
            except CorruptPicture as error:
                yield error
            with self.done.get_lock():
                self.done.value += 1

    def _picture(self, record: dict[str, Any]) -> np.ndarray:
        image = record.get("image")
        if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=-1)  # grey pictures of TFDS; all others are in colour already
        check_image("the source", record | {"image": image})
        assert image is not None
        if image.shape[:2] == (self.fit.image_size,) * 2:
            return image
        return to_uint8(self.fit(from_uint8(image)))


_writer: ShardWriter | None = None


def _receive(writer: ShardWriter) -> None:
    global _writer
    _writer = writer


def _write(shard: Shard) -> Note:
    assert _writer is not None
    return _writer(shard)


def write_shards(writer: ShardWriter, max_corrupt: float, num_workers: int | None) -> dict[Shard, Note]:
    """The notes of all shards of all splits, after writing those that are not finished.

    Shows a bar. DataError if more than the share `max_corrupt` of the pictures has to be left out.
    """
    shards = [shard for split, records in writer.records.items() for shard in plan_shards(split, len(records))]
    found = {shard: read_note(writer.folder, writer.notes, shard) for shard in shards}
    notes = {shard: note for shard, note in found.items() if note is not None}
    missing = [shard for shard in shards if shard not in notes]
    num_records = sum(shard.stop - shard.start for shard in shards)
    num_before = sum(shard.stop - shard.start for shard in notes)
    _check_corrupt(notes.values(), num_records, max_corrupt)
    with tqdm(total=num_records, initial=num_before, desc="Preparing", unit=" pictures") as bar:
        written = _run(writer, missing, num_workers, lambda: bar.update(num_before + writer.done.value - bar.n))
        with contextlib.closing(written):
            for shard, note in written:
                notes[shard] = note
                _check_corrupt(notes.values(), num_records, max_corrupt)
    return {shard: notes[shard] for shard in shards}


def _run(
    writer: ShardWriter, shards: list[Shard], num_workers: int | None, tell: Callable[[], Any]
) -> Generator[tuple[Shard, Note], None, None]:
    """Shards and their notes as they are written; calls `tell` now and then."""
    num_workers = min(num_workers or os.cpu_count() or 1, len(shards))
    if num_workers > 1:
        executor, write = start_processes(num_workers, _receive, writer), _write
    else:
        executor, write = concurrent.futures.ThreadPoolExecutor(1), writer
    try:
        waiting = {executor.submit(write, shard): shard for shard in shards}
        while waiting:
            ready, _ = concurrent.futures.wait(waiting, 0.5, concurrent.futures.FIRST_COMPLETED)
            tell()
            for future in ready:
                yield waiting.pop(future), future.result()
    except concurrent.futures.BrokenExecutor as error:
        raise DataError(
            "A process that prepared pictures was killed, perhaps for want of memory. Give the same command again: it "
            "goes on with the shards that are finished."
        ) from error
    finally:
        writer.stop.set()
        executor.shutdown(cancel_futures=True)


def _check_corrupt(notes: Iterable[Note], num_records: int, max_corrupt: float) -> None:
    """DataError if more pictures than allowed were left out."""
    skipped = [sentence for note in notes for sentence in note.skipped]
    if len(skipped) > max_corrupt * num_records:
        names = "\n".join(skipped[:_MOST_NAMES] + ["..."] * (len(skipped) > _MOST_NAMES))
        raise DataError(
            f"So far {len(skipped)} of {num_records} pictures are damaged, more than config.data.max_corrupt = "
            f"{max_corrupt:g} of them. Mend or remove them, or allow more, up to 1, which goes on from here.\n{names}"
        )
