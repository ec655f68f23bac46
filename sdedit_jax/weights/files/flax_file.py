"""What ``flax.serialization`` wrote, read without Flax and with the arrays still in their file.

Such a file is one MessagePack value (github.com/msgpack/msgpack, spec.md), a map of maps. Flax adds extension 1 for an
array and 3 for a NumPy scalar: MessagePack again, of (shape, name of the dtype, bytes in C order). An array of more
than 2^30 bytes is a map of several flat ones. The file passes by once, and one array at a time, those of an optimizer
too, is in memory until its shape is known. It ends with its bytes, so the end tells where they begin.
"""

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import msgpack
import numpy as np

from sdedit_jax.weights.stored import StoredTensor, WeightsError

ARRAY, SCALAR = 1, 3  # extensions of Flax
CHUNKED = "__msgpack_chunked_array__"
KINDS = (bool, "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ml_dtypes.bfloat16)
DTYPES = {np.dtype(kind).name: np.dtype(kind) for kind in KINDS}

MAX_DEPTH, MAX_VALUES, MAX_AXES = 32, 200_000, 8
LIMITS = {"max_buffer_size": 2**31 - 1, "max_str_len": 1024, "max_bin_len": 1024}  # bytes; an array is in the buffer


def is_flax_file(head: bytes) -> bool:
    """Whether a file that begins with `head` is a MessagePack map of which the first key, all in `head`, is text."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(head)
    try:
        return unpacker.read_map_header() > 0 and isinstance(unpacker.unpack(), str)
    except (ValueError, msgpack.UnpackException):
        return False


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The map in a Flax file: nested dicts and lists of int, float, bool, str, bytes, None and `StoredTensor`.

    Numbers in arrays are little-endian; text has 1,024 bytes at most.
    Raises WeightsError if anything in the file is damaged, missing, or other than data.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except msgpack.OutOfData as error:
        raise WeightsError(f"{path} cannot be read as a Flax checkpoint: it is cut short.") from error
    except (OSError, ValueError, msgpack.UnpackException) as error:
        reason = str(error) or f"it is not MessagePack ({type(error).__name__})"
        raise WeightsError(f"{path} cannot be read as a Flax checkpoint: {reason}.") from error


class _Reader:
    """One pass over a file; a ValueError, or one of msgpack's own, for whatever is wrong with it."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path = path
        self.unpacker = msgpack.Unpacker(file, ext_hook=_array, **LIMITS)
        self.num_values = 0

    def read(self) -> dict[str, Any]:
        """The whole file."""
        found = self._value(depth=0)
        if not isinstance(found, dict):
            raise ValueError("it is not a map")
        if self.unpacker.read_bytes(1):
            raise ValueError("something follows its end")
        return found

    def _value(self, depth: int) -> Any:
        self.num_values += 1
        if depth > MAX_DEPTH or self.num_values > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values, or values more than {MAX_DEPTH} deep")
        if (length := _length(self.unpacker.read_map_header)) is not None:
            return self._map(length, depth + 1)
        if (length := _length(self.unpacker.read_array_header)) is not None:
            return [self._value(depth + 1) for _ in range(length)]
        return self._leaf()

    def _map(self, length: int, depth: int) -> Any:
        found = {}
        for _ in range(length):
            key = self._value(depth)
            if not isinstance(key, str) or key in found:
                raise ValueError(f"the key {key!r:.50} of a map is not text, or comes twice")
            found[key] = self._value(depth)
        return _joined(found) if CHUNKED in found else found

    def _leaf(self) -> Any:
        found = self.unpacker.unpack()
        if isinstance(found, msgpack.Timestamp):
            raise ValueError("it holds a time, and Flax writes none")
        if not isinstance(found, np.ndarray):
            return found
        values = functools.partial(_values, self.path, self.unpacker.tell() - found.nbytes, found.shape, found.dtype)
        return StoredTensor(found.shape, found.dtype, values)


def _length(read_header: Callable[[], int]) -> int | None:
    """The length of the map or list that comes next; None, and nothing is read, if something else does."""
    try:
        return read_header()
    except ValueError:
        return None


def _array(kind: int, content: bytes) -> np.ndarray:
    """The array in an extension of Flax."""
    if kind not in (ARRAY, SCALAR):
        raise ValueError(f"it holds an extension of type {kind}, and those of Flax for real arrays are 1 and 3")
    match msgpack.unpackb(content, max_array_len=MAX_AXES):
        case [sizes, str() | bytes() as name, bytes() as values]:
            name = name if isinstance(name, str) else name.decode(errors="replace")  # Flax has written it either way
        case _:
            raise ValueError("an array is not a shape, a dtype and bytes")
    if name not in DTYPES:
        raise ValueError(f"an array is of {name!r:.50}, not of one of {', '.join(DTYPES)}")
    return np.frombuffer(values, DTYPES[name]).reshape(_shape(sizes))


def _shape(sizes: Any) -> tuple[int, ...]:
    """The shape that `sizes` is, if it is one."""
    if not isinstance(sizes, list) or len(sizes) > MAX_AXES or any(type(n) is not int or n < 1 for n in sizes):
        raise ValueError(f"an array cannot have the shape {sizes!r:.100}")
    return tuple(sizes)


def _joined(found: dict[str, Any]) -> StoredTensor:
    """The array of which `found` has the shape and the parts."""
    shape, chunks = _shape(_in_order(found.get("shape"))), _in_order(found.get("chunks"))
    if not all(isinstance(chunk, StoredTensor) and len(chunk.shape) == 1 for chunk in chunks):
        raise ValueError("the chunks of an array are not flat arrays")
    if len({chunk.dtype for chunk in chunks}) != 1 or sum(chunk.shape[0] for chunk in chunks) != math.prod(shape):
        raise ValueError(f"the chunks of an array of shape {shape} do not fill it, or are not of one dtype")
    return StoredTensor(shape, chunks[0].dtype, functools.partial(_concatenated, chunks, shape))


def _in_order(numbered: Any) -> list[Any]:
    """The values of {"0": ..., "1": ...}, which is how Flax writes a sequence, with None for what is missing."""
    return [numbered.get(str(i)) for i in range(len(numbered))] if isinstance(numbered, dict) else [None]


def _values(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    num_bytes = math.prod(shape) * dtype.itemsize
    try:
        values = np.fromfile(path, np.uint8, num_bytes, offset=start)  # as bytes: NumPy reads no bfloat16 from files
    except OSError as error:
        raise WeightsError(f"{path} can no longer be read: {error}.") from error
    if len(values) != num_bytes:
        raise WeightsError(f"{path} has become shorter since it was opened.")
    return values.view(dtype).reshape(shape)


def _concatenated(chunks: list[StoredTensor], shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty(math.prod(shape), chunks[0].dtype)
    start = 0
    for chunk in chunks:
        values[start : start + chunk.shape[0]] = chunk.read()
        start += chunk.shape[0]
    return values.reshape(shape)
