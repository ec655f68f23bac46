"""Weights from wherever they are: one door for every format, recognised by what is in the file and not by its name."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn

from sdedit_jax import build, trees
from sdedit_jax.sdes import SDE
from sdedit_jax.weights import diffusers, hub, native, published
from sdedit_jax.weights.files import safetensors_file
from sdedit_jax.weights.hub import known
from sdedit_jax.weights.stored import (
    SECTIONS,
    Overrides,
    ParamDtype,
    Source,
    StoredTensor,
    WeightsError,
    by_section,
    check_shapes,
    read_params,
)

__all__ = ["Loaded", "WeightsError", "bundled_models", "export", "load"]

BUNDLED = Path(__file__).parents[1] / "assets" / "models"
# What a model file says of its model; the rest of a training config is the trainer's business.
DESCRIPTION = ("model", "preconditioning", "sde")


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model ready for use: ``sdedit(loaded.params, ..., model=loaded.model, sde=loaded.sde)``."""

    model: nn.Module
    sde: SDE
    params: dict[str, Any]
    """Nested dicts of arrays on the default device."""
    image_size: int
    """Pixels, height and width, of the pictures it was trained on."""
    config: Mapping[str, Any]
    """The plain data it was built from."""
    assumed: Mapping[str, str]
    """{field of `config`: a sentence} for each fact that the file does not state (``sde.sigma_max``)."""
    notes: tuple[str, ...]
    """What else there is to say about the file, in sentences."""


def load(
    source: str | os.PathLike[str],
    *,
    dtype: ParamDtype = "float32",
    assuming: build.Config | None = None,
    **overrides: Mapping[str, Any],
) -> Loaded:
    """The model, its SDE and its parameters.

    Args:
        source: the name of a bundled or known model (``landscapes``, ``lsun_bedroom``, ``cifar10:ncsnpp``); a file of
            this program, of SDEdit, pytorch_diffusion, DDIM or score_sde (PyTorch or Flax); a diffusers folder; a
            training folder, of which the newest averaged params are taken, or one of its steps
            (``runs/x/checkpoints/1200``); ``hf://owner/name[@revision]`` or an ``https://`` address of any of these.
            A name wins over a file of that name; ``./landscapes`` is the file.
        dtype: of the params.
        assuming: a config from which facts are taken that the file does not state, if the network that it describes
            is the one in the file.
        overrides: fields of the config sections model, sde and data that win over what the file says or lets one
            guess: ``sde={"sigma_max": 760.0}``, ``model={"dropout": 0.1}``.

    Raises:
        WeightsError: for what cannot be fetched or read, or does not fit, by name; CheckpointError for a training
            folder; ConfigError for overrides. All are ValueErrors.
    """
    name = os.fspath(source)
    by_section(overrides)  # refuses, before anything is fetched, what no reader knows
    path, facts = _located(name)
    found = _read(path, _over(facts, overrides))
    if assuming is not None and found.assumed and _describes(assuming, found):
        found = _read(path, _over(_over(facts, _said(assuming, found)), overrides))
    model, sde, image_size = _built(name, found.config)
    shapes = build.param_shapes(model, image_size)
    try:
        check_shapes(found.tensors, shapes)
        params = read_params(found.tensors, dtype)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    return Loaded(model, sde, params, image_size, found.config, found.assumed, found.notes)


def export(loaded: Loaded, path: str | os.PathLike[str], dtype: ParamDtype = "float32") -> None:
    """Write a model in a form that holds no paths of this machine.

    `path`: a ``.safetensors`` file of this program, or a new folder, for diffusers, which has float32 alone.
    Raises WeightsError for a network that diffusers has no form for.
    """
    if Path(path).suffix != ".safetensors":
        if dtype != "float32":
            raise WeightsError(f"A diffusers folder is written in float32, not in {dtype}.")
        diffusers.write(path, loaded.model, loaded.sde, loaded.params, loaded.image_size)
        return
    description = {name: loaded.config[name] for name in DESCRIPTION} | {"data": {"image_size": loaded.image_size}}
    native.save(path, loaded.params, description, dtype=dtype)


