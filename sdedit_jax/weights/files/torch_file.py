"""What ``torch.save`` wrote, read without torch and without running any of it.

Two forms exist. Since torch 1.6 a file is an uncompressed zip: ``<root>/data.pkl``, a pickle of everything but the
numbers, and one member ``<root>/data/<key>`` per storage. Before, it was five pickles (magic number, protocol, system,
the object, the keys of the storages), then for each key an int64 count and the numbers.
Reading opens the file and checks every size; the numbers stay in it until a `StoredTensor` is read.
"""

import functools
import io
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdedit_jax.weights.files.torch_pickle import MAX_BYTES, PickleReader, TensorRecord
from sdedit_jax.weights.stored import StoredTensor, WeightsError

ZIP_MAGIC = b"PK\x03\x04"
# Protocol 2, a long of ten bytes: 0x1950a86a20f9469cfc6c, the number that torch begins its files with.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LOCAL_HEADER = 30
MAX_DEPTH = 32

Places = Mapping[str, tuple[int, int]]
"""Where each storage is: its first byte in the file, and how many bytes it has."""


def is_torch_file(head: bytes) -> bool:
    """Whether a file that begins with `head`, a kilobyte of it or more, is one that ``torch.save`` wrote."""
    if head.startswith(ZIP_MAGIC) and len(head) >= LOCAL_HEADER:
        (length,) = struct.unpack_from("<H", head, 26)
        return head[LOCAL_HEADER : LOCAL_HEADER + length].endswith(b"/data.pkl")
    return head.startswith(LEGACY_MAGIC)


def read(path: str | os.PathLike[str]) -> Any:
    """The object in a torch file: nested dicts, lists and tuples of int, float, bool, str, None and `StoredTensor`.

    An OrderedDict and a Parameter become a dict and a tensor, a dtype becomes its name; items keep their order. Numbers
    are little-endian. A tensor has the values of its view, in C order, whatever its strides in the file.
    Raises WeightsError if anything in the file is damaged, missing, or other than data; nothing in it is ever run.
    """
    path = Path(path)
    try:
        with _BoundedFile(path) as file:
            value, steps, places = _read_zip(file) if _starts_with(file, ZIP_MAGIC) else _read_legacy(file)
        return _tree(value, functools.partial(_stored, path, places), iter(range(steps)))
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise WeightsError(f"{path} cannot be opened: {error.strerror}.") from error
    except WeightsError as error:
        raise WeightsError(f"{path} cannot be read as a torch file: {error}") from error
    except Exception as error:
        # Among others what pickle, zipfile and struct raise on bytes that are not theirs, which is nearly anything.
        reason = f"{type(error).__name__} {error!s:.200}".strip()
        raise WeightsError(f"{path} is damaged, or is not a torch file ({reason}).") from error


class _BoundedFile(io.FileIO):
    """A file of which no call gives, or makes room for, more than there is or `MAX_BYTES`, whatever size it claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = min(max(self.size - self.tell(), 0), MAX_BYTES)
        return super().read(most if size is None or size < 0 else min(size, most)) or b""

    @property
    def size(self) -> int:
        return os.fstat(self.fileno()).st_size


def _starts_with(file: _BoundedFile, magic: bytes) -> bool:
    file.seek(0)
    return file.read(len(magic)) == magic


def _read_zip(file: _BoundedFile) -> tuple[Any, int, Places]:
    members = _members(file)
    programs = [name for name in members if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise WeightsError(f"a torch zip has one member called data.pkl, and this zip has {len(programs)}.")
    root = programs[0].removesuffix("data.pkl")
    if f"{root}byteorder" in members and _content(file, members[f"{root}byteorder"]) != b"little":
        raise WeightsError("its numbers are big-endian, which this program does not read.")
    prefix = f"{root}data/"
    places = {name.removeprefix(prefix): place for name, place in members.items() if name.startswith(prefix)}
    reader = PickleReader(_content(file, members[programs[0]]))
    return reader.load(), reader.steps, places


def _members(file: _BoundedFile) -> Places:
    """The place of every member's content; the sum of their sizes is within the size of the file."""
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise WeightsError("its zip is compressed or encrypted, which torch.save never does.")
    if any(info.compress_size != info.file_size for info in infos):
        raise WeightsError("its zip has a member of two sizes.")
    if len({info.filename for info in infos}) != len(infos):
        raise WeightsError("its zip has two members of the same name.")
    if sum(info.file_size for info in infos) > file.size:
        raise WeightsError("its zip is cut short, or claims more than it holds.")
    return {info.filename: (_start(file, info), info.file_size) for info in infos}


