"""A model of the diffusers library in a folder: read into the terms of this program, and written.

The folder holds ``config.json`` and ``diffusion_pytorch_model.safetensors`` or ``.bin``, directly or in its folder
``unet``, and beside them or in its folder ``scheduler`` the ``scheduler_config.json`` that tells the SDE.
"""

import functools
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import flax.linen as nn
import jax
import numpy as np

from sdedit_jax import build, disk, trees
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import SDE
from sdedit_jax.weights.diffusers.names import current_names, diffusers_name, to_diffusers
from sdedit_jax.weights.diffusers.scheduler import scheduler_config, sde_fields
from sdedit_jax.weights.diffusers.unet import UNET_DEFAULTS, is_fourier, model_section, require_equal, unet_config
from sdedit_jax.weights.files import safetensors_file, torch_file
from sdedit_jax.weights.published import names, schedules
from sdedit_jax.weights.published.architectures import Section
from sdedit_jax.weights.stored import (
    PRECONDITIONING,
    Overrides,
    Source,
    StoredTensor,
    WeightsError,
    by_section,
    check_shapes,
    finite,
)

CONFIG, SCHEDULER, PIPELINE = "config.json", "scheduler_config.json", "model_index.json"
STEM = "diffusion_pytorch_model"  # which all files of weights begin with
WEIGHTS = (f"{STEM}.safetensors", f"{STEM}.bin")  # the first that there is
MAX_JSON = 1_000_000  # bytes of a config
MAX_SIZE = 65_536  # pixels, height and width
PIPELINES = {"DDPMScheduler": "DDPMPipeline", "ScoreSdeVeScheduler": "ScoreSdeVePipeline"}


def recognises(folder: Path) -> bool:
    """Whether `folder` is a diffusers model, or says that it is one."""
    if (folder / PIPELINE).is_file() or (folder / "unet" / CONFIG).is_file():
        return True
    try:
        return "_class_name" in _json(folder / CONFIG)  # which diffusers puts into all its files
    except WeightsError:
        return False


def read(folder: Path, overrides: Overrides) -> Source:
    """The model in the diffusers folder `folder`; no tensor is read yet.

    Raises WeightsError for a folder that is none of diffusers, is damaged, or holds a network that does not exist here.
    """
    try:
        return _source(folder, by_section(overrides))
    except ValueError as error:
        raise WeightsError(f"{folder} cannot be used: {error}") from error


