"""One pytree of arrays in one folder: written in the background, and checked byte by byte when it is read."""

import contextlib
import shutil
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from sdedit_jax import trees
from sdedit_jax.checkpoints import seals
from sdedit_jax.checkpoints.workdir import CheckpointError

COMPLETE = "commit_success.txt"  # what Orbax writes last


class DamagedError(CheckpointError):
    """A snapshot that is there but cannot be read, or not as it was written."""


def begin(folder: Path, tree: Any, facts: Any) -> Callable[[], None]:
    """Starts to write `tree`; returns when it is copied, with a function that waits for the rest.

    What is in `folder` is replaced. `facts`: plain data about the tree, for `facts_of`.
    """
    checksums: Any = {"crc32": _checksums(tree)}
    with _context():
        written = ocp.save_async(str(folder), tree, overwrite=True, custom_metadata=checksums)

    def finish() -> None:
        written.result()
        if jax.process_index() == 0:
            seals.seal(folder, facts)

    return finish


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds all of a tree, and is not being deleted."""
    return (folder / COMPLETE).exists()


def delete(folder: Path) -> None:
    """Removes the folder; whoever is killed at it leaves none that is complete."""
    (folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def facts_of(folder: Path) -> dict[str, Any]:
    """What `begin` was told about the tree; nothing if it was killed before the end, or if that is damaged."""
    try:
        return seals.facts(folder)
    except seals.SealError:
        return {}


def index(folder: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The tree with, for every array, its shape and dtype; and the checksums, none in the oldest runs.

    Raises DamagedError, now or in `read`, for whatever is not as it was written.
    """
    with _reading(folder):
        if seals.is_sealed(folder):
            seals.check(folder)
        saved = ocp.metadata(str(folder))
        if saved.metadata is None:  # Orbax logs why
            raise OSError("its index cannot be read")
        if saved.init_timestamp_nsecs is None:  # an empty record is what Orbax makes of an unreadable one
            raise OSError("its record cannot be read")
        custom: Any = saved.custom_metadata
        if not custom:
            return saved.metadata, {}
        checksums = custom["crc32"]
        if checksums.keys() != trees.flatten(saved.metadata).keys():
            raise OSError("its index is not that of the arrays that were saved")
        return saved.metadata, checksums


def read(folder: Path, template: Any, checksums: dict[str, int]) -> Any:
    """The arrays of `template`, the tree or a part of it as arrays or `jax.ShapeDtypeStruct` with shardings."""
    with _reading(folder):
        tree = ocp.load(str(folder), template)
        changed = [name for name, crc in _checksums(tree).items() if checksums.get(name, crc) != crc]
        if changed:
            raise OSError(f"not as they were saved (CRC-32): {', '.join(changed)}")
        return tree


def _context() -> ocp.Context:
    context = ocp.Context()
    # A file marks a folder as complete, so one that is half written or half deleted is never taken for that.
    context.atomicity.mode = ocp.options.AtomicityMode.COMMIT_FILE
    # Structure is compared here, leaf by leaf; so one part of the tree can be read without the rest.
    context.pytree.loading.partial_load = True
    return context


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        with _context():
            yield
    except Exception as error:  # damage surfaces as whatever Orbax or TensorStore trips over
        reason = textwrap.shorten(str(error), 200)
        raise DamagedError(f"Step {folder.name} in {folder.parent} is damaged: {reason}") from error


def _checksums(tree: Any) -> dict[str, int]:
    """The CRC-32 of the bytes of every leaf, by name."""
    return {name: _checksum(leaf) for name, leaf in trees.flatten(tree).items()}


def _checksum(leaf: Any) -> int:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        leaf = multihost_utils.process_allgather(leaf, tiled=True)  # one at a time, for memory's sake
    # As bytes: zlib takes no bfloat16.
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
