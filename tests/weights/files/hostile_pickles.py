"""Pickles written to do harm, instruction by instruction, and the files to put them in."""

import pickle
import struct
from pathlib import Path

import numpy as np

from tests.weights.files.torch_writer import pack_legacy, pack_zip

PROTO = pickle.PROTO + b"\x02"
FORMS = ["zip", "legacy"]


def pack(form: str, path: Path, program: bytes, storages: dict[str, np.ndarray]) -> None:
    """Put any pickle, and the storages it needs, into a file of one of the two forms."""
    if form == "zip":
        pack_zip(path, program, {key: memory.tobytes() for key, memory in storages.items()})
    else:
        pack_legacy(path, program, [(key, memory.size, memory.tobytes()) for key, memory in storages.items()])


def text(words: str) -> bytes:
    """Put text on the stack."""
    data = words.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def name(path: str) -> bytes:
    """Put what `path` names on the stack."""
    module, _, last = path.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{last}\n".encode()


def call(path: str, *arguments: bytes) -> bytes:
    """Call what `path` names with what `arguments` put on the stack."""
    return name(path) + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


# Each takes what puts a command on the stack.
OTHER_WAYS = {
    "STACK_GLOBAL": lambda command: text("os") + text("system") + b"\x93" + command + b"\x85R",
    "INST": lambda command: b"(" + command + b"ios\nsystem\n",
    "OBJ": lambda command: b"(" + name("os.system") + command + b"o",
    "NEWOBJ": lambda command: name("collections.OrderedDict") + b")\x81",
    "NEWOBJ_EX": lambda command: name("collections.OrderedDict") + b")}\x92",
    "EXT1": lambda command: b"\x82\x01",
    "PERSID": lambda command: b"Pos.system\n",
    "call of a dict": lambda command: b"}" + command + b"\x85R",
    "call of a dtype": lambda command: name("torch.float32") + command + b"\x85R",
    "call with a dict": lambda command: name("collections.OrderedDict") + b"}R",
    "call with too much": lambda command: name("torch._utils._rebuild_parameter") + b"(" + b"N" * 100 + b"tR",
    "dict from pairs": lambda command: call("collections.OrderedDict", b"]"),
    "state of a function": lambda command: name("torch.Size") + b"}" + text("__code__") + command + b"sb",
    "state of a list": lambda command: b"]}" + text("__class__") + command + b"sb",
    "items of a function": lambda command: name("torch.Size") + text("__code__") + command + b"s",
    "items of a list": lambda command: b"]" + command + command + b"s",
    "append to a dict": lambda command: b"}" + command + b"a",
    "bytes": lambda command: call("_codecs.encode", text("x"), text("latin1")),
    "decoding": lambda command: call("_codecs.encode", text("x"), text("rot13")),
    "many bytes": lambda command: call("_codecs.encode", text("x" * 1000), text("latin1")),
    "objects of NumPy": lambda command: call("numpy.dtype", text("O8")),
    "a number of another length": lambda command: call(
        "numpy.core.multiarray.scalar",
        call("numpy.dtype", text("f8")),
        call("_codecs.encode", text("x"), text("latin1")),
    ),
    "a function as a value": lambda command: name("torch.Size"),
    "a size of a size": lambda command: call("torch.Size", b"K\x07"),
    "another persistent id": lambda command: text("storage") + command + b"\x86Q",
    "nothing on the stack": lambda command: b"",
    "a mark that is not there": lambda command: b"t",
    "a memo that is not there": lambda command: b"h\x07",
    "a tuple as key": lambda command: b"})Ns",
    "a large number as key": lambda command: b"}\x8a\x09" + bytes(8) + b"\x01Ns",
    "a key without value": lambda command: b"}(Nu",
    "text that is not Unicode": lambda command: b"X\x01\0\0\0\xff",
}


def doubled(levels: int) -> bytes:
    """A list of two equal lists of two equal lists ...: small here, 2^levels to whoever walks it."""
    steps = (b"]q%c(h%ch%ce" % (level + 1, level, level) for level in range(levels))
    return b"]q\0" + b"".join(steps)


BOMBS = {
    "BINUNICODE": b"X\xff\xff\xff\xff",
    "BINBYTES": b"B\xff\xff\xff\xff",
    "BINBYTES8": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 2**40),
    "BINUNICODE8": b"\x8d" + struct.pack("<Q", 2**40),
    "LONG4": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "LONG": b"L" + b"9" * 100_000 + b"L\n",
    "FRAME": b"\x95" + struct.pack("<Q", 2**60),
    "PUT": b"]p" + b"9" * 1000 + b"\n",
    "deep lists": b"]" * 20_000 + b"a" * 19_999,
    "deep tuples": b")" + b"\x85" * 20_000,
    "a list in itself": b"]q\0h\0a",
    "a dict in itself": b"}q\0K\0h\0s",
    "laughs": doubled(30),
    "more laughs": doubled(200),
}
