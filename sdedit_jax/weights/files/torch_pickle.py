"""The pickle inside a torch file, read so that nothing it names can run.

A pickle is a program: it names functions of any module and has them called. This reader leaves it only the
instructions that ``torch.save`` writes (pickle protocol 2), a table of names that stand for the constructors below, and
a bounded number of steps. What comes out is plain data, `np.dtype`, and `TensorRecord`, which says where a tensor is.
"""

import dataclasses
import io
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from sdedit_jax.weights.stored import WeightsError

# A tensor takes 130 bytes and 57 reads (torch 2.13), so this is enough for 35,000; at worst such steps fill 0.3 GB.
MAX_BYTES = 2**24
MAX_READS = 2_000_000
MAX_DIMENSIONS = 32
MAX_COUNT = 2**48
MAX_ARGUMENTS = 8


@dataclasses.dataclass(frozen=True)
class Storage:
    """A run of numbers in the file, which tensors are views of."""

    dtype: np.dtype
    key: str
    size: int
    """How many numbers, as the pickle claims."""


@dataclasses.dataclass(frozen=True)
class TensorRecord:
    """A view of a storage: `offset` and `strides` count elements; all of it lies within the storage's size."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """The number of elements from the first to the last in memory, both included."""
        return _extent(self.shape, self.strides)


class _Program(io.BytesIO):
    """Counts reads, of which each instruction takes at least one: a list costs one byte here and eighty in memory."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise WeightsError(f"its pickle has more than the {MAX_READS:,} steps that weights could need.")
        return super().read(size)


class _Instructions(dict):
    def __missing__(self, code: int) -> Any:
        raise WeightsError(f"its pickle holds the instruction {bytes([code])!r}, which torch.save does not write.")


