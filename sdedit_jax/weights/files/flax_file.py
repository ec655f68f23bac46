"""What ``flax.serialization`` wrote, read without Flax and with the arrays still in their file.

Such a file is one MessagePack value (github.com/msgpack/msgpack, spec.md), a map of maps. Flax adds extension 1 for an
array and 3 for a NumPy scalar: MessagePack again, of (shape, name of the dtype, bytes in C order). An array of more
than 2^30 bytes is a map of several flat ones. Only what stands before the bytes is read here and the bytes are skipped,
so a checkpoint costs no memory however much state of an optimizer it carries.
"""

import functools
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Never

import ml_dtypes
import numpy as np

from sdedit_jax.weights.stored import StoredTensor, WeightsError

CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = dict(zip(range(0xCA, 0xD4), (">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), strict=True))
# The first byte of everything that has a length: what it is, and how the length is written, or the length itself.
SIZED = {
    **{0x80 + n: ("map", n) for n in range(16)},
    **{0x90 + n: ("list", n) for n in range(16)},
    **{0xA0 + n: ("text", n) for n in range(32)},
    **{0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I")},
    **{0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I")},
    **{0xD4 + n: ("extension", 2**n) for n in range(5)},
    **{0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I")},
    **{0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")},
}
ARRAY, SCALAR = 1, 3  # extensions of Flax
CHUNKED = "__msgpack_chunked_array__"
DTYPES = {name: np.dtype(name) for name in ("float16", "float32", "float64", "bool")}
DTYPES |= {f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)}
DTYPES |= {"bfloat16": np.dtype(ml_dtypes.bfloat16)}

MAX_DEPTH = 32
MAX_VALUES = 500_000
MAX_TEXT = 1024
MAX_AXES = 8


class Span(NamedTuple):
    """Bytes that stayed in the file."""

    start: int
    length: int


def is_flax_file(head: bytes) -> bool:
    """Whether a file that begins with `head`, ten bytes of it or more, is a MessagePack map with text for a key."""
    kind, length = SIZED.get(head[0], ("", 0)) if head else ("", 0)
    if kind != "map" or length == 0:
        return False
    key = head[1:] if isinstance(length, int) else head[1 + struct.calcsize(length) :]
    return SIZED.get(key[0], ("", 0))[0] == "text" if key else False


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The map in a Flax file: nested dicts and lists of int, float, bool, str, None and `StoredTensor`.

    Bytes outside arrays are `Span`s. Numbers are little-endian.
    Raises WeightsError if anything in the file is damaged, missing, or other than data.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read as a Flax checkpoint: {error}.") from error


class _Reader:
    """One pass over a file, from its first byte to its last."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size
        self.num_values = 0

    def read(self) -> dict[str, Any]:
        """The whole file."""
        found = self._value(depth=0)
        if not isinstance(found, dict):
            self._refuse("it is not a map")
        if self.file.tell() != self.size:
            self._refuse("something follows its end")
        return found

    def _value(self, depth: int) -> Any:
        self.num_values += 1
        if depth > MAX_DEPTH or self.num_values > MAX_VALUES:
            self._refuse(f"it holds more than {MAX_VALUES:,} values, or values more than {MAX_DEPTH} deep")
        code = self._take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code in CONSTANTS:
            return CONSTANTS[code]
        if code in NUMBERS:
            return self._number(NUMBERS[code])
        if code not in SIZED:
            self._refuse(f"no value begins with the byte {code:#x}")
        kind, length = SIZED[code]
        return self._sized(kind, length if isinstance(length, int) else self._number(length), depth)

    def _sized(self, kind: str, length: int, depth: int) -> Any:
        match kind:
            case "map":
                return self._map(length, depth)
            case "list":
                return [self._value(depth + 1) for _ in range(length)]
            case "text":
                return self._text(length)
            case "bytes":
                return self._skip(length)
            case _:
                return self._extension(length, depth)

    def _map(self, length: int, depth: int) -> Any:
        found = {}
        for _ in range(length):
            key = self._value(depth + 1)
            if not isinstance(key, str) or key in found:
                self._refuse(f"the key {key!r:.50} of a map is not text, or comes twice")
            found[key] = self._value(depth + 1)
        return self._joined(found) if CHUNKED in found else found

    def _extension(self, length: int, depth: int) -> StoredTensor:
        kind = self._number(">b")
        end = self.file.tell() + length
        if kind not in (ARRAY, SCALAR):
            self._refuse(f"it holds an extension of type {kind}, and those of Flax for real arrays are 1 and 3")
        found = self._value(depth + 1)
        if self.file.tell() != end:
            self._refuse("an array is not as long as it says")
        return self._tensor(found)

    def _tensor(self, found: Any) -> StoredTensor:
        if not (isinstance(found, list) and len(found) == 3 and isinstance(found[2], Span)):
            self._refuse("an array is not a shape, a dtype and bytes")
        sizes, name, span = found
        name = self._bytes_of(name).decode() if isinstance(name, Span) else name  # Flax has written it either way
        if not isinstance(name, str) or name not in DTYPES:
            self._refuse(f"an array is of {name!r:.50}, not of one of {', '.join(DTYPES)}")
        shape = self._shape(sizes)
        if math.prod(shape) * DTYPES[name].itemsize != span.length:
            self._refuse(f"an array of shape {shape} and {name} has {span.length:,} bytes")
        return StoredTensor(shape, DTYPES[name], functools.partial(_values, self.path, span, shape, DTYPES[name]))

    def _shape(self, sizes: Any) -> tuple[int, ...]:
        if not isinstance(sizes, list) or len(sizes) > MAX_AXES:
            self._refuse("the shape of an array is not a list of a few numbers")
        if any(type(size) is not int or not 0 < size <= self.size for size in sizes):
            self._refuse(f"an array cannot have the shape {sizes!r:.100}")
        return tuple(sizes)

    def _joined(self, found: dict[str, Any]) -> StoredTensor:
        shape, chunks = self._shape(self._in_order(found.get("shape"))), self._in_order(found.get("chunks"))
        flat = [chunk for chunk in chunks if isinstance(chunk, StoredTensor) and len(chunk.shape) == 1]
        if not flat or len(flat) != len(chunks) or len({chunk.dtype for chunk in flat}) != 1:
            self._refuse("the chunks of an array are not flat arrays of one dtype")
        if sum(chunk.shape[0] for chunk in flat) != math.prod(shape):
            self._refuse(f"the chunks of an array of shape {shape} do not fill it")
        return StoredTensor(shape, flat[0].dtype, functools.partial(_concatenated, flat, shape))

    def _in_order(self, numbered: Any) -> list[Any]:
        """The values of {"0": ..., "1": ...}, which is how Flax writes a sequence."""
        if not isinstance(numbered, dict) or set(numbered) != {str(i) for i in range(len(numbered))}:
            self._refuse("the chunks of an array are not numbered")
        return [numbered[str(i)] for i in range(len(numbered))]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self, length: int) -> str:
        if length > MAX_TEXT:
            self._refuse(f"it holds a text of {length:,} bytes")
        return self._take(length).decode()

    def _bytes_of(self, span: Span) -> bytes:
        """What was skipped, read after all; the file is left where it was."""
        here = self.file.tell()
        self.file.seek(span.start)
        found = self._take(min(span.length, MAX_TEXT))
        self.file.seek(here)
        return found

    def _take(self, length: int) -> bytes:
        found = self.file.read(length)
        if len(found) != length:
            self._refuse("it is cut short")
        return found

    def _skip(self, length: int) -> Span:
        start = self.file.tell()
        if start + length > self.size:
            self._refuse("it is cut short, or claims more than it holds")
        self.file.seek(start + length)
        return Span(start, length)

    def _refuse(self, reason: str) -> Never:
        where = self.file.tell()
        raise WeightsError(f"{self.path} is damaged, or is not a Flax checkpoint: {reason} (before byte {where:,}).")


def _values(path: Path, span: Span, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    # As bytes: NumPy does not read bfloat16 from files.
    memory = np.empty(span.length, np.uint8)
    try:
        with path.open("rb") as file:
            file.seek(span.start)
            count = file.readinto(memory.data)
    except OSError as error:
        raise WeightsError(f"{path} can no longer be read: {error}.") from error
    if count != span.length:
        raise WeightsError(f"{path} has become shorter since it was opened.")
    return memory.view(dtype).reshape(shape)


def _concatenated(chunks: Sequence[StoredTensor], shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty(math.prod(shape), chunks[0].dtype)
    start = 0
    for chunk in chunks:
        values[start : start + chunk.shape[0]] = chunk.read()
        start += chunk.shape[0]
    return values.reshape(shape)