def bundled_models() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.safetensors"))


def _located(name: str) -> tuple[Path, Overrides]:
    """The file or folder that `name` stands for, fetched if need be, and what is known beyond what is in it."""
    if name in bundled_models():
        return BUNDLED / f"{name}.safetensors", {}
    if name in known.MODELS:
        return hub.fetch(name), known.MODELS[name].overrides
    if "://" in name:
        return hub.fetch(name), {}
    path = Path(name).expanduser()
    if not name or not path.exists():
        names = ", ".join([*bundled_models(), *known.MODELS])
        raise WeightsError(f"There is no model file {name!r}, nor a model of that name. Known by name are {names}.")
    return path, {}


def _read(path: Path, overrides: Overrides) -> Source:
    """The model in a file or folder, by what is in it."""
    if path.is_dir():
        if diffusers.recognises(path):
            return diffusers.read(path, overrides)
        return _overridden(_training_folder(path), overrides)
    if path.name.startswith(diffusers.STEM) and diffusers.recognises(path.parent):
        return diffusers.read(path.parent, overrides)
    if not safetensors_file.recognises(path):
        return published.read(path, overrides)
    tensors, metadata = safetensors_file.read(path)
    if native.recognises(metadata):
        return _overridden(native.source(path, tensors, metadata), overrides)
    return published.source(path, tensors, overrides)


def _training_folder(path: Path) -> Source:
    # Orbax takes as long to import as a small model takes to load, and other models do not need it.
    from sdedit_jax import checkpoints

    folder, step = checkpoints.located(path)
    ema = trees.flatten(checkpoints.restore_ema(folder, step))
    tensors = {name: StoredTensor(leaf.shape, leaf.dtype, lambda leaf=leaf: leaf) for name, leaf in ema.items()}
    return Source(checkpoints.read_config(folder), tensors)


def _overridden(found: Source, overrides: Overrides) -> Source:
    return dataclasses.replace(found, config=_over(found.config, overrides)) if overrides else found


def _over(config: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """The sections of `config` with the fields of `overrides`; another `name` there takes none of the old fields."""
    merged = dict(config)
    for section, fields in overrides.items():
        old = config.get(section)
        if not isinstance(old, Mapping) or fields.get("name", old.get("name")) != old.get("name"):
            old = {}
        merged[section] = {**old, **fields}
    return merged


def _describes(config: build.Config, found: Source) -> bool:
    """Whether the network of `config` is the one in the file."""
    try:
        check_shapes(found.tensors, build.param_shapes(build.build_model(config), config["data"]["image_size"]))
    except ValueError:
        return False
    return True


def _said(config: build.Config, found: Source) -> Overrides:
    """What `config` says of the facts that were `assumed`: these fields, or all of an SDE of another name."""
    sections: dict[str, Any] = {section: trees.tuples(dict(config[section])) for section in SECTIONS}
    if "sde.name" in found.assumed and sections["sde"]["name"] != found.config["sde"]["name"]:
        return {"sde": sections["sde"]}
    said: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for fact in found.assumed:
        section, _, field = fact.partition(".")
        if sections[section].get(field) is not None:
            said[section][field] = sections[section][field]
    return said


def _built(name: str, config: Mapping[str, Any]) -> tuple[nn.Module, SDE, int]:
    """Model, SDE and size of the pictures."""
    missing = [section for section in (*DESCRIPTION, "data") if section not in config]
    if missing:
        raise WeightsError(f"{name} does not describe its model: {', '.join(missing)} missing from its config.")
    data = config["data"]
    image_size = data.get("image_size") if isinstance(data, Mapping) else None
    if not isinstance(image_size, int) or image_size < 1:
        raise WeightsError(f"{name} does not say the size of its pictures, config.data.image_size: {data!r}.")
    return build.build_model(config), build.build_sde(config), image_size
