"""What every door does with the disk: the cache folder, what is whole or not there, folders kept for one process."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from safetensors.numpy import save_file


def cache_folder() -> Path:
    """The folder for what can be fetched or made again, which may not be there yet: ``~/.cache/sdedit_jax``.

    ``$XDG_CACHE_HOME`` takes the place of ``~/.cache`` (XDG Base Directory Specification).
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sdedit_jax"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` for a new file or folder, which takes the place of `path` when the block ends.

    If the block raises, what was written is removed and `path` is as it was, so nobody sees half of anything. Folders
    above are made. The name begins with a dot and is another each time: of two processes that write one file, each
    writes it whole. A folder can only take the place of one that is empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Writes `fields`, plain data, to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a ``.safetensors`` file, whole or not at all, for those to read whom the user's umask lets."""
    with replacing(path) as temporary:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        save_file(tensors, temporary, metadata)  # replaces it by a file that only its owner may read
        temporary.chmod(mode)


class Occupied(OSError):
    """A folder that another process keeps for itself; the text is who: ``Process 7 on host, since ...,``."""


@contextlib.contextmanager
def alone_in(folder: Path, refusal: Callable[[str], Exception] = Occupied) -> Iterator[None]:
    """Makes `folder` if need be, and keeps it for this process while the block runs, by a lock on ``FOLDER/.lock``.

    The system forgets the lock when the process ends in whatever way. If another process has it, raises what `refusal`
    makes of who that is; warns where the file system knows no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except BlockingIOError as error:
            raise refusal(_holder(file)) from error
        except (ImportError, OSError) as error:  # no locks on Windows, nor on some network file systems
            warnings.warn(f"{folder} cannot be locked ({error}): start no second run in it.", stacklevel=3)
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}, file)
        file.flush()
        yield
        file.truncate(0)


def _lock(file: TextIO) -> None:
    import fcntl

    try:
        # Not flock: that would be inherited by, and outlive this process in, the workers that read the data.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as error:  # how some systems say that another has it
        raise BlockingIOError(*error.args) from error


def _holder(file: TextIO) -> str:
    file.seek(0)
    try:
        found = json.load(file)
        return f"Process {found['pid']} on {found['host']}, since {found['since']},"
    except (ValueError, KeyError):  # it is just writing it
        return "Another process"
