"""Our own model file: one ``.safetensors`` with the params, and the config they need as JSON in its metadata.

The format runs no code and states every size before the data, so a file from a stranger can be opened: it loads, or
it is a `WeightsError` of one clear sentence. Tensors are named by their path (``down_0/conv/kernel``); the metadata
is ``{"format": "sdedit_jax", "format_version": "1", "config": <JSON>}``.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sdedit_jax import trees

FORMAT = {"format": "sdedit_jax", "format_version": "1"}
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
STORED = {"F32", "F16", "BF16"}


class WeightsError(ValueError):
    """Weights that cannot be read, written or used, with the reason in one sentence."""


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


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The params, nested dicts of float32 NumPy arrays, and the config, with tuples for sequences.

    Raises WeightsError for anything that is not a complete model file of this program with finite weights.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            config = _config(file.metadata() or {})
            return trees.unflatten({name: _loaded(file, name) for name in file.keys()}), config
    except FileNotFoundError as error:
        raise WeightsError(f"There is no model file {path}.") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a .safetensors file, or a damaged one: {error}.") from error
    except ValueError as error:
        raise WeightsError(f"{path} cannot be used as a model of sdedit_jax: {error}") from error


def check_params(params: dict[str, Any], expected_shapes: Any) -> None:
    """Raise a WeightsError that names what is missing, left over or of another shape (ten at most); else nothing.

    `expected_shapes`: the tree of `jax.ShapeDtypeStruct` that `jax.eval_shape` gives for the model's `init`.
    """
    different = trees.differences(params, expected_shapes)
    if different:
        raise WeightsError(f"The weights do not fit the model of this config:{trees.listing(different)}")


def _stored(name: str, leaf: Any, dtype: str) -> np.ndarray:
    values = np.asarray(leaf, np.float32)
    _check_finite(name, values)
    with np.errstate(over="ignore"):
        stored = np.asarray(values.astype(DTYPES[dtype]), order="C")
    if not np.isfinite(stored).all():
        largest = np.abs(values).max()
        raise WeightsError(f"{name} reaches {largest:g}, more than {dtype} can hold; save as float32 or bfloat16.")
    return stored


def _loaded(file: Any, name: str) -> np.ndarray:
    stored = file.get_slice(name).get_dtype()
    if stored not in STORED:
        raise ValueError(f"{name!r} is stored as {stored}, not as one of {sorted(STORED)}.")
    values = file.get_tensor(name).astype(np.float32)
    _check_finite(name, values)
    return values


def _check_finite(name: str, values: np.ndarray) -> None:
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise WeightsError(f"{name} has {bad} values that are NaN or infinite, of {values.size}.")


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
