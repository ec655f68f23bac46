"""What ``flax.serialization`` wrote, read without Flax and with the arrays still in their file.

Such a file is one MessagePack value (github.com/msgpack/msgpack, spec.md), a map of maps. Flax adds extension 1 for an
array and 3 for a NumPy scalar: MessagePack again, of (shape, name of the dtype, bytes in C order). An array of more
than 2^30 bytes is a map of several flat ones. `msgpack` reads it all but for two lengths, of an extension and of the
bytes at its end: the library would take in all that they count. Skipped, the bytes cost no memory, however much state
of an optimizer a checkpoint carries.
"""

import functools
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import msgpack
import numpy as np

from sdedit_jax.weights.stored import StoredTensor, WeightsError

# The first bytes of values; of what is skipped, with how many bytes of length follow (0: 2^n counts from 0xD4).
MAPS = {*range(0x80, 0x90), 0xDE, 0xDF}
LISTS = {*range(0x90, 0xA0), 0xDC, 0xDD}
TEXTS = {*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB}
BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4} | dict.fromkeys(range(0xD4, 0xD9), 0)

ARRAY, SCALAR = 1, 3  # extensions of Flax
CHUNKED = "__msgpack_chunked_array__"
KINDS = (bool, "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ml_dtypes.bfloat16)
DTYPES = {np.dtype(kind).name: np.dtype(kind) for kind in KINDS}

MAX_DEPTH = 32
MAX_VALUES = 200_000  # forty times those of a published checkpoint
MAX_BYTES = 1024  # of a text, or of all in an array that is not its bytes


def is_flax_file(head: bytes) -> bool:
    """Whether a file that begins with `head`, ten bytes of it or more, is a MessagePack map with text for a key."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(head)
    try:
        return unpacker.read_map_header() > 0 and head[unpacker.tell()] in TEXTS
    except (msgpack.UnpackException, ValueError, IndexError):
        return False


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The map in a Flax file: nested dicts and lists of int, float, bool, str, bytes, None and `StoredTensor`.

    Numbers in arrays are little-endian; text has 1,000 bytes at most.
    Raises WeightsError if anything in the file is damaged, missing, or other than data.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged, or is not a Flax checkpoint: {error}.") from error


class _Reader:
    """One pass over `file`, which always stands before the next value; a ValueError for anything wrong."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size
        self.num_values = 0

    def read(self) -> dict[str, Any]:
        """The whole file."""
        found = self._value(depth=0)
        _require(isinstance(found, dict), "it is not a map")
        _require(self.file.tell() == self.size, "something follows its end")
        return found

    def _value(self, depth: int) -> Any:
        self.num_values += 1
        few = depth <= MAX_DEPTH and self.num_values <= MAX_VALUES
        _require(few, f"it holds more than {MAX_VALUES:,} values, or values more than {MAX_DEPTH} deep")
        first = self._ahead()[:1]
