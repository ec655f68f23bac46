"""Weights from wherever they are: a model file, a training folder, or a model that comes with the package."""

import dataclasses
import importlib.resources
import os
from pathlib import Path
from typing import Any

from sdedit_jax.weights import native
from sdedit_jax.weights.native import WeightsError, check_params

__all__ = ["Loaded", "WeightsError", "bundled_models", "check_params", "load"]

BUNDLED = importlib.resources.files("sdedit_jax") / "assets" / "models"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What an edit needs of a model: `params`, nested dicts of arrays, and `config`, the plain data it was built by."""

    params: dict[str, Any]
    config: dict[str, Any]


def load(source: str | os.PathLike[str]) -> Loaded:
    """The params and config of a model.

    `source`: the name of a bundled model (``landscapes``), the path of a ``.safetensors`` file that this program
    wrote, or a training folder, of which the newest averaged params are taken. A bundled name wins over a file of
    the same name; ``./landscapes`` is the file.
    Raises WeightsError, or CheckpointError for a training folder; both are ValueErrors.
    """
    name = os.fspath(source)
    if name in bundled_models():
        with importlib.resources.as_file(BUNDLED / f"{name}.safetensors") as path:
            return Loaded(*native.load(path))
    path = Path(name)
    if path.is_dir():
        return _load_training_folder(path)
    if path.exists() or path.suffix == ".safetensors":
        return Loaded(*native.load(path))
    known = ", ".join(bundled_models()) or "none"
    raise WeightsError(
        f"There is no model {name!r}. Give a .safetensors file, a training folder, or a bundled model ({known})."
    )


def bundled_models() -> list[str]:
    """The names of the models that come with the package."""
    files = BUNDLED.iterdir() if BUNDLED.is_dir() else []
    return sorted(file.name.removesuffix(".safetensors") for file in files if file.name.endswith(".safetensors"))


def _load_training_folder(path: Path) -> Loaded:
    # Orbax takes as long to import as a small model takes to load, and a model file does not need it.
    from sdedit_jax import checkpoints

    return Loaded(checkpoints.restore_ema(path), checkpoints.read_config(path))
