"""A folder whose bytes are known: a file in it that has the CRC-32 of every other, so that damage is found unread."""

import json
import zlib
from pathlib import Path
from typing import Any

from sdedit_jax import disk

NAME = "crc32.json"


class SealError(ValueError):
    """A folder that is not as it was sealed."""


def seal(folder: Path, facts: Any) -> None:
    """Writes the seal of all files that `folder` has now; `facts`, plain data, can be read from it again."""
    files = {path.relative_to(folder).as_posix(): _checksum(path) for path in folder.rglob("*") if path.is_file()}
    text = json.dumps({"facts": facts, "files": files})
    with disk.replacing(folder / NAME) as temporary:
        temporary.write_text(f"{text}\n{zlib.crc32(text.encode())}\n", encoding="utf-8")


def is_sealed(folder: Path) -> bool:
    """Whether `folder` has a seal, broken or not."""
    return (folder / NAME).exists()


def facts(folder: Path) -> Any:
    """What `seal` was given. SealError if the seal itself is missing or damaged, OSError if it cannot be read."""
    return _read(folder)["facts"]


def check(folder: Path) -> None:
    """SealError naming the first file that is missing or not as it was sealed; OSError for one that cannot be read."""
    for name, crc in _read(folder)["files"].items():
        path = folder / name
        if not path.exists():
            raise SealError(f"{name} is missing.")
        if _checksum(path) != crc:
            raise SealError(f"{name} is not as it was written (CRC-32).")


def _read(folder: Path) -> dict[str, Any]:
    try:
        text, _, crc = (folder / NAME).read_text(encoding="utf-8").partition("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise SealError(f"{NAME} cannot be read: {error}") from error
    if crc != f"{zlib.crc32(text.encode())}\n":
        raise SealError(f"{NAME} is not as it was written (CRC-32).")
    return json.loads(text)


def _checksum(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            crc = zlib.crc32(chunk, crc)
    return crc