# The Python unpickler, not the one in C: that one sizes its memo by the largest index a pickle mentions, so nine bytes
# take gigabytes whatever names are allowed.
class PickleReader(pickle._Unpickler):
    """Reads the pickles that lie one after another at the start of `data`, at most `MAX_BYTES` long together."""

    # Parts of the Python unpickler that its type stubs leave out.
    memo: dict[int, Any]
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes):
        if len(data) > MAX_BYTES:
            raise WeightsError(f"its pickle is {len(data):,} bytes long, more than the {MAX_BYTES:,} of any weights.")
        self.program = _Program(data)
        self.storages: dict[str, Storage] = {}
        super().__init__(self.program, encoding="utf-8")

    @property
    def steps(self) -> int:
        """At least the number of instructions that were carried out so far."""
        return self.program.reads

    def load(self) -> Any:
        """The object that the next pickle makes."""
        self.memo.clear()
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for; no module is ever looked at."""
        path = f"{module}.{name}"
        if path not in NAMES:
            raise WeightsError(f"it asks for {path!r:.100}, which is not among the few names that weights need.")
        return NAMES[path]

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that `pid` describes, which is also noted in `storages`."""
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(size), *view) if view in ([], [None]):
                storage = Storage(dtype, key, size)
                if self.storages.setdefault(key, storage) == storage:
                    return storage
        raise WeightsError("it refers to something outside its pickle that is not the storage of a tensor.")

    def load_reduce(self) -> None:
        """Call one of our constructors, the only callables that can be on the stack."""
        arguments = self.stack.pop()
        constructor = self.stack[-1]
        if not callable(constructor) or type(arguments) is not tuple or len(arguments) > MAX_ARGUMENTS:
            raise WeightsError("its pickle calls something that cannot be called.")
        self.stack[-1] = constructor(*arguments)

    def load_build(self) -> None:
        """Ignore the attributes of a dict (torch notes versions there) and the details of a NumPy dtype."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, np.dtype):
            if state[1] == ">":
                raise WeightsError("it holds a big-endian number, which this program does not read.")
        elif type(target) is not dict:
            raise WeightsError(f"its pickle sets the state of a {type(target).__name__}.")

    def load_setitem(self) -> None:
        """Put one item into the dict on the stack."""
        items = self.stack[-2:]
        del self.stack[-2:]
        _fill(self.stack[-1], items)

    def load_setitems(self) -> None:
        """Put the items after the mark into the dict before it."""
        items = self.pop_mark()
        _fill(self.stack[-1], items)

    dispatch = _Instructions(
        {
            code[0]: pickle._Unpickler.dispatch[code[0]]
            for code in (
                *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.BINPERSID),
                *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT),
                *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
                *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
                *(pickle.BINUNICODE, pickle.SHORT_BINSTRING),
                *(pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
                *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
            )
        }
        | {pickle.REDUCE[0]: load_reduce, pickle.BUILD[0]: load_build}
        | {pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems}
    )


def _fill(target: Any, items: Sequence[Any]) -> None:
    if type(target) is not dict:
        raise WeightsError(f"its pickle puts items into a {type(target).__name__}.")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Other keys can be chosen to share one hash, and the time to insert them then grows with the square.
        if type(key) is not str and not (type(key) is int and abs(key) < 2**63):
            raise WeightsError(f"it has a dict with a key that is a {type(key).__name__}, not text or a number.")
        target[key] = value


def _extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    return 0 if 0 in shape else 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_hooks: Any) -> TensorRecord:
    if type(storage) is not Storage or not len(shape) == len(strides) <= MAX_DIMENSIONS:
        raise WeightsError("it has a tensor whose description makes no sense.")
    if not all(type(number) is int and 0 <= number < MAX_COUNT for number in (offset, *shape, *strides)):
        raise WeightsError("it has a tensor whose shape, strides or offset are not counts.")
    # A tensor that repeats elements could be larger than any memory; one without elements still has a shape.
    largest = 2**31 if 0 in shape else storage.size
    if math.prod(max(n, 1) for n in shape) > largest or offset + _extent(shape, strides) > storage.size:
        raise WeightsError(f"it has a tensor of shape {tuple(shape)} that does not fit in its storage.")
    return TensorRecord(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_details: Any) -> Any:
    return tensor


def _ordered_dict() -> dict[Any, Any]:
    return {}


def _size(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple:
        raise WeightsError("it has a torch.Size that is not made from a tuple.")
    return shape


def _encode(text: Any, encoding: Any) -> bytes:
    # How Python 3 writes bytes in protocol 2; only NumPy's numbers need them, and those are short.
    if type(text) is not str or len(text) > 8 or encoding != "latin1":
        raise WeightsError("it holds bytes that are not a number.")
    return text.encode("latin-1")


def _numpy_dtype(code: Any, *_flags: Any) -> np.dtype:
    if code not in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "b1"):
        raise WeightsError(f"it holds a NumPy number of type {code!r:.20}.")
    return np.dtype(f"<{code}")


def _numpy_scalar(dtype: Any, data: Any) -> int | float | bool:
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != dtype.itemsize:
        raise WeightsError("it holds a damaged NumPy number.")
    return np.frombuffer(data, dtype)[0].item()


DTYPES = {
    "Double": np.dtype("<f8"),
    "Float": np.dtype("<f4"),
    "Half": np.dtype("<f2"),
    "BFloat16": np.dtype(ml_dtypes.bfloat16),
    "Long": np.dtype("<i8"),
    "Int": np.dtype("<i4"),
    "Short": np.dtype("<i2"),
    "Char": np.dtype("i1"),
    "Byte": np.dtype("u1"),
    "Bool": np.dtype("?"),
}
NAMES = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
    # A learning rate that was computed with NumPy is such a number: score_sde_pytorch writes it in every checkpoint.
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy.dtype": _numpy_dtype,
    "_codecs.encode": _encode,
    **{f"torch.{name}Storage": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{dtype.name}": dtype for dtype in DTYPES.values()},
}
