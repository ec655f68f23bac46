"""The folder of a training run: one process writes it at a time, and what happens to its disk is told in a sentence."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sdedit_jax import disk, trees

FULL = (errno.ENOSPC, errno.EDQUOT)


class CheckpointError(ValueError):
    """A training folder that cannot be used now, or that does not hold what was asked of it."""


def locked(workdir: Path) -> contextlib.AbstractContextManager[None]:
    """Makes `workdir` if need be, and keeps it for this process while the block runs; reading it stays possible.

    Raises CheckpointError, which names the other process, if one trains there.
    """
    advice = "Wait for it, stop it, or choose another --workdir."
    return disk.alone_in(workdir, lambda holder: CheckpointError(f"{holder} trains in {workdir}. {advice}"))


@contextlib.contextmanager
def explained(workdir: Path) -> Iterator[None]:
    """Raises CheckpointError in place of an OSError inside that comes of a full disk or of `workdir` being removed."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise CheckpointError(
                f"The disk of {workdir} is full ({free_bytes(workdir) / 1e6:.1f} MB free). Make room and start the "
                "same command again: it goes on from the last checkpoint."
            ) from error
        if not workdir.is_dir():
            raise _removed(workdir) from error
        raise


@contextlib.contextmanager
def pinned(workdir: Path) -> Iterator[Callable[[], None]]:
    """Yields a function that raises CheckpointError once `workdir` is no longer the folder that it was.

    Whatever writes into a folder makes it where it is missing, so a run would go on in a new one, without its past.
    """
    descriptor = os.open(workdir, os.O_RDONLY)  # while it is open no other folder gets its number

    def require_same() -> None:
        if not (workdir.is_dir() and os.path.samestat(os.fstat(descriptor), workdir.stat())):
            raise _removed(workdir)

    try:
        yield require_same
    finally:
        os.close(descriptor)


def write_config(workdir: str | os.PathLike[str], config: dict[str, Any]) -> None:
    """Write `config`, plain data such as ``ConfigDict.to_dict()``, as ``config.json`` of the training folder."""
    with disk.replacing(Path(workdir) / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_config(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """The config that `write_config` wrote, with tuples for sequences. CheckpointError if missing or damaged."""
    path = Path(workdir) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No readable config in the training folder {workdir}: {error}") from error
    return trees.tuples(config)


def located(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """The training folder of `path`, and the step if it is the folder of one: ``runs/x/checkpoints/1200``."""
    path = Path(path).absolute()
    if path.name.isdecimal() and path.parent.name == "checkpoints":
        return path.parents[1], int(path.name)
    return path, None


def is_full(error: BaseException) -> bool:
    """Whether `error`, of the system or of a library that quotes it, says that the disk or a quota is full."""
    return getattr(error, "errno", None) in FULL or any(os.strerror(number) in str(error) for number in FULL)


def free_bytes(folder: Path) -> int:
    """What is free on the disk of `folder`, which need not be there."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def require_space(folder: Path, num_bytes: int) -> None:
    """The system's own OSError before `num_bytes` are written where they have no room, quotas aside."""
    if free_bytes(folder) < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _removed(workdir: Path) -> CheckpointError:
    return CheckpointError(f"{workdir}, the folder of this run, was removed while it ran.")
