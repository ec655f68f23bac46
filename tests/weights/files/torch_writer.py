"""Files as ``torch.save`` lays them out, written without torch: the zip form since torch 1.6, and the one before it.

NumPy arrays become tensors. A view shares the storage of the array it views, with its offset and strides, as in torch:
``write_zip(path, {"a": x, "b": x.T[1:]})`` stores x once.
"""

import collections
import dataclasses
import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


@dataclasses.dataclass(frozen=True)
class Name:
    """What a pickle imports; nothing of that name need exist here."""

    module: str
    name: str

    def __call__(self) -> None:
        """Pickle only asks whether it could be called."""


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """What a reader makes by calling `function`."""

    function: Name
    arguments: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """The flat memory of an array, which tensors are views of."""

    memory: np.ndarray


STORAGES = {
    dtype: Name("torch", f"{name}Storage")
    for dtype, name in {
        "float64": "Double",
        "float32": "Float",
        "float16": "Half",
        "bfloat16": "BFloat16",
        "int64": "Long",
        "int32": "Int",
        "int16": "Short",
        "int8": "Char",
        "uint8": "Byte",
        "bool": "Bool",
    }.items()
}
REBUILD_TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = Name("torch._utils", "_rebuild_parameter")


def parameter(values: np.ndarray) -> Call:
    """A ``torch.nn.Parameter``."""
    return Call(REBUILD_PARAMETER, (values, True, collections.OrderedDict()))


def size(*shape: int) -> Call:
    """A ``torch.Size``."""
    return Call(Name("torch", "Size"), (shape,))


def write_zip(path: Path, value: Any) -> None:
    """Write `value` as torch 1.6 and later do: containers, scalars, arrays, `Call` and `Name`."""
    program, storages = pickled(value, legacy=False)
    pack_zip(path, program, {key: memory.tobytes() for key, memory in storages.items()})


def write_legacy(path: Path, value: Any) -> None:
    """Write `value` as torch before 1.6 did, or ``_use_new_zipfile_serialization=False`` does."""
    program, storages = pickled(value, legacy=True)
    pack_legacy(path, program, [(key, memory.size, memory.tobytes()) for key, memory in storages.items()])


def pickled(value: Any, *, legacy: bool) -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle of `value`, and the flat memory of its storages by key."""
    file = io.BytesIO()
    pickler = _Pickler(file, legacy)
    pickler.dump(value)
    return file.getvalue(), pickler.storages


def pack_zip(path: Path, program: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Put any pickle and any storages into the zip form."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", b"little")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")


def pack_legacy(path: Path, program: bytes, storages: Iterable[tuple[str, int, bytes]]) -> None:
    """Put any pickle and any storages, each (key, number of elements, bytes), into the form before zip."""
    storages = list(storages)
    with Path(path).open("wb") as file:
        for part in (MAGIC, PROTOCOL, SYSTEM):
            pickle.dump(part, file, protocol=2)
        file.write(program)
        pickle.dump([key for key, _, _ in storages], file, protocol=2)
        for _, count, data in storages:
            file.write(struct.pack("<q", count) + data)


class _Pickler(pickle._Pickler):
    # Parts of the Python pickler that its type stubs leave out.
    write: Callable[[bytes], None]
    memoize: Callable[[Any], None]
    save_reduce: Callable[..., None]

    def __init__(self, file: io.BytesIO, legacy: bool):
        super().__init__(file, protocol=2)
        self.legacy = legacy
        self.storages: dict[str, np.ndarray] = {}
        self.keys: dict[int, str] = {}

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        key = self.keys.setdefault(id(obj.memory), str(len(self.keys)))
        self.storages[key] = obj.memory.ravel(order="K")
        pid = ("storage", STORAGES[obj.memory.dtype.name], key, "cpu", obj.memory.size)
        return (*pid, None) if self.legacy else pid

    def save_array(self, array: np.ndarray) -> None:
        memory = array
        while isinstance(memory.base, np.ndarray):
            memory = memory.base
        offset = (array.ctypes.data - memory.ctypes.data) // array.itemsize
        strides = tuple(stride // array.itemsize for stride in array.strides)
        hooks = collections.OrderedDict()
        self.save_reduce(REBUILD_TENSOR, (Storage(memory), offset, array.shape, strides, False, hooks), obj=array)

    def save_name(self, name: Name) -> None:
        self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    def save_call(self, call: Call) -> None:
        self.save_reduce(call.function, call.arguments, obj=call)

    dispatch: ClassVar[dict[type, Any]] = pickle._Pickler.dispatch | {
        np.ndarray: save_array,
        Name: save_name,
        Call: save_call,
    }
