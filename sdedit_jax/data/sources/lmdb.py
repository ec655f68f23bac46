"""A folder of LSUN: an LMDB whose values are picture files, whatever their keys are (Yu et al. 2015, arXiv:1506.03365).

To list the keys of three million pictures takes a minute, so they are kept in the user's cache folder.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from sdedit_jax import disk, images
from sdedit_jax.data.sources.errors import CorruptPicture, DataError, no_data
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.splits import split_indices
from sdedit_jax.pixels import to_uint8

_OPENING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class LMDBPictures:
    """Records {"image": uint8 (H, W, 3)}, fitted."""

    folder: Path
    keys: tuple[bytes, ...] = dataclasses.field(repr=False)  # Grain writes a source out, and these may be millions
    fit: Fit

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        key = self.keys[index]
        with _environment(self.folder).begin() as transaction:
            content = transaction.get(key)
        if content is None:
            raise DataError(f"{self.folder} has lost its record {key!r} since it was opened: start again.")
        try:
            return {"image": to_uint8(self.fit(images.load_image(io.BytesIO(content))))}
        except images.ImageError as error:
            raise CorruptPicture(f"Record {key!r} of {self.folder} cannot be used. {error}") from error


def open_lmdb(folder: Path, split: str, fit: Fit) -> LMDBPictures:
    """The pictures of the LMDB in `folder` that belong to `split`, in the order of their keys.

    Nothing is written into `folder` and no lock is taken, so it may be read-only and read by many. DataError if it
    cannot be read or holds less than two pictures.
    """
    environment = _environment(folder)
    keys = _cached_keys(folder, environment.stat()["entries"])
    if keys is None:
        with environment.begin() as transaction:
            keys = list(transaction.cursor().iternext(keys=True, values=False))
        _cache_keys(folder, keys)
    return LMDBPictures(folder, tuple(keys[i] for i in split_indices(folder, len(keys), split)), fit)


def _environment(folder: Path) -> Any:
    """The open LMDB: one for a process, since opening it twice is an error and a fork must not inherit it."""
    with _OPENING:
        return _open(folder.resolve(), os.getpid())


@functools.cache
def _open(folder: Path, process: int) -> Any:
    del process
    try:
        import lmdb
    except ImportError as error:
        raise DataError(f'{folder} is an LMDB, which needs lmdb: pip install -e ".[lsun]".') from error
    try:
        # Random access profits from no readahead, and a folder that nobody writes to needs no lock.
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise no_data(folder, f"its data.mdb cannot be read ({error}); it may be incomplete") from error
    num_bytes = (folder / "data.mdb").stat().st_size
    wanted = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if num_bytes < wanted:  # it is mapped into memory, and the system kills whoever reads a page that is not there
        environment.close()
        raise no_data(folder, f"its data.mdb is incomplete, {num_bytes} of {wanted} bytes")
    return environment


def _cache_path(folder: Path) -> Path:
    """Where the keys of this very state of the LMDB are kept."""
    state = (folder / "data.mdb").stat()
    name = hashlib.sha256(f"{folder.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:32]
    return disk.cache_folder() / "lmdb" / f"{name}.msgpack"


def _cached_keys(folder: Path, count: int) -> list[bytes] | None:
    try:
        keys = msgpack.unpackb(_cache_path(folder).read_bytes())
    except (OSError, ValueError, msgpack.UnpackException):
        return None
    return keys if isinstance(keys, list) and len(keys) == count else None


def _cache_keys(folder: Path, keys: list[bytes]) -> None:
    # Without a cache the keys are listed again, no more.
    with contextlib.suppress(OSError), disk.replacing(_cache_path(folder)) as path:
        path.write_bytes(msgpack.Packer().pack(keys))