def _start(file: _BoundedFile, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset)
    magic, name_length, extra_length = struct.unpack("<4s22xHH", file.read(LOCAL_HEADER))
    start = info.header_offset + LOCAL_HEADER + name_length + extra_length
    if magic != ZIP_MAGIC or start + info.file_size > file.size:
        raise WeightsError(f"the member {info.filename!r:.100} of its zip is damaged or cut short.")
    return start


def _content(file: _BoundedFile, place: tuple[int, int]) -> bytes:
    start, size = place
    if size > MAX_BYTES:
        raise WeightsError(f"its pickle is {size:,} bytes long, more than the {MAX_BYTES:,} of any weights.")
    file.seek(start)
    return file.read(size)


def _read_legacy(file: _BoundedFile) -> tuple[Any, int, Places]:
    if not _starts_with(file, LEGACY_MAGIC):
        raise WeightsError("it does not begin as the files of torch.save do.")
    file.seek(0)
    reader = PickleReader(file.read(MAX_BYTES))
    _magic, protocol, system, value, keys = (reader.load() for _ in range(5))
    if protocol != 1001 or not system["little_endian"]:
        raise WeightsError("it is of an old or big-endian form of torch file, which this program does not read.")
    places: dict[str, tuple[int, int]] = {}
    position = reader.program.tell()
    for key in keys:
        if key in places or key not in reader.storages:
            raise WeightsError(f"its list of storages names {key!r:.50}, which no tensor or another storage has.")
        file.seek(position)
        (count,) = struct.unpack("<q", file.read(8))
        size = count * reader.storages[key].dtype.itemsize
        if count < 0 or position + 8 + size > file.size:
            raise WeightsError("it is cut short, or claims more than it holds.")
        places[key] = position + 8, size
        position += 8 + size
    return value, reader.steps, places


def _tree(value: Any, stored: Callable[[TensorRecord], StoredTensor], budget: Iterator[int], depth: int = 0) -> Any:
    """A copy of `value` in which nothing is shared, for a list that holds another twice, and so on, is endless to walk.

    A value that is not shared took a step of the pickle, so as many steps are `budget` enough.
    """
    if next(budget, None) is None or depth > MAX_DEPTH:
        raise WeightsError(f"its values repeat themselves endlessly, or lie more than {MAX_DEPTH} deep.")
    branch = functools.partial(_tree, stored=stored, budget=budget, depth=depth + 1)
    if type(value) is dict:
        return {key: branch(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(branch, value))
    if type(value) is TensorRecord:
        return stored(value)
    if isinstance(value, np.dtype):
        return value.name
    if value is None or type(value) in (int, float, bool, str):
        return value
    raise WeightsError(f"it holds a {type(value).__name__} where only data belongs.")


def _stored(path: Path, places: Places, record: TensorRecord) -> StoredTensor:
    storage = record.storage
    start, size = places.get(storage.key, (0, -1))
    if size != storage.size * storage.dtype.itemsize:
        found = f"has {size:,} bytes" if size >= 0 else "is missing"
        raise WeightsError(
            f"its storage {storage.key!r:.50} {found} and should have {storage.size:,} times {storage.dtype}."
        )
    return StoredTensor(record.shape, storage.dtype, functools.partial(_values, path, start, record))


def _values(path: Path, start: int, record: TensorRecord) -> np.ndarray:
    dtype = record.storage.dtype
    if 0 in record.shape:
        return np.empty(record.shape, dtype)
    # As bytes: NumPy does not give out bfloat16 arrays as buffers.
    memory = np.empty(record.extent * dtype.itemsize, np.uint8)
    try:
        with path.open("rb") as file:
            file.seek(start + record.offset * dtype.itemsize)
            count = file.readinto(memory.data)
    except OSError as error:
        raise WeightsError(f"{path} can no longer be read: {error}.") from error
    if count != memory.size:
        raise WeightsError(f"{path} has become shorter since it was opened.")
    strides = [stride * dtype.itemsize if n > 1 else 0 for n, stride in zip(record.shape, record.strides, strict=True)]
    values = np.ndarray(record.shape, dtype, memory, strides=strides)
    return values if values.flags.c_contiguous else values.copy()
