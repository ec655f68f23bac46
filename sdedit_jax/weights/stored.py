"""What every reader of weights gives: a config, tensors that are still in their file, and one error."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax import trees

# What can be said about a model from elsewhere, and the preconditioning that every one of them does without.
SECTIONS = ("model", "sde", "data")
PRECONDITIONING = {"name": "none", "sigma_data": 0.5}

ParamDtype = Literal["float32", "float16", "bfloat16"]
PARAM_DTYPES = get_args(ParamDtype)

Overrides = Mapping[str, Mapping[str, Any]]
"""Fields of the config sections `SECTIONS` that win over what a file says or lets one guess; {} for none."""


class WeightsError(ValueError):
    """Weights that cannot be read, written or used, with the reason in one sentence."""


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file, in the file's own layout; a model of gigabytes is read one tensor at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    """() -> the values, an array of `shape` and `dtype` that the caller may keep; WeightsError if they are damaged."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A model in a file: what it is, and its parameters, one `read` away."""

    config: Mapping[str, Any]
    """Plain data with the sections model, preconditioning, sde and data.image_size, from which `build` makes it."""
    tensors: Mapping[str, StoredTensor]
    """By our path (``down_0_block_1/conv1/kernel``); `read` gives them in our layout."""
    assumed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """{``section.field`` of `config`: a sentence} for each fact that the file does not state."""
    notes: tuple[str, ...] = ()
    """What else there is to say about the file, in sentences."""


def by_section(overrides: Overrides) -> dict[str, Mapping[str, Any]]:
    """`overrides` with every one of `SECTIONS`; WeightsError for another, or for what is not fields."""
    for section, fields in overrides.items():
        if section not in SECTIONS or not isinstance(fields, Mapping):
            wanted = f"fields of {', '.join(SECTIONS)}, as in sde={{...}}"
            raise WeightsError(f"What one can say of a model are {wanted}; got {section}={fields!r}.")
    return {section: overrides.get(section, {}) for section in SECTIONS}


def check_shapes(tensors: Mapping[str, StoredTensor], expected_shapes: Any) -> None:
    """Raise a WeightsError that names what is missing, left over or of another shape (ten at most); else nothing.

    `expected_shapes`: the tree of `jax.ShapeDtypeStruct` that `jax.eval_shape` gives for the model's `init`.
    """
    found = {name: jax.ShapeDtypeStruct(tensor.shape, jnp.float32) for name, tensor in tensors.items()}
    different = trees.differences(found, trees.flatten(expected_shapes))
    if different:
        raise WeightsError(f"The weights do not fit the model of this config:{trees.listing(different)}")


def read_params(tensors: Mapping[str, StoredTensor], dtype: ParamDtype = "float32") -> dict[str, Any]:
    """Nested dicts of arrays of `dtype`, read one tensor at a time; WeightsError for those that are not `finite`."""
    try:
        return trees.unflatten(
            {name: jnp.asarray(finite(name, tensor.read(), dtype)) for name, tensor in tensors.items()}
        )
    except ValueError as error:  # one name that runs through another
        raise WeightsError(str(error)) from error


def finite(name: str, values: np.ndarray, dtype: ParamDtype) -> np.ndarray:
    """`values` in `dtype`; WeightsError, by `name`, for NaN, infinity and what is too large for `dtype`."""
    if dtype not in PARAM_DTYPES:
        raise WeightsError(f"The params can be {', '.join(PARAM_DTYPES)}, not {dtype!r}.")
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise WeightsError(f"{name} has {bad} values that are NaN or infinite, of {values.size}.")
    with np.errstate(over="ignore"):
        cast = values.astype(jnp.dtype(dtype), copy=False)
    if not np.isfinite(cast).all():
        raise WeightsError(f"{name} reaches {np.abs(values).max():g}, more than {dtype} can hold; take float32.")
    return cast
