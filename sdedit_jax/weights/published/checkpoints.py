"""Checkpoints as the published projects wrote them, in the terms of this program.

- SDEdit, pesser/pytorch_diffusion, DiffusionCLIP: the weights by name, in a torch file.
- ermongroup/ddim: a torch list of weights, optimizer, epoch, step and, if there are any, averaged weights.
- yang-song/score_sde_pytorch: a torch dict of optimizer, model, ema, step; the averaged weights have no names.
- yang-song/score_sde: a Flax state, with the averaged weights in ``params_ema``.

Averaged weights are taken wherever there are some. Names and shapes must fit exactly, with nothing left over.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from sdedit_jax import build, trees
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.weights.files import flax_file, torch_file
from sdedit_jax.weights.published import architectures, names, schedules
from sdedit_jax.weights.published.architectures import SUPPORTED, Section
from sdedit_jax.weights.published.names import Layout
from sdedit_jax.weights.stored import PRECONDITIONING, Overrides, Source, StoredTensor, WeightsError, by_section

ATTENTION_SIZE = 16  # pixels: where every published network has its attention
HEAD = 1024  # bytes that tell what a file is

UNSAID = "The file does not say whether its weights are averaged ones."
AVERAGED = "The averaged weights in the file are used, not the raw ones."
RAW = "The file has no averaged weights; the raw ones of training are used."
IMAGE_SIZE = "config.data.image_size is {} x {}: every published network has its attention at 16 x 16 pixels."


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The model in a file: its tensors by published name, in the layout of the file."""

    layout: Layout
    tensors: Mapping[str, StoredTensor]
    averaged: Sequence[StoredTensor] = ()
    """Averages of those `tensors` that are trained, in the order of the network's parameters; () for none."""
    sigmas: StoredTensor | None = None
    """(N,) noise scales on [0, 1], falling: PyTorch's score_sde has them for every SDE, though only VE uses them."""
    notes: tuple[str, ...] = ()