def write(
    folder: str | os.PathLike[str], model: nn.Module, sde: SDE, params: Mapping[str, Any], image_size: int
) -> None:
    """Write the model as a new diffusers folder, whole or not at all.

    ``UNet2DModel.from_pretrained(folder)`` is then the same function (of sigma in [0, 1] units, for a VE model, and of
    pixels there), and ``DDPMPipeline`` or ``ScoreSdeVePipeline`` samples with it.
    `params`: nested dicts of arrays; `image_size`: pixels, height and width.
    Raises WeightsError for what diffusers has no form for, for params that are not those of `model`, or not finite, and
    for a `folder` that is there already.
    """
    folder = Path(folder)
    if folder.exists():
        raise WeightsError(f"{folder} is there already; name a new folder.")
    leaves, shapes = trees.flatten(params), trees.flatten(build.param_shapes(model, image_size))
    unet = unet_config(model, shapes) | {"sample_size": image_size}
    scheduler = scheduler_config(sde, is_fourier(model))
    index = {"_class_name": PIPELINES[scheduler["_class_name"]]} | {
        part: ["diffusers", config["_class_name"]] for part, config in (("scheduler", scheduler), ("unet", unet))
    }
    if different := trees.differences(leaves, shapes):
        raise WeightsError(f"The params are not those of the model:{trees.listing(different)}")
    tensors = _exported(cast(DDPM | NCSNpp, model), leaves)
    with disk.replacing(folder) as temporary:
        temporary.mkdir()
        for name, config in ((CONFIG, unet), (SCHEDULER, scheduler), (PIPELINE, index)):
            (temporary / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        disk.write_tensors(temporary / WEIGHTS[0], tensors, {"format": "pt"})


def _source(folder: Path, given: Mapping[str, Mapping[str, Any]]) -> Source:
    home = folder / "unet" if (folder / "unet" / CONFIG).is_file() else folder
    if (folder / PIPELINE).is_file():
        _require_pixels(_json(folder / PIPELINE))
    stated = _unet(home / CONFIG)
    unet = {**UNET_DEFAULTS, **stated}
    fields = {**model_section(unet), **given["model"]}
    model: Any = build.build_model({"model": fields, "preconditioning": PRECONDITIONING})
    data = {"image_size": _image_size(unet["sample_size"]), **given["data"]}
    if not isinstance(data["image_size"], int):
        size = data["image_size"] or unet["sample_size"]
        raise WeightsError(f"sample_size {size!r} is no size of pictures here; say it: data={{'image_size': 256}}.")
    shapes = trees.flatten(build.param_shapes(model, data["image_size"]))
    require_equal(unet, model, shapes)
    sde, notes = _sde(folder, model, data["image_size"], given["sde"])
    config = {"model": fields, "preconditioning": PRECONDITIONING, "sde": dict(sde.fields), "data": data}
    build.build_sde(config)  # says now what is out of its range
    unknown = sorted(name for name in stated if name not in UNET_DEFAULTS and not name.startswith("_"))
    notes += [f"{name} of {CONFIG}, {stated[name]!r:.50}, changes nothing." for name in unknown]
    assumed = {f"sde.{field}": why for field, why in sde.assumed.items()}
    return Source(config, _tensors(home, shapes, model.num_levels), assumed, tuple(notes))


def _unet(path: Path) -> dict[str, Any]:
    unet = _json(path)
    if unet.get("_class_name") != "UNet2DModel":
        raise WeightsError(f"{path.name} is of {unet.get('_class_name')!r}, and supported is UNet2DModel.")
    return unet


def _require_pixels(index: Mapping[str, Any]) -> None:
    """WeightsError for a pipeline in which the network does not see the picture itself."""
    parts = sorted(name for name in index if not name.startswith("_") and name not in ("unet", "scheduler"))
    if parts:
        raise WeightsError(f"its pipeline has {', '.join(parts)} too; supported are unet and scheduler alone.")


def _sde(folder: Path, model: DDPM | NCSNpp, image_size: Any, given: Mapping[str, Any]) -> tuple[Section, list[str]]:
    """config.sde, and a note if no file tells it."""
    fourier = is_fourier(model)
    paths = [path for path in (folder / SCHEDULER, folder / "scheduler" / SCHEDULER) if path.is_file()]
    if not paths:
        section = schedules.infer("score_sde" if fourier else "pytorch_diffusion", model, None, image_size, given)
        return section, [f"The noise is that of published networks: there is no {SCHEDULER}."]
    fields = sde_fields(_json(paths[0]), fourier)
    if given.get("name", fields["name"]) != fields["name"]:
        fields = {}
    return Section(fields).given(given), []


def _image_size(sample_size: Any) -> int | None:
    """Of sample_size, a number or height and width; None for other than squares of up to `MAX_SIZE` pixels."""
    if isinstance(sample_size, list) and len(sample_size) == 2 and sample_size[0] == sample_size[1]:
        sample_size = sample_size[0]
    if not isinstance(sample_size, int) or isinstance(sample_size, bool) or not 1 <= sample_size <= MAX_SIZE:
        return None
    return sample_size


def _tensors(folder: Path, shapes: Mapping[str, jax.ShapeDtypeStruct], num_levels: int) -> dict[str, StoredTensor]:
    """The tensors in the file of weights by our path, in our layout."""
    stored = _weights(folder)
    found = {name: stored[key] for name, key in current_names(stored).items()}
    path_of = {diffusers_name(path, num_levels): path for path in shapes}
    wanted = {
        name: to_diffusers(name, np.broadcast_to(np.float32(0.0), shapes[path].shape)) for name, path in path_of.items()
    }
    check_shapes(found, wanted)
    return {
        path: names.lazily(found[name], functools.partial(names.from_torch, name)) for name, path in path_of.items()
    }


def _weights(folder: Path) -> Mapping[str, StoredTensor]:
    """The tensors in the file of weights by name, in its layout."""
    safetensors, pickled = (folder / name for name in WEIGHTS)
    if safetensors.is_file():
        return safetensors_file.read(safetensors)[0]
    if pickled.is_file():
        found = torch_file.read(pickled)
        if not isinstance(found, dict) or not all(isinstance(tensor, StoredTensor) for tensor in found.values()):
            raise WeightsError(f"{pickled.name} holds other things than named tensors.")
        return found
    others = sorted(path.name for path in folder.glob(f"{STEM}*"))
    if any(name.endswith(".index.json") for name in others):
        raise WeightsError(
            "its weights are spread over several files; join them: save_pretrained(max_shard_size='9GB')."
        )
    raise WeightsError(f"it has no {' or '.join(WEIGHTS)}, only {', '.join(others) or 'its configs'}.")


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON + 1)
        if len(text) > MAX_JSON:
            raise ValueError(f"it has more than {MAX_JSON} bytes")
        value = json.loads(text.decode("utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"it has no {path.name}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path.name} holds no JSON object.")
    return value


def _exported(model: DDPM | NCSNpp, leaves: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The `leaves` by their name in diffusers, in its layout."""
    # What the last convolutions give is sigma times the score there if the embedding is Fourier's, else the noise.
    negated = is_fourier(model) != (model.output == "scaled_score")
    tensors = {}
    for path, leaf in leaves.items():
        values = finite(path, np.asarray(leaf, np.float32), "float32")
        if negated and re.match(r"(head|up_\d+_pyramid)/conv/", path):
            values = -values
        name = diffusers_name(path, model.num_levels)
        tensors[name] = np.ascontiguousarray(to_diffusers(name, values))
    return tensors
