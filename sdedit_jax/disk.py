"""What every door does with the disk: the user's cache folder, and files that are there whole or not at all."""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


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
