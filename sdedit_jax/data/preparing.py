"""Any source of pictures as a TFDS folder of one size, so that training reads small PNGs instead of photographs.

The work is cut into shards that depend on the source alone. Processes write them into ``FOLDER.unfinished``, whatever
interrupts them leaves the finished ones, and when all are there they become ``FOLDER`` in one step. So the result is
the same byte for byte, for any number of processes and interruptions; its pictures are those that training would read
from the source itself.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdedit_jax import disk
from sdedit_jax.data import registered
from sdedit_jax.data.shards import Note, Shard, write_metadata
from sdedit_jax.data.sources.errors import DataError
from sdedit_jax.data.sources.fitting import Fit, FitMethod
from sdedit_jax.data.sources.opening import open_records
from sdedit_jax.data.writing import ShardWriter, write_shards

SPLITS = ("train", "validation")
_SUMMARY = "prepared.json"
_DATA = "data"  # in the unfinished folder, what becomes the finished one


@dataclasses.dataclass(frozen=True)
class Request:
    """What decides the content of a prepared folder; `source` is a path or a name of TFDS."""

    source: str
    image_size: int
    fit: FitMethod


_REQUEST_FIELDS = tuple(field.name for field in dataclasses.fields(Request))


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A finished folder: number of pictures by split, and a sentence for each that was left out."""

    folder: Path
    num_pictures: dict[str, int]
    skipped: list[str]


def prepare(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    image_size: int,
    fit: FitMethod = "crop",
    max_corrupt: float = 0.01,
    data_dir: str | os.PathLike[str] = "~/tensorflow_datasets",
    num_workers: int | None = None,
) -> Prepared:
    """Makes the TFDS folder `folder`, with the splits train and validation, of the pictures in `source`.

    Features: `image` (image_size, image_size, 3) uint8, stored as PNG. A finished folder of the same request is left
    as it is; an interrupted one is finished.

    Args:
        source: whatever `pipeline.open_source` takes, or a name that TFDS knows, which is made in `data_dir` first.
        folder: a new one, beside which ``FOLDER.unfinished`` stands meanwhile.
        image_size: pixels, height and width.
        fit: crop to the centre square, or resize without.
        max_corrupt: the share of the pictures, in [0, 1], that may be damaged and are left out.
        data_dir: where TFDS keeps what it makes.
        num_workers: processes, by default one a core. A script that starts more than one calls this under
            ``if __name__ == "__main__":``.

    Raises:
        DataError: for a source that cannot be used, a folder of another request, too many damaged pictures, or a disk
            that is full.
    """
    folder = Path(os.path.abspath(Path(folder).expanduser()))
    is_name = not Path(source).expanduser().exists() and registered.is_registered(os.fspath(source))
    resolved = os.fspath(source) if is_name else os.fspath(Path(source).expanduser().resolve())
    request = Request(resolved, image_size, fit)
    if (folder / _SUMMARY).is_file():
        return _finished(folder, request)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already and holds something else: give another folder.")
    path = registered.fetch(resolved, data_dir) if is_name else Path(resolved)
    if folder.resolve().is_relative_to(path):
        raise DataError(f"{folder} is inside the source {path}: give a folder beside it.")
    working = folder.with_name(f"{folder.name}.unfinished")
    records = {split: open_records(path, split, Fit(image_size, fit), check=False) for split in SPLITS}
    with disk.alone_in(
        working, lambda holder: DataError(f"{holder} is at work in {working}: wait for it, or stop it.")
    ):
        _check_begun(working, request, _fingerprint(path))
        writer = ShardWriter(working / _DATA, working / "notes", Fit(image_size, fit), records)
        notes = write_shards(writer, max_corrupt, num_workers)
        _finish(working, folder, request, notes)
    return _finished(folder, request)


def _finish(working: Path, folder: Path, request: Request, notes: Mapping[Shard, Note]) -> None:
    """Turns the finished shards into `folder`, all at once."""
    by_split = {split: [note for shard, note in notes.items() if shard.split == split] for split in SPLITS}
    num_pictures = {split: sum(note.num_pictures for note in by_split[split]) for split in SPLITS}
    if not all(num_pictures.values()):
        raise DataError(f"{request.source} has no whole pictures for one of its splits: {num_pictures}.")
    data = working / _DATA
    _remove_leftovers(data)
    write_metadata(data, request.image_size, f"Pictures of {request.source}, by {request.fit}.", by_split)
    skipped = [sentence for note in notes.values() for sentence in note.skipped]
    disk.write_json(data / _SUMMARY, dataclasses.asdict(request) | {"num_pictures": num_pictures, "skipped": skipped})
    data.replace(folder)
    shutil.rmtree(working)


def _finished(folder: Path, request: Request) -> Prepared:
    summary = _read_fields(folder / _SUMMARY, *_REQUEST_FIELDS, "num_pictures", "skipped")
    _require_same(folder, summary, request)
    return Prepared(folder, summary["num_pictures"], summary["skipped"])


def _check_begun(working: Path, request: Request, fingerprint: str) -> None:
    """Notes what is made in `working`; DataError if something else was begun there."""
    path = working / "request.json"
    if not path.is_file():
        return disk.write_json(path, dataclasses.asdict(request) | {"fingerprint": fingerprint})
    begun = _read_fields(path, *_REQUEST_FIELDS, "fingerprint")
    _require_same(working, begun, request)
    if begun["fingerprint"] != fingerprint:
        raise DataError(f"{request.source} has changed since {working} was begun: remove that and start again.")
    _remove_leftovers(working / _DATA)


def _read_fields(path: Path, *names: str) -> dict[str, Any]:
    """The fields `names` of a JSON file; DataError if it has not all of them."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return {name: fields[name] for name in names}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged, so what {path.parent} was made of is not known: give another folder, or remove that "
            "one."
        ) from error


def _require_same(folder: Path, made: Mapping[str, Any], request: Request) -> None:
    for name, wanted in dataclasses.asdict(request).items():
        if made[name] != wanted:
            raise DataError(
                f"{folder} was made with {name} = {made[name]!r}, but {wanted!r} is asked for: give another folder, or "
                "remove that one."
            )


def _fingerprint(path: Path) -> str:
    """Of the names, sizes and times of the files at `path`, by which a change of the source is noticed."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        if file.name != "lock.mdb":  # which readers of an LMDB touch
            state = file.stat()
            digest.update(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _remove_leftovers(folder: Path) -> None:
    """Removes what killed processes had begun to write."""
    for path in folder.glob(".*"):
        path.unlink(missing_ok=True)
