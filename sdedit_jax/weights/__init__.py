"""Weights from wherever they are: a model file, a training folder, or a model that comes with the package."""

import dataclasses
import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn

from sdedit_jax import build, trees
from sdedit_jax.sdes import SDE
from sdedit_jax.weights import native
from sdedit_jax.weights.stored import Source, StoredTensor, WeightsError, check_shapes, read_params

__all__ = ["Loaded", "WeightsError", "bundled_models", "export", "load"]

BUNDLED = importlib.resources.files("sdedit_jax") / "assets" / "models"
# What a model file says of its model; the rest of a training config is the trainer's business.
DESCRIPTION = ("model", "preconditioning", "sde")


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model ready for use: ``sdedit(loaded.params, ..., model=loaded.model, sde=loaded.sde)``."""

    model: nn.Module
    sde: SDE
    params: dict[str, Any]
    """Nested dicts of float32 arrays."""
    image_size: int
    """Pixels, height and width, of the pictures it was trained on."""
    config: Mapping[str, Any]
    """The plain data it was built from."""


def load(source: str | os.PathLike[str]) -> Loaded:
    """The model, its SDE and its parameters.

    `source`: the name of a bundled model (``landscapes``), the path of a ``.safetensors`` file that this program
    wrote, or a training folder, of which the newest averaged params are taken. A bundled name wins over a file of
    the same name; ``./landscapes`` is the file.
    Raises WeightsError, CheckpointError for a training folder, or ConfigError; all are ValueErrors.
    """
    found = _read(os.fspath(source))
    config = found.config
    missing = [name for name in (*DESCRIPTION, "data") if name not in config]
    if missing:
        raise WeightsError(f"{source} does not describe its model: {', '.join(missing)} missing from its config.")
    data = config["data"]
    image_size = data.get("image_size") if isinstance(data, Mapping) else None
    if not isinstance(image_size, int) or image_size < 1:
        raise WeightsError(f"{source} does not say the size of its pictures, config.data.image_size: {data!r}.")
    model = build.build_model(config)
    shapes = build.param_shapes(model, image_size)
    try:
        check_shapes(found.tensors, shapes)
        params = read_params(found.tensors)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    return Loaded(model, build.build_sde(config), params, image_size, config)


def export(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> None:
    """Write the model at `source`, anything that `load` takes, as one ``.safetensors`` file that holds no paths."""
    loaded = load(source)
    description = {name: loaded.config[name] for name in DESCRIPTION} | {"data": {"image_size": loaded.image_size}}
    native.save(path, loaded.params, description, dtype=dtype)


def bundled_models() -> list[str]:
    """The names of the models that come with the package."""
    files = BUNDLED.iterdir() if BUNDLED.is_dir() else []
    return sorted(file.name.removesuffix(".safetensors") for file in files if file.name.endswith(".safetensors"))


def _read(name: str) -> Source:
    """The model that `name` stands for."""
    if name in bundled_models():
        with importlib.resources.as_file(BUNDLED / f"{name}.safetensors") as path:
            return native.read(path)
    path = Path(name).expanduser()
    if path.is_dir():
        # Orbax takes as long to import as a small model takes to load, and a model file does not need it.
        from sdedit_jax import checkpoints

        ema = trees.flatten(checkpoints.restore_ema(path))
        tensors = {name: StoredTensor(leaf.shape, leaf.dtype, lambda leaf=leaf: leaf) for name, leaf in ema.items()}
        return Source(checkpoints.read_config(path), tensors)
    if path.exists() or path.suffix == ".safetensors":
        return native.read(path)
    known = ", ".join(bundled_models()) or "none"
    raise WeightsError(
        f"There is no model {name!r}. Give a .safetensors file, a training folder, or a bundled model ({known})."
    )
