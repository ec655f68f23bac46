"""Our own model file: one ``.safetensors`` with the params, and the config they need as JSON in its metadata.

Tensors are named by their path (``down_0/conv/kernel``); the metadata is
``{"format": "sdedit_jax", "format_version": "1", "config": <JSON>}``.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdedit_jax import disk, trees
from sdedit_jax.weights.stored import ParamDtype, Source, StoredTensor, WeightsError, finite

FORMAT = {"format": "sdedit_jax", "format_version": "1"}


def save(
    path: str | os.PathLike[str], params: dict[str, Any], config: dict[str, Any], *, dtype: ParamDtype = "float32"
) -> None:
    """Write `params` (nested dicts of arrays) and `config` (plain data) to `path`, whole or not at all.

    `dtype` is what the file stores; loading gives float32 again. Halving the file costs a relative error of up to
    2^-11 (float16) or 2^-8 (bfloat16, with the range of float32).
    Raises WeightsError for NaN, Inf or, in float16, values beyond 65504.
    """
    leaves = {name: _stored(name, leaf, dtype) for name, leaf in trees.flatten(params).items()}
    metadata = FORMAT | {"config": json.dumps(config, allow_nan=False)}
    disk.write_tensors(Path(path), leaves, metadata)


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether a ``.safetensors`` file with this `metadata` says that this program wrote it."""
    return metadata.get("format") == FORMAT["format"]


def source(path: Path, tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str]) -> Source:
    """The model in the file at `path`, which holds these; its config has tuples for sequences.

    Raises WeightsError if this program did not write it.
    """
    try:
        return Source(_config(metadata), tensors)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be used as a model of sdedit_jax: {error}") from error


def _stored(name: str, leaf: Any, dtype: ParamDtype) -> np.ndarray:
    return np.asarray(finite(name, np.asarray(leaf, np.float32), dtype), order="C")


def _config(metadata: Mapping[str, str]) -> dict[str, Any]:
    if not recognises(metadata):
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
