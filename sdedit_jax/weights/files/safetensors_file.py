"""A ``.safetensors`` file as tensors that stay in it, and its metadata.

The format runs no code and states every size before the data; the `safetensors` library refuses what does not add up.
"""

import os
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from sdedit_jax.weights.stored import StoredTensor, WeightsError

DTYPES = {
    name: np.dtype(dtype)
    for name, dtype in {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}.items()
}
MAX_HEADER = 100_000_000  # bytes, the library's own limit


def recognises(path: Path) -> bool:
    """Whether the file begins like one: the length of a JSON object, and its brace."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and struct.unpack("<Q", head[:8])[0] <= MAX_HEADER and head[8:] == b"{"


def read(path: str | os.PathLike[str]) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors of the file by name, and its metadata. WeightsError for what is no complete file of floats."""
    try:
        file = safe_open(path, framework="numpy")
        return {name: _stored(file, name, path) for name in file.keys()}, file.metadata() or {}
    except FileNotFoundError as error:
        raise WeightsError(f"There is no model file {path}.") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a .safetensors file, or a damaged one: {error}.") from error


def _stored(file: Any, name: str, path: Any) -> StoredTensor:
    window = file.get_slice(name)
    if window.get_dtype() not in DTYPES:
        raise WeightsError(f"{path}: {name!r} is stored as {window.get_dtype()}, not as one of {', '.join(DTYPES)}.")

    def tensor() -> np.ndarray:
        try:
            return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: {name!r} cannot be read: {error}.") from error

    return StoredTensor(tuple(window.get_shape()), DTYPES[window.get_dtype()], tensor)