def read(path: Path, overrides: Overrides) -> Source:
    """The model in the torch file or the Flax checkpoint at `path`, its tensors still in the file.

    `overrides` are in force before names and shapes are compared.
    Raises WeightsError for a file that is damaged, of no known project, or at odds with its own network.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}.") from error
    if flax_file.is_flax_file(head):
        return _source(path, _of_flax, flax_file.read(path), overrides)
    if torch_file.is_torch_file(head):
        return source(path, torch_file.read(path), overrides)
    raise WeightsError(
        f"{path} is neither a .safetensors nor a torch file nor a Flax checkpoint, or it is damaged. "
        f"What can be read is {SUPPORTED}."
    )


def source(path: Path, content: Any, overrides: Overrides) -> Source:
    """As `read`, for a file of which the `content` is read already: what PyTorch saved, or tensors by name."""
    return _source(path, _of_torch, content, overrides)


def _of_flax(found: Mapping[str, Any]) -> Checkpoint:
    if not isinstance(found.get("params_ema"), dict):
        raise _unknown(list(found))
    return Checkpoint("score_sde_flax", _only_tensors(trees.flatten(found["params_ema"])))


def _of_torch(found: Any) -> Checkpoint:
    if isinstance(found, list) and found and isinstance(found[0], dict):
        averaged = found[4] if len(found) > 4 else None
        return _named(averaged, AVERAGED) if averaged else _named(found[0], RAW)
    if not isinstance(found, dict) or not isinstance(found.get("model"), dict):
        return _named(found, UNSAID)
    ema = found.get("ema")
    if not isinstance(ema, dict) or not ema.get("shadow_params"):
        return _named(found["model"], RAW)
    averaged = ema["shadow_params"]
    if not isinstance(averaged, list) or not all(isinstance(tensor, StoredTensor) for tensor in averaged):
        raise WeightsError("its ema.shadow_params are not a list of tensors.")
    return dataclasses.replace(_named(found["model"], AVERAGED), averaged=averaged)


def _named(found: Any, *notes: str) -> Checkpoint:
    """The weights by name; a network on several devices has put a prefix before each."""
    tensors = _only_tensors(found)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    layout = _layout(tensors)
    sigmas = tensors.pop("sigmas", None) if layout == "score_sde" else None
    return Checkpoint(layout, tensors, sigmas=sigmas, notes=notes)


def _layout(names: Collection[str]) -> Layout:
    """The layout of a PyTorch file whose tensors have these `names`; WeightsError if it is none that can be read."""
    if "conv_in.weight" in names and any(name.startswith("down.0.") for name in names):
        return "pytorch_diffusion"
    if any(name.startswith("all_modules.") for name in names):
        return "score_sde"
    raise _unknown(names)


def _only_tensors(found: Any) -> dict[str, StoredTensor]:
    """`found` if it is tensors by name."""
    if not isinstance(found, dict):
        raise _unknown([f"a {type(found).__name__}"])
    if not all(isinstance(name, str) and isinstance(tensor, StoredTensor) for name, tensor in found.items()):
        raise _unknown([str(name) for name in found])
    return found


def _unknown(names: Collection[str]) -> WeightsError:
    """The error for a file that holds these `names` and is none that can be read."""
    held = trees.listing([f"{name:.100}" for name in names], 5) if names else " nothing."
    return WeightsError(f"it holds no network that is known:{held}\nWhat can be read is {SUPPORTED}.")


def _source(path: Path, find_model: Callable[[Any], Checkpoint], content: Any, overrides: Overrides) -> Source:
    """The model that `find_model` finds in the `content` of the file at `path`."""
    try:
        return _described(find_model(content), overrides)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error


def _described(checkpoint: Checkpoint, overrides: Overrides) -> Source:
    given = by_section(overrides)
    shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    model = architectures.infer(shapes, checkpoint.layout, given["model"])
    net = _network(model.fields)
    data = _data(net, given["data"])
    sde = schedules.infer(checkpoint.layout, net, checkpoint.sigmas, data.fields["image_size"], given["sde"])
    fields = {"output": schedules.output_of(sde.fields["name"]), **model.fields}
    config = {"model": fields, "preconditioning": dict(PRECONDITIONING), "sde": sde.fields, "data": data.fields}
    tensors = _tensors(checkpoint, _network(fields), data.fields["image_size"])
    sections = {"model": model, "sde": sde, "data": data}
    assumed = {f"{name}.{field}": why for name, section in sections.items() for field, why in section.assumed.items()}
    return Source(config, tensors, assumed, checkpoint.notes)


def _network(fields: Mapping[str, Any]) -> DDPM | NCSNpp:
    return cast(DDPM | NCSNpp, build.build_model({"model": fields, "preconditioning": PRECONDITIONING}))


def _data(net: DDPM | NCSNpp, given: Mapping[str, Any]) -> Section:
    if "image_size" not in given and not net.attention_levels:
        raise WeightsError("nothing in it tells the size of its pictures; say it, as in data={'image_size': 256}.")
    size = given.get("image_size", ATTENTION_SIZE * 2 ** min(net.attention_levels, default=0))
    if not isinstance(size, int) or size < 1:
        raise WeightsError(f"data.image_size must be a number of pixels, got {size!r}.")
    return Section({"image_size": size}, {"image_size": IMAGE_SIZE.format(size, size)}).given(given)


def _tensors(checkpoint: Checkpoint, net: DDPM | NCSNpp, image_size: int) -> dict[str, StoredTensor]:
    """{our path: the tensor in our layout}, the averaged one where there is one."""
    shapes = trees.flatten(build.param_shapes(net, image_size))
    published = names.published_names(net, shapes, checkpoint.layout)
    wanted = {published[path]: shape for path, shape in shapes.items()}
    found = _in_our_layout(checkpoint.tensors, wanted, checkpoint.layout)
    if checkpoint.averaged:
        trained = [published[path] for path in names.trainable_order(net, shapes)]
        if len(trained) != len(checkpoint.averaged):
            raise WeightsError(
                f"its ema.shadow_params are {len(checkpoint.averaged)} tensors; its network trains {len(trained)}."
            )
        averaged = dict(zip(trained, checkpoint.averaged, strict=True))
        found |= _in_our_layout(averaged, {name: wanted[name] for name in trained}, checkpoint.layout)
    return {path: found[published[path]] for path in shapes}


def _in_our_layout(
    tensors: Mapping[str, StoredTensor], wanted: Mapping[str, jax.ShapeDtypeStruct], layout: Layout
) -> dict[str, StoredTensor]:
    """The `tensors` by published name, none more or less and none of another shape than is `wanted`."""
    found = {}
    for name, tensor in tensors.items():
        change = functools.partial(names.from_torch, name)
        if layout == "score_sde_flax":
            change = functools.partial(names.from_flax, name, wanted[name].shape if name in wanted else tensor.shape)
        found[name] = names.lazily(tensor, change)
    # Any precision will do.
    shapes = {name: jax.ShapeDtypeStruct(tensor.shape, np.float32) for name, tensor in found.items()}
    if different := trees.differences(shapes, wanted):
        raise WeightsError(f"it does not fit the network that it looks like:{trees.listing(different)}")
    return found
