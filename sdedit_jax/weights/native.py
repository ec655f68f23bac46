"""Our own model file: one ``.safetensors`` with the params, and the config they need as JSON in its metadata.

Tensors are named by their path (``down_0/conv/kernel``); the metadata
is ``{"format": "sdedit_jax", "format_version": "1", "config": <JSON>}``.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from sdedit_jax import trees
from sdedit_jax.weights.files import safetensors_file
from sdedit_jax.weights.stored import Source, WeightsError, require_finite

FORMAT = {"format": "sdedit_jax", "format_version": "1"}
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def save(
    path: str | os.PathLike[str],
    params: dict[str, Any],
    config: dict[str, Any],
    *,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> None:
    """Write `params` (nested dicts of arrays) and `config` (plain data) to `path`, whole or not at all.

    `dtype` is what the file stores; loading gives float32 again. Halving the file costs a relative error of up to
    2^-11 (float16) or 2^-8 (bfloat16, with the range of float32).
    Raises WeightsError for NaN, Inf or, in float16, values beyond 65504.
    """
    path = Path(path)
    leaves = {name: _stored(name, leaf, dtype) for name, leaf in trees.flatten(params).items()}
    metadata = FORMAT | {"config": json.dumps(config, allow_nan=False)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(leaves, temporary, metadata=metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def recognises(path: str | os.PathLike[str]) -> bool:
    """Whether the ``.safetensors`` file says that this program wrote it."""
    return safetensors_file.read(path)[1].get("format") == FORMAT["format"]


def read(path: str | os.PathLike[str]) -> Source:
    """The model in the file; its config has tuples for sequences. WeightsError if this program did not write it."""
    tensors, metadata = safetensors_file.read(path)
    try:
        return Source(_config(metadata), tensors)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be used as a model of sdedit_jax: {error}") from error


def _stored(name: str, leaf: Any, dtype: str) -> np.ndarray:
    values = np.asarray(leaf, np.float32)
    require_finite(name, values)
    with np.errstate(over="ignore"):
        stored = np.asarray(values.astype(DTYPES[dtype]), order="C")
    if not np.isfinite(stored).all():
        largest = np.abs(values).max()
        raise WeightsError(f"{name} reaches {largest:g}, more than {dtype} can hold; save as float32 or bfloat16.")
    return stored


def _config(metadata: dict[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT["format"]:
        raise ValueError("its metadata does not name this program, so another one wrote it.")
    if metadata.get("format_version") != FORMAT["format_version"]:
        version = metadata.get("format_version")
        raise ValueError(f"its format version is {version!r} and this program reads {FORMAT['format_version']!r}.")
    try:
        config = trees.tuples(json.loads(metadata.get("config", "")))
    except (ValueError, RecursionError) as error:  # the second from ten thousand brackets
        raise ValueError(f"its config is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ValueError("its config is not a JSON object.")
    return config
