"""One pytree of arrays in one folder: written in the background, and checked byte by byte when it is read."""

import contextlib
import errno
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
# What is wanting for the moment, and says nothing about the bytes: memory, open files, rights. The names are those by
# which XLA and TensorStore quote it.
_WANTING = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM}
_WANTING_NAMES = ("RESOURCE_EXHAUSTED", "PERMISSION_DENIED")


class DamagedError(CheckpointError):
    """A snapshot that is there but not as it was written."""


class _AlteredError(ValueError):
    """Files that can be read, and hold something else than was written."""


def begin(folder: Path, tree: Any, facts: Any) -> Callable[[], None]:
    """Starts to write `tree`; returns when it is copied, with a function that waits for the rest.

    What is in `folder` is replaced. `facts`: plain data about the tree, for `facts_of`.
    """
    record: Any = {"crc32": _checksums(tree), "facts": facts}
    with _context():
        written = ocp.save_async(str(folder), tree, overwrite=True, custom_metadata=record)

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
    """What `begin` was told about the tree; nothing if that is damaged."""
    with contextlib.suppress(seals.SealError, OSError):
        return seals.facts(folder)
    try:  # whoever is killed between Orbax's mark and the seal leaves them in the record alone
        with _context():
            custom: Any = ocp.metadata(str(folder)).custom_metadata
        return custom["facts"]
    except Exception:  # as many kinds as in `_reading`
        return {}


def index(folder: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The tree with, for every array, its shape and dtype; and the checksums of all arrays.

    Raises DamagedError, now or in `read`, for whatever is not as it was written, and a CheckpointError that is none for
    what could not be read for another reason.
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
        if not (custom and "crc32" in custom):
            raise _AlteredError("its record has no checksums")
        checksums = custom["crc32"]
        if checksums.keys() != trees.flatten(saved.metadata).keys():
            raise _AlteredError("its index is not that of the arrays that were saved")
        return saved.metadata, checksums


def read(folder: Path, template: Any, checksums: dict[str, int]) -> Any:
    """The arrays of `template`, the tree or a part of it as arrays or `jax.ShapeDtypeStruct` with shardings."""
    with _reading(folder):
        tree = ocp.load(str(folder), template)
        changed = [name for name, crc in _checksums(tree).items() if checksums[name] != crc]
        if changed:
            raise _AlteredError(f"not as they were saved (CRC-32): {', '.join(changed)}")
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
        step = f"Step {folder.name} in {folder.parent}"
        reason = textwrap.shorten(str(error) or repr(error), 200).rstrip(".")
        if _is_damage(folder, error):
            raise DamagedError(f"{step} is damaged: {reason}") from error
        raise CheckpointError(
            f"{step} could not be read, though nothing says that it is damaged: {reason}. Start the same command again "
            "when that is mended."
        ) from error


def _is_damage(folder: Path, error: Exception) -> bool:
    """Whether `error`, met while reading `folder`, comes of its bytes."""
    if isinstance(error, seals.SealError | _AlteredError):
        return True
    is_named = any(name in str(error) for name in _WANTING_NAMES)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in _WANTING or is_named:
        return False
    try:
        seals.check(folder)
    except (seals.SealError, OSError):
        return True  # or never sealed: then nothing else is known
    return False


def _checksums(tree: Any) -> dict[str, int]:
    """The CRC-32 of the bytes of every leaf, by name."""
    return {name: _checksum(leaf) for name, leaf in trees.flatten(tree).items()}


def _checksum(leaf: Any) -> int:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        leaf = multihost_utils.process_allgather(leaf, tiled=True)  # one at a time, for memory's sake
    # As bytes: zlib takes no bfloat16.
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
